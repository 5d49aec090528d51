// Package smtptest is an SMTP server for tests that misbehaves on demand.
//
// It accepts every mail unless its script says otherwise, command by command: a
// rejection, a lost connection, an answer that never comes. It uses real
// sockets, or a pipe for tests on a synthetic clock.
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

// User and Password are the credentials accepted if Config.Auth is set.
const (
	User     = "rollcall"
	Password = "correct horse battery staple"
)

// Config configures a server. The zero value is a plain server without sign-in.
type Config struct {
	STARTTLS   bool                          // offer STARTTLS
	Implicit   bool                          // use TLS from the first byte
	Auth       string                        // AUTH mechanisms offered: "PLAIN", "LOGIN", "PLAIN LOGIN" or "XOAUTH2"
	Bearer     func(user, token string) bool // accepts a token if Auth offers "XOAUTH2"
	Extensions []string                      // further EHLO lines, such as "PIPELINING"
	TLS        *tls.Config                   // nil: a fresh certificate for Host; see Server.ClientTLS

	// MaxConnections are served at once, the others greeted with Refusal and
	// closed. 0: no limit; -1: none is served. See Server.Allow.
	MaxConnections int
	Refusal        string // such as "421 4.7.0 Too many connections"

	Script  func(*Event) // called before each answer, one at a time; nil: everything succeeds
	Discard bool         // count the mails without keeping them
	Took    func(Mail)   // receives each mail, one at a time, instead of keeping it; nil: they are kept
}

// Event is a point at which the server is about to answer. A script changes the
// answer, or closes the connection instead.
type Event struct {
	Connection int    // 1, 2, 3, … in the order of arrival
	Verb       string // "CONNECT", a command in upper case such as "RCPT", or "." after the content
	Line       string // the whole command
	Count      int    // number of events with this Verb, including this one: 1, 2, 3, …

	Reply  string          // the answer, without line end; may hold "\n" for several lines
	Drop   bool            // close the connection instead of answering
	After  bool            // with Drop: answer first
	Hold   <-chan struct{} // wait for this, or the end of the server, before answering
	Silent bool            // never answer
}

// Mail is a message the server accepted.
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
	served   int // of the open ones, those not rejected
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

// StartPipe runs a server without a socket until the test ends: it is only
// reachable through [Server.Pipe].
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

// Stop closes the listener and every connection, and waits for them to end. It
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

// DropAll closes every open connection without an answer, like a server that
// drops idle clients.
func (s *Server) DropAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.open {
		_ = conn.Close()
	}
}

// Port returns the port of the loopback address the server listens on.
func (s *Server) Port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// Address returns the host and port the server listens on.
func (s *Server) Address() string { return net.JoinHostPort(Host, strconv.Itoa(s.Port())) }

// ClientTLS returns a client's configuration that trusts the server's
// certificate; nil if Config.TLS was given.
func (s *Server) ClientTLS() *tls.Config { return s.roots }

// Pipe returns the client's end of a new connection without a socket.
func (s *Server) Pipe() net.Conn {
	client, server := net.Pipe()
	s.serve(server)
	return client
}

// Connections returns the number of connections made so far.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// Open returns the number of connections open now.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Allow changes Config.MaxConnections for new connections.
func (s *Server) Allow(connections int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config.MaxConnections = connections
}

// Accepted returns the number of mails the server accepted.
func (s *Server) Accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// Mails returns the mails the server accepted, in order.
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
	session := &session{server: s, number: s.opened, conn: raw, refused: s.config.MaxConnections != 0 && s.served >= s.config.MaxConnections}
	if !session.refused {
		s.served++
	}
	s.wg.Go(func() {
		defer func() {
			_ = raw.Close()
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.open, raw)
			if !session.refused {
				s.served--
			}
		}()
		if s.config.Implicit {
			session.conn = tls.Server(raw, s.config.TLS)
		}
		session.reader = bufio.NewReader(session.conn)
		session.run()
	})
}

// ask calls the script. Scripts run one at a time, so that they need no locks
// of their own.
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
