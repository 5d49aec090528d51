//go:build unix

package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"rollcall/internal/devstack"
	"rollcall/internal/subprocess"
	"rollcall/test/redistest"
	"rollcall/test/smtptest"
)

// otherMachine is an address that connects to this machine, like every
// unspecified one, but does not count as this machine.
const otherMachine = "0.0.0.0"

// TestLinksAreEncrypted: with ROLLCALL_REQUIRE_TLS=yes the programs work with a
// PostgreSQL, a Redis and a mail server that require TLS, each with a verified
// certificate, and reject every weaker connection.
func TestLinksAreEncrypted(t *testing.T) {
	t.Parallel()
	const password = "hunter2hunter2"
	server, _ := smtptest.Certificate(t, otherMachine)
	certificate, key := inPEM(t, server)
	redis := redistest.StartGuarded(t, redistest.Guard{Certificate: certificate, Key: key, Password: password})
	mails := smtptest.Start(t, smtptest.Config{STARTTLS: true, TLS: server})
	postgres := encryptedPostgres(t, certificate, key, password)
	const verified = "?sslmode=verify-full&sslrootcert="
	redisAt := net.JoinHostPort(otherMachine, redis.Port())
	smtpURL := "smtp://" + net.JoinHostPort(otherMachine, strconv.Itoa(mails.Port()))
	// If a variable is given twice, the last value applies.
	h := newTestEnv(t, "rediss://:"+password+"@"+redisAt, "ROLLCALL_REQUIRE_TLS=yes", "SSL_CERT_FILE="+certificate,
		"SMTP_URL="+smtpURL, "ROLLCALL_MAIL_FROM=no-reply@example.com", "DATABASE_URL="+postgres+verified+certificate)
	h.startAPI()
	h.startWorker()
	var i imported
	a := h.post("email,name\nada@example.com,Ada\n", []string{"Prefer", "wait=30"})
	if a.read(&i); a.status != 200 || i.Imported != 1 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	h.until(i.ID, 30*time.Second, func(i imported) bool { return mailed(i) && i.Invitations.Sent == 1 })

	for _, weaker := range []string{
		"DATABASE_URL=" + postgres + "?sslmode=disable",
		"DATABASE_URL=" + postgres + "?sslmode=verify-ca&sslrootcert=" + certificate,
		"REDIS_URL=rediss://" + redisAt,
		"REDIS_URL=redis://:" + password + "@" + redisAt,
		"SMTP_URL=" + smtpURL + "?tls=none",
	} {
		variable, value, _ := strings.Cut(weaker, "=")
		for _, program := range []string{"api", "worker"} {
			cmd := exec.Command(filepath.Join(binaries, program))
			cmd.Env = append(h.env, weaker)
			out, _ := cmd.CombinedOutput() // only the exit code matters
			if said := string(out); cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said, variable+" leads to another machine without ") || strings.Contains(said, value) {
				t.Errorf("%s with %s: %s\n%s", program, weaker, cmd.ProcessState, said)
			}
		}
	}
	// A correct URL does not help if the certificate is for another name.
	h.env = append(h.env, "DATABASE_URL="+strings.Replace(postgres, otherMachine, "localhost", 1)+verified+certificate)
	if said, code := h.rollcallCode("migrate", "status"); code != 1 || !strings.Contains(said, "certificate") {
		t.Errorf("a certificate of another name: exit code %d\n%s", code, said)
	}
}

// inPEM writes a server's certificate and key to files.
func inPEM(t *testing.T, server *tls.Config) (certificate, key string) {
	t.Helper()
	pair := server.Certificates[0]
	secret, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("server.crt", "CERTIFICATE", pair.Certificate[0]), write("server.key", "PRIVATE KEY", secret)
}

// encryptedPostgres starts a PostgreSQL that requires TLS and the password, and
// returns its URL. Its cluster is created by package devstack, whose own server
// never listens to a network.
func encryptedPostgres(t *testing.T, certificate, key, password string) string {
	t.Helper()
	ctx := context.Background()
	dir := devDir(t) // where the account that runs it may enter
	private, err := devstack.StartPostgres(ctx, devstack.PostgresConfig{Dir: dir, Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("postgres", private.URL())
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(`ALTER ROLE rollcall PASSWORD '` + password + `'`)
	_, saved := db.Exec(`CHECKPOINT`) // it is stopped without one
	if err := errors.Join(err, saved, db.Close(), private.Stop(ctx)); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "postgres")
	info, err := os.Stat(data)
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	give := func(name string, content []byte) string {
		path := filepath.Join(data, name)
		if err := errors.Join(os.WriteFile(path, content, 0o600), os.Chown(path, int(owner.Uid), int(owner.Gid))); err != nil {
			t.Fatal(err)
		}
		return path
	}
	read := func(path string) []byte {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	found, err := devstack.FindPostgres(ctx)
	if err != nil {
		t.Fatal(err)
	}
	command := subprocess.Command{Path: filepath.Join(found.Dir, "postgres"), Args: []string{"-D", data}}
	if int(owner.Uid) != os.Geteuid() {
		command.As = &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}
	}
	port := freePort(t)
	for name, value := range map[string]string{
		"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "ssl": "on", "fsync": "off",
		"ssl_cert_file": give("server.crt", read(certificate)), "ssl_key_file": give("server.key", read(key)),
		"hba_file": give("tls_hba.conf", []byte("hostssl all all all scram-sha-256\n")),
	} {
		command.Args = append(command.Args, "-c", name+"="+value)
	}
	server, err := subprocess.Start(command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop(ctx, syscall.SIGQUIT) })
	url := "postgres://rollcall:" + password + "@" + net.JoinHostPort(otherMachine, port) + "/rollcall"
	if db, err = sql.Open("postgres", url+"?sslmode=verify-full&sslrootcert="+certificate); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C { // it listens before it recovers
		err := db.PingContext(ctx)
		if err == nil {
			return url
		}
		if time.Now().After(deadline) {
			t.Fatalf("PostgreSQL does not answer: %v\n%s", err, server.Tail())
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
