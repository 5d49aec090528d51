// Package smtptest is an SMTP server for tests that misbehaves on demand.
//
// It takes every mail unless its script says otherwise, command by command: a
// refusal, a lost connection, an answer that never comes. It speaks over real
// sockets, or over a pipe for tests on a synthetic clock.
package smtptest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Host is the name the server's certificate carries; it resolves to the
// address the server listens on.
const Host = "localhost"

// User and Password are the credentials taken when Config.Auth is set.
const (
	User     = "rollcall"
	Password = "correct horse battery staple"
)

// Config shapes a server. The zero value is a plain server without sign-in.
type Config struct {
	STARTTLS   bool         // offer STARTTLS
	Implicit   bool         // speak TLS from the first byte
	Auth       string       // AUTH mechanisms offered: "PLAIN", "LOGIN" or "PLAIN LOGIN"
	Extensions []string     // further EHLO lines, such as "PIPELINING"
	TLS        *tls.Config  // nil: a fresh certificate for Host; see Server.ClientTLS
	Script     func(*Event) // called before each answer, one at a time; nil: all goes well
	Discard    bool         // count the mails without keeping them
	Took       func(Mail)   // gets each mail instead of its being kept, one at a time; nil: they are kept
}

// Event is a point at which the server is about to answer. A script changes the
// answer, or drops the connection in its place.
type Event struct {
	Connection int    // 1, 2, 3, … in the order of arrival
	Verb       string // "CONNECT", a command in upper case such as "RCPT", or "." after the content
	Line       string // the whole command
	Count      int    // how many events of this Verb there were, with this one: 1, 2, 3, …

	Reply  string          // the answer, without line end; may hold "\n" for several lines
	Drop   bool            // close the connection instead of answering
	After  bool            // with Drop: answer first
	Hold   <-chan struct{} // wait for this, or the end of the server, before answering
	Silent bool            // never answer
}

// Mail is a message the server took.
type Mail struct {
	Connection int
	From, To   string // as between the angle brackets
	Data       string // dots undone, CRLF line ends
}

// Server is a running server. It stops at the end of the test.
type Server struct {
	config Config

	listener net.Listener
	roots    *tls.Config
	done     chan struct{}
	wg       sync.WaitGroup

	mu       sync.Mutex
	counts   map[string]int
	open     map[net.Conn]bool
	opened   int
	lines    []string
	mails    []Mail
	accepted int
}

// Start runs a server on a free loopback port until the test ends.
func Start(tb testing.TB, config Config) *Server {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("start SMTP server: %v", err)
	}
	s := newServer(tb, config)
	s.listener = listener
	s.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.serve(conn)
		}
	})
	return s
}

// StartPipe runs a server without a socket until the test ends: its only way
// in is [Server.Pipe].
func StartPipe(tb testing.TB, config Config) *Server {
	tb.Helper()
	return newServer(tb, config)
}

func newServer(tb testing.TB, config Config) *Server {
	tb.Helper()
	s := &Server{
		config: config,
		done:   make(chan struct{}),
		counts: map[string]int{},
		open:   map[net.Conn]bool{},
	}
	if s.config.TLS == nil && (config.STARTTLS || config.Implicit) {
		s.config.TLS, s.roots = Certificate(tb, Host)
	}
	tb.Cleanup(s.Stop)
	return s
}

// Stop closes the listener and every connection, and waits for their end. It
// may be called more than once.
func (s *Server) Stop() {
	s.mu.Lock()
	select {
	case <-s.done:
	default:
		close(s.done)
	}
	s.mu.Unlock()
	if s.listener != nil {
		_ = s.listener.Close()
	}
	s.DropAll()
	s.wg.Wait()
}

// DropAll closes every open connection without a word, as a server does that
// tires of idle clients.
func (s *Server) DropAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.open {
		_ = conn.Close()
	}
}

// Port is the port of the loopback address the server listens on.
func (s *Server) Port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// Address is the host and port the server listens on.
func (s *Server) Address() string { return net.JoinHostPort(Host, strconv.Itoa(s.Port())) }

// ClientTLS is a client's configuration that trusts the server's certificate;
// nil when Config.TLS was given.
func (s *Server) ClientTLS() *tls.Config { return s.roots }

// Pipe returns the client's end of a new connection that is no socket.
func (s *Server) Pipe() net.Conn {
	client, server := net.Pipe()
	s.serve(server)
	return client
}

// Connections is the number of connections made so far.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// Open is the number of connections open now.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Accepted is the number of mails the server took.
func (s *Server) Accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// Mails returns the mails the server took, in order.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// Lines returns every command received, in order.
func (s *Server) Lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

func (s *Server) serve(raw net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
		_ = raw.Close()
		return
	default:
	}
	s.open[raw] = true
	s.opened++
	session := &session{server: s, number: s.opened, conn: raw}
	s.wg.Go(func() {
		defer func() {
			_ = raw.Close()
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.open, raw)
		}()
		if s.config.Implicit {
			session.conn = tls.Server(raw, s.config.TLS)
		}
		session.reader = bufio.NewReader(session.conn)
		session.run()
	})
}

// ask lets the script have its say. Scripts run one at a time, so that they
// need no locks of their own.
func (s *Server) ask(e *Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[e.Verb]++
	e.Count = s.counts[e.Verb]
	if e.Verb != "CONNECT" && e.Verb != "." && !s.config.Discard && s.config.Took == nil {
		s.lines = append(s.lines, e.Line)
	}
	if s.config.Script != nil {
		s.config.Script(e)
	}
}

func (s *Server) take(m Mail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted++
	switch {
	case s.config.Took != nil:
		s.config.Took(m)
	case !s.config.Discard:
		s.mails = append(s.mails, m)
	}
}

func (s *Server) greeting(encrypted bool) string {
	lines := append([]string{"localhost"}, s.config.Extensions...)
	if s.config.STARTTLS && !encrypted {
		lines = append(lines, "STARTTLS")
	}
	if s.config.Auth != "" {
		lines = append(lines, "AUTH "+s.config.Auth)
	}
	return fmt.Sprintf("250 %s", strings.Join(lines, "\n"))
}
