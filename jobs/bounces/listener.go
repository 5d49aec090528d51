package bounces

import (
	"context"
	"errors"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"rollcall/mail/bounce"
)

// Limits of the listener.
const (
	maxConnections     = 64
	maxFromOneAddress  = 16
	maxRecipients      = 20
	maxLine            = 2000
	stepTimeout        = 30 * time.Second // for a command, or a piece of a mail
	connectionTimeout  = 5 * time.Minute  // for a connection as a whole
	recordTimeout      = 15 * time.Second
	shutdownTimeout    = 5 * time.Second
	refusalOfTooMany   = "421 4.7.0 Too many connections, try again later\r\n"
	refusalWriteTimeup = time.Second
)

// Listener is an SMTP server that takes returned mails, and nothing else: no mail to
// an address without a genuine token, no relaying, no sign-in.
type Listener struct {
	recorder *Recorder
	log      *slog.Logger
	server   *smtp.Server
	listener net.Listener
}

// Listen opens a Listener at a TCP address, host:port. domain is the one it serves.
func Listen(address, domain string, recorder *Recorder, log *slog.Logger) (*Listener, error) {
	raw, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	l := &Listener{recorder: recorder, log: log, listener: &boundedListener{Listener: raw, from: map[string]int{}}}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{recorder: recorder, log: log}, nil }))
	s.Domain = domain
	s.MaxMessageBytes, s.MaxRecipients, s.MaxLineLength = bounce.MaxBytes, maxRecipients, maxLine
	s.ReadTimeout, s.WriteTimeout = stepTimeout, stepTimeout
	s.ErrorLog = stdlog.New(io.Discard, "", 0) // broken connections only, with addresses
	l.server = s
	return l, nil
}

// Addr is the address that it listens on.
func (l *Listener) Addr() net.Addr { return l.listener.Addr() }

// Run takes mails until ctx ends, and lets those being received end.
func (l *Listener) Run(ctx context.Context) {
	failed := make(chan error, 1)
	go func() { failed <- l.server.Serve(l.listener) }()
	select {
	case err := <-failed:
		l.log.Error("listener for returned mail stopped", "error", err)
		return
	case <-ctx.Done():
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if l.server.Shutdown(limited) != nil {
		l.listener.(*boundedListener).closeAll()
	}
	l.listener.Close() // in case the server was not serving it yet
	<-failed
}

// session is one connection.
type session struct {
	recorder   *Recorder
	log        *slog.Logger
	recipients []string
}

// Mail accepts any sender: a returned mail has none, and some servers give theirs.
func (s *session) Mail(string, *smtp.MailOptions) error { return nil }

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if !s.recorder.Genuine(to) {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such address here"}
	}
	s.recipients = append(s.recipients, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout+stepTimeout)
	defer cancel()
	err := s.recorder.Mail(ctx, r, s.recipients...)
	if _, drained := io.Copy(io.Discard, r); drained != nil { // too large, or cut off
		return drained
	}
	if answered, ok := errors.AsType[*smtp.SMTPError](err); ok {
		return answered
	}
	if err != nil {
		if !errors.Is(err, ErrEarly) {
			s.log.Warn("failed to record a returned mail; the mail server will retry", "error", err)
		}
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Try again later"}
	}
	return nil
}

func (s *session) Reset() { s.recipients = nil }

func (s *session) Logout() error { return nil }

// boundedListener turns away connections beyond the limits, and ends each after
// connectionTimeout.
type boundedListener struct {
	net.Listener

	mu    sync.Mutex
	from  map[string]int // open connections of each address
	conns map[*boundedConn]bool
}

func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if bounded := l.admit(conn); bounded != nil {
			return bounded, nil
		}
		_ = conn.SetWriteDeadline(time.Now().Add(refusalWriteTimeup))
		_, _ = io.WriteString(conn, refusalOfTooMany)
		conn.Close()
	}
}

func (l *boundedListener) admit(conn net.Conn) *boundedConn {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) >= maxConnections || l.from[host] >= maxFromOneAddress {
		return nil
	}
	if l.conns == nil {
		l.conns = map[*boundedConn]bool{}
	}
	c := &boundedConn{Conn: conn, listener: l, host: host}
	c.end = time.AfterFunc(connectionTimeout, func() { c.Close() })
	l.from[host]++
	l.conns[c] = true
	return c
}

func (l *boundedListener) closeAll() {
	l.mu.Lock()
	var open []*boundedConn
	for c := range l.conns {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

// boundedConn frees its place when it is closed.
type boundedConn struct {
	net.Conn
	listener *boundedListener
	host     string
	end      *time.Timer
	once     sync.Once
}

func (c *boundedConn) Close() error {
	c.once.Do(func() {
		c.end.Stop()
		l := c.listener
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, c)
		if l.from[c.host]--; l.from[c.host] == 0 {
			delete(l.from, c.host)
		}
	})
	return c.Conn.Close()
}
