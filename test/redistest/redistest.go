//go:build unix

// Package redistest gives each test a real Redis of its own.
//
// It is a redis-server from PATH, or the program that ROLLCALL_REDIS_SERVER names,
// such as valkey-server: on a free loopback port, without persistence, started in
// some 10 ms. Without one the test is skipped, or fails if ROLLCALL_REQUIRE_ALL=1.
package redistest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/subprocess"
)

const (
	// requireVariable turns a skipped test into a failure when it is "1".
	requireVariable = "ROLLCALL_REQUIRE_ALL"

	startTimeout = 20 * time.Second
)

// URL returns the REDIS_URL of an empty Redis that is t's until t ends.
func URL(t testing.TB) string {
	t.Helper()
	return Start(t).URL()
}

// Server is a redis-server that a test can stop and start, to test an outage.
type Server struct {
	t       testing.TB
	program string
	port    string
	guard   *Guard              // nil: no password, no encryption
	dir     string              // its working directory
	before  []string            // arguments before all others
	more    []string            // and behind them
	bus     string              // port of a cluster's own connections
	process *subprocess.Process // nil: stopped
}

// Guard is what a server requires of clients: TLS and a password.
type Guard struct {
	Certificate, Key string // PEM files of the server
	Password         string
}

// StartGuarded is Start with a guard. A redis-server that was built without TLS
// counts as missing.
func StartGuarded(t testing.TB, guard Guard) *Server {
	t.Helper()
	program := find(t)
	// Listening on no port, it ends at once, after it has parsed its options.
	out, _ := exec.Command(program, "--port", "0", "--tls-port", "0").CombinedOutput()
	if bytes.Contains(out, []byte("Bad directive")) {
		missing(t, errors.New("redis-server was built without TLS"))
	}
	return begin(&Server{t: t, program: program, guard: &guard})
}

// Start starts a redis-server that ends with t.
func Start(t testing.TB) *Server {
	t.Helper()
	return begin(&Server{t: t, program: find(t)})
}

func find(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath(cmp.Or(os.Getenv("ROLLCALL_REDIS_SERVER"), "redis-server"))
	if err != nil {
		missing(t, err)
	}
	return program
}

// missing skips or fails a test that has no Redis.
func missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv(requireVariable) == "1" {
		t.Fatalf("redistest: %v", err)
	}
	t.Skipf("redistest: %v", err)
}

func begin(s *Server) *Server {
	t := s.t
	t.Helper()
	s.dir = t.TempDir() // a replica writes there what its master sends
	t.Cleanup(s.Stop)
	var err error
	// A free port may be taken by another process before redis-server binds it.
	for range 5 {
		s.port = freePort(t)
		if err = s.start(); err == nil {
			return s
		}
	}
	t.Fatalf("redistest: %v", err)
	return nil
}

// URL returns the server's REDIS_URL; for a guarded one without the password.
func (s *Server) URL() string {
	scheme := "redis://"
	if s.guard != nil {
		scheme = "rediss://"
	}
	return scheme + net.JoinHostPort("127.0.0.1", s.port) + "/0"
}

// Do runs a command that must succeed, such as CONFIG SET.
func (s *Server) Do(command ...any) {
	s.t.Helper()
	client := s.open()
	defer client.Close()
	if err := client.Do(context.Background(), command...).Err(); err != nil {
		s.t.Fatalf("redistest: %v: %v", command[0], err)
	}
}

// ask returns the answer to a command as text, "" if there is none.
func (s *Server) ask(command ...any) string {
	client := s.open()
	defer client.Close()
	answer, err := client.Do(context.Background(), command...).Result()
	if err != nil {
		return ""
	}
	return fmt.Sprint(answer)
}

// open makes a client.
func (s *Server) open() *redis.Client {
	s.t.Helper()
	options, err := redis.ParseURL(s.URL())
	if err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
	return redis.NewClient(options)
}

// Calls returns how often a command was called, also by scripts, and also if it
// was refused.
func (s *Server) Calls(command string) (n int) {
	s.t.Helper()
	client := s.open()
	defer client.Close()
	stats, err := client.InfoMap(context.Background(), "commandstats").Result()
	if err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
	for _, stat := range strings.Split(stats["Commandstats"]["cmdstat_"+command], ",") {
		name, value, _ := strings.Cut(stat, "=")
		if name == "calls" || name == "rejected_calls" {
			count, _ := strconv.Atoi(value)
			n += count
		}
	}
	return n
}

// Port returns the port it listens on.
func (s *Server) Port() string { return s.port }

// Stop kills the server; its data is lost. It does nothing if the server is
// stopped.
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
	args := slices.Concat(s.before, []string{"--bind", "127.0.0.1", "--port", s.port, "--dir", s.dir, "--daemonize", "no"}, s.more)
	if s.before == nil { // a sentinel has no data
		args = append(args, "--save", "", "--appendonly", "no")
	}
	if err := os.RemoveAll(filepath.Join(s.dir, "dump.rdb")); err != nil { // it would be loaded
		return err
	}
	options := &redis.Options{
		Addr:          net.JoinHostPort("127.0.0.1", s.port),
		MaxRetries:    -1, // we retry sooner
		DialerRetries: 1,
	}
	if s.guard != nil {
		args = append(args, "--port", "0", "--tls-port", s.port, "--tls-auth-clients", "no",
			"--tls-cert-file", s.guard.Certificate, "--tls-key-file", s.guard.Key, "--requirepass", s.guard.Password)
		options.Password = s.guard.Password
		options.TLSConfig = &tls.Config{InsecureSkipVerify: true} // the test decides which name its certificate has
	}
	p, err := subprocess.Start(subprocess.Command{Path: s.program, Args: args})
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
		// The process ID tells our server from another one on the same port.
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
