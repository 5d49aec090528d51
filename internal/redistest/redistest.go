//go:build unix

// Package redistest gives each test a real Redis of its own.
//
// It is a redis-server from PATH on a free loopback port, without persistence,
// up in some 10 ms; or, where [URLVariable] names a server, one of that
// server's databases. Where there is neither, the test is skipped, or fails if
// ROLLCALL_REQUIRE_ALL=1.
package redistest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/child"
)

const (
	// URLVariable names the environment variable with a Redis to use. Its
	// databases 1 to 15 are emptied at will; 0 keeps the books.
	URLVariable = "ROLLCALL_TEST_REDIS_URL"

	// requireVariable turns a skipped test into a failure when it is "1".
	requireVariable = "ROLLCALL_REQUIRE_ALL"

	startTimeout = 20 * time.Second
)

// URL returns the REDIS_URL of an empty Redis that is t's until t ends.
func URL(t testing.TB) string {
	t.Helper()
	if raw := os.Getenv(URLVariable); raw != "" {
		return borrow(t, raw)
	}
	return Start(t).URL()
}

// Server is a redis-server that a test may stop and start, to see what becomes
// of it without.
type Server struct {
	t       testing.TB
	program string
	port    string
	guard   *Guard         // nil: whoever comes is let in, unencrypted
	process *child.Process // nil: stopped
}

// Guard is what a server wants of who comes: TLS, and a password.
type Guard struct {
	Certificate, Key string // PEM files of the server
	Password         string
}

// StartGuarded is Start with a guard. A redis-server that was built without TLS
// is as good as none.
func StartGuarded(t testing.TB, guard Guard) *Server {
	t.Helper()
	program := find(t)
	// One that listens nowhere ends at once, after it has read its options.
	out, _ := exec.Command(program, "--port", "0", "--tls-port", "0").CombinedOutput()
	if bytes.Contains(out, []byte("Bad directive")) {
		missing(t, errors.New("redis-server was built without TLS"))
	}
	return begin(&Server{t: t, program: program, guard: &guard})
}

// Start starts a redis-server that ends with t. Unlike [URL] it never uses the
// server of the environment, which is not ours to stop.
func Start(t testing.TB) *Server {
	t.Helper()
	return begin(&Server{t: t, program: find(t)})
}

func find(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		missing(t, err)
	}
	return program
}

// missing ends a test that has no Redis.
func missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv(requireVariable) == "1" {
		t.Fatalf("redistest: %v, and %s is not set", err, URLVariable)
	}
	t.Skipf("redistest: %v, and %s is not set", err, URLVariable)
}

func begin(s *Server) *Server {
	t := s.t
	t.Helper()
	t.Cleanup(s.Stop)
	var err error
	// A free port may be taken by somebody else before redis-server binds it.
	for range 5 {
		s.port = freePort(t)
		if err = s.start(); err == nil {
			return s
		}
	}
	t.Fatalf("redistest: %v", err)
	return nil
}

// URL returns the server's REDIS_URL; of a guarded one without the password.
func (s *Server) URL() string {
	scheme := "redis://"
	if s.guard != nil {
		scheme = "rediss://"
	}
	return scheme + net.JoinHostPort("127.0.0.1", s.port) + "/0"
}

// Port is the port it listens on.
func (s *Server) Port() string { return s.port }

// Stop kills the server; its data is lost. It does nothing to a stopped one.
func (s *Server) Stop() {
	if s.process != nil {
		s.process.Stop(context.Background(), syscall.SIGKILL)
		s.process = nil
	}
}

// Restart starts a stopped server again, empty, on the same port.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	if err := s.start(); err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
}

// start returns when the server answers.
func (s *Server) start() error {
	args := []string{"--bind", "127.0.0.1", "--port", s.port, "--save", "", "--appendonly", "no", "--daemonize", "no"}
	options := &redis.Options{
		Addr:          net.JoinHostPort("127.0.0.1", s.port),
		MaxRetries:    -1, // we ask again sooner
		DialerRetries: 1,
	}
	if s.guard != nil {
		args = append(args, "--port", "0", "--tls-port", s.port, "--tls-auth-clients", "no",
			"--tls-cert-file", s.guard.Certificate, "--tls-key-file", s.guard.Key, "--requirepass", s.guard.Password)
		options.Password = s.guard.Password
		options.TLSConfig = &tls.Config{InsecureSkipVerify: true} // whose name its certificate has is the test's business
	}
	p, err := child.Start(child.Command{Path: s.program, Args: args})
	if err != nil {
		return err
	}
	s.process = p
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	client := redis.NewClient(options)
	defer client.Close()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		// The process id tells ours from a stranger on the same port.
		info, err := client.InfoMap(ctx, "server").Result()
		if err == nil && info["Server"]["process_id"] == strconv.Itoa(p.PID()) {
			return nil
		}
		select {
		case <-p.Done():
			s.process = nil
			return errors.New("redis-server ended while starting:\n" + p.Tail())
		case <-ctx.Done():
			s.Stop()
			return errors.Join(errors.New("redis-server does not answer:\n"+p.Tail()), err)
		case <-again.C:
		}
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	return port
}

const (
	// Books on who has which database, kept in database 0 with an expiry, so
	// that a killed test does not keep one for ever.
	claimPrefix = "rollcall-test-database-"
	claimLife   = 15 * time.Minute // longer than go test's own limit
	databases   = 15
)

// borrow claims one of the shared server's databases and empties it. Tests of
// all packages run at once, so it may have to wait for a free one.
func borrow(t testing.TB, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatalf("redistest: %s is not a URL", URLVariable) // it may hold a password
	}
	u.Path = "/0"
	books := connect(t, u.String())
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		for n := 1; n <= databases; n++ {
			key := claimPrefix + strconv.Itoa(n)
			claimed, err := books.SetNX(t.Context(), key, os.Getpid(), claimLife).Result()
			if err != nil {
				t.Fatalf("redistest: claiming a database: %v", err)
			}
			if !claimed {
				continue
			}
			t.Cleanup(func() {
				if err := books.Del(context.Background(), key).Err(); err != nil {
					t.Errorf("redistest: giving a database back: %v", err)
				}
			})
			u.Path = "/" + strconv.Itoa(n)
			if err := connect(t, u.String()).FlushDB(t.Context()).Err(); err != nil {
				t.Fatalf("redistest: emptying a database: %v", err)
			}
			return u.String()
		}
		select {
		case <-again.C:
		case <-t.Context().Done():
			t.Fatal("redistest: no database came free")
		}
	}
}

func connect(t testing.TB, raw string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(raw)
	if err != nil {
		t.Fatalf("redistest: %s is not the URL of a Redis", URLVariable)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { client.Close() })
	return client
}
