//go:build unix

// Package pgbouncertest puts a real PgBouncer in front of a test's database.
//
// It is a pgbouncer from PATH on a free loopback port, with the configuration that
// Debian ships but for the pool mode. Without one the test is skipped, or fails if
// ROLLCALL_REQUIRE_ALL=1.
package pgbouncertest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lib/pq"

	"rollcall/internal/subprocess"
)

// Start returns the URL of a database behind a PgBouncer in the given pool mode:
// session, transaction or statement. It ends with t.
func Start(t testing.TB, databaseURL, mode string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if os.Getenv("ROLLCALL_REQUIRE_ALL") == "1" {
			t.Fatalf("pgbouncertest: %v", err)
		}
		t.Skipf("pgbouncertest: %v", err)
	}
	server, err := pq.NewConfig(databaseURL)
	if err != nil {
		t.Fatalf("pgbouncertest: %v", err)
	}
	port := freePort(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "pgbouncer.ini")
	connect := []string{"host=" + server.Host, "port=" + strconv.Itoa(int(server.Port)), "user=" + server.User}
	if server.Password != "" {
		connect = append(connect, "password="+server.Password)
	}
	// Few connections to the server, so that clients really share them.
	content := fmt.Sprintf(`[databases]
* = %s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = %s
default_pool_size = 6
max_client_conn = 200
server_round_robin = 1
`, strings.Join(connect, " "), port, mode)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatalf("pgbouncertest: %v", err)
	}
	args := []string{file}
	if os.Geteuid() == 0 { // it refuses to run as root
		args = []string{"-u", "postgres", file}
	}
	p, err := subprocess.Start(subprocess.Command{Path: program, Args: args})
	if err != nil {
		t.Fatalf("pgbouncertest: %v", err)
	}
	t.Cleanup(func() { p.Stop(t.Context(), syscall.SIGKILL) })
	u := url.URL{Scheme: "postgres", User: url.User(server.User), Host: net.JoinHostPort("127.0.0.1", port), Path: "/" + server.Database,
		RawQuery: "sslmode=disable"}
	awaitListening(t, u.Host, p)
	return u.String()
}

func awaitListening(t testing.TB, address string, p *subprocess.Process) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-p.Done():
			t.Fatalf("pgbouncertest: pgbouncer ended while starting:\n%s", p.Tail())
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("pgbouncertest: pgbouncer does not listen: %v\n%s", err, p.Tail())
		}
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("pgbouncertest: %v", err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
