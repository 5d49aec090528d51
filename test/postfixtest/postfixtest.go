//go:build unix

// Package postfixtest runs real Postfix instances, each in a temporary directory of
// its own and on a free loopback port, beside the one that the machine may have.
//
// Postfix runs as root only. Without root or Postfix the test is skipped, or fails if
// ROLLCALL_REQUIRE_ALL=1.
package postfixtest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/subprocess"
)

// Account is the user that delivers mail to mailboxes and that commands of a pipe
// transport run as. Postfix refuses to do either as root.
const Account = "nobody"

// Config says what becomes of the mail that an instance accepts. Every mail from this
// machine is accepted, but for unknown addresses in Domain.
type Config struct {
	Name string // host name, required

	// Domain is delivered here, to those of Mailboxes; the others are refused with
	// 550 5.1.1. "": no domain is.
	Domain    string
	Mailboxes []string // addresses

	Next      string            // host:port that takes everything else; "": nothing
	Transport map[string]string // where mail to a domain or an address goes instead, as in transport(5)
	Services  []string          // further lines of master.cf
}

// Server is a running instance. It ends with the test.
type Server struct {
	Address string // host:port, SMTP without TLS and sign-in
	dir     string
	process *subprocess.Process
}

// Dir makes a directory that other accounts can read, unlike t.TempDir.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rollcall-postfix-") // sockets have short paths
	if err != nil {
		t.Fatalf("postfixtest: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("postfixtest: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatalf("postfixtest: %v", err)
	}
	return dir
}

// Start starts an instance.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	require(t)
	s := &Server{dir: Dir(t), Address: FreeAddress(t)}
	if err := s.configure(c); err != nil {
		t.Fatalf("postfixtest: %v", err)
	}
	if out, err := exec.Command("postfix", "-c", s.dir, "check").CombinedOutput(); err != nil { // creates the queue
		t.Fatalf("postfixtest: postfix check: %v\n%s", err, out)
	}
	master, err := exec.Command("postconf", "-c", s.dir, "-h", "daemon_directory").Output()
	if err != nil {
		t.Fatalf("postfixtest: postconf: %v", err)
	}
	// Not `postfix start`, whose processes would outlive a test that is killed.
	s.process, err = subprocess.Start(subprocess.Command{Path: filepath.Join(strings.TrimSpace(string(master)), "master"), Args: []string{"-c", s.dir, "-d"}})
	if err != nil {
		t.Fatalf("postfixtest: %v", err)
	}
	t.Cleanup(func() {
		s.process.Stop(t.Context(), syscall.SIGTERM) // with all its processes
		if t.Failed() {
			t.Logf("log of %s:\n%s", c.Name, s.log())
		}
	})
	s.awaitListening(t)
	return s
}

// require skips the test without root or Postfix, or fails it.
func require(t testing.TB) {
	t.Helper()
	missing := ""
	if os.Geteuid() != 0 {
		missing = "Postfix runs as root only"
	} else if _, err := exec.LookPath("postfix"); err != nil {
		missing = err.Error()
	}
	switch {
	case missing == "":
	case os.Getenv("ROLLCALL_REQUIRE_ALL") == "1":
		t.Fatalf("postfixtest: %s", missing)
	default:
		t.Skipf("postfixtest: %s", missing)
	}
}

// services are those of Debian's master.cf that an instance needs, outside of chroots.
const services = `
cleanup  unix n - n -   0 cleanup
qmgr     unix n - n 300 1 qmgr
rewrite  unix - - n -   - trivial-rewrite
bounce   unix - - n -   0 bounce
defer    unix - - n -   0 bounce
trace    unix - - n -   0 bounce
flush    unix n - n 1000? 0 flush
proxymap unix - - n -   - proxymap
smtp     unix - - n -   - smtp
error    unix - - n -   - error
retry    unix - - n -   - error
virtual  unix - n n -   - virtual
anvil    unix - - n -   1 anvil
scache   unix - - n -   1 scache
postlog  unix-dgram n - n - 1 postlogd
`

func (s *Server) configure(c Config) error {
	postfix, err := user.Lookup("postfix")
	if err != nil {
		return err
	}
	account, err := user.Lookup(Account)
	if err != nil {
		return err
	}
	main := []string{
		"compatibility_level = 3.6",
		"myhostname = " + c.Name,
		"mydestination =",
		"inet_interfaces = loopback-only",
		"inet_protocols = ipv4",
		"mynetworks = 127.0.0.0/8",
		"smtpd_relay_restrictions = permit_mynetworks, reject",
		"smtpd_peername_lookup = no",
		"smtp_dns_support_level = disabled",
		"recipient_delimiter = +",
		"alias_maps =",
		"local_recipient_maps =",
		"notify_classes =",
		"queue_directory = " + filepath.Join(s.dir, "queue"),
		"data_directory = " + filepath.Join(s.dir, "data"),
		"maillog_file = " + s.logFile(),
		"maillog_file_prefixes = " + s.dir,
		"transport_maps = texthash:" + filepath.Join(s.dir, "transport"),
		"virtual_mailbox_domains = " + c.Domain,
		"virtual_mailbox_maps = texthash:" + filepath.Join(s.dir, "mailboxes"),
		"virtual_mailbox_base = " + filepath.Join(s.dir, "mail"),
		"virtual_minimum_uid = 1",
		"virtual_uid_maps = static:" + account.Uid,
		"virtual_gid_maps = static:" + account.Gid,
	}
	if c.Next != "" {
		host, port, err := net.SplitHostPort(c.Next)
		if err != nil {
			return err
		}
		main = append(main, "relayhost = ["+host+"]:"+port)
	}
	var transport, mailboxes []string
	for to, by := range c.Transport {
		transport = append(transport, to+" "+by)
	}
	for _, address := range c.Mailboxes {
		mailboxes = append(mailboxes, address+" "+address+"/") // the slash makes it a maildir
	}
	for name, lines := range map[string][]string{
		"main.cf": main, "transport": transport, "mailboxes": mailboxes,
		"master.cf": slices.Concat([]string{s.Address + " inet n - n - - smtpd" + services}, c.Services),
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			return err
		}
	}
	for name, owner := range map[string]*user.User{"data": postfix, "mail": account} {
		uid, err := strconv.Atoi(owner.Uid)
		if err != nil {
			return err
		}
		if err := os.Mkdir(filepath.Join(s.dir, name), 0o755); err != nil {
			return err
		}
		if err := os.Chown(filepath.Join(s.dir, name), uid, -1); err != nil {
			return err
		}
	}
	return os.Mkdir(filepath.Join(s.dir, "queue"), 0o755)
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

func (s *Server) log() string {
	log, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error() + "\n" + s.process.Tail()
	}
	return string(log)
}

// Mails returns the mails in all mailboxes as they were delivered, in no order.
func (s *Server) Mails(t testing.TB) (mails [][]byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "mail", "*", "new", "*"))
	if err != nil {
		t.Fatalf("postfixtest: %v", err)
	}
	for _, file := range files {
		mail, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("postfixtest: %v", err)
		}
		mails = append(mails, mail)
	}
	return mails
}

// AwaitMails returns the mails when there are n of them.
func (s *Server) AwaitMails(t testing.TB, n int) (mails [][]byte) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if mails = s.Mails(t); len(mails) == n {
			return mails
		}
		if len(mails) > n || time.Now().After(end) {
			t.Fatalf("postfixtest: %d mails were delivered, want %d", len(mails), n)
		}
	}
}

func (s *Server) awaitListening(t testing.TB) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", s.Address)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-s.process.Done():
			t.Fatalf("postfixtest: Postfix ended while starting:\n%s", s.log())
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("postfixtest: Postfix does not listen: %v\n%s", err, s.log())
		}
	}
}

// FreeAddress is a host:port of this machine that nothing listens on.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("postfixtest: %v", err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr())
}
