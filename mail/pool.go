package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/puddle/v2"

	"rollcall/internal/egress"
)

// PoolConfig sets the limits of a [Pool]. The zero value means the defaults.
type PoolConfig struct {
	Size           int           // connections, and so mails sent at once; 0 means 4
	MaxMessages    int           // messages before a connection is replaced; 0 means 1,000
	ConnectTimeout time.Duration // opening a TCP connection, then the implicit TLS handshake; 0 means 10 s
	CommandTimeout time.Duration // each command and its answer, the greeting too; 0 means 60 s
	OpenTimeout    time.Duration // everything from the greeting to the sign-in; 0 means 3 min
	DataTimeout    time.Duration // each write of content, and the answer to the last one; 0 means 60 s
	IdleTimeout    time.Duration // an unused connection is closed after this; 0 means 30 s

	// Room is how much time a Send must have left to start its mail: a mail cut
	// off after the content might have to be sent a second time. With less
	// left, Send fails as Canceled and the connection is kept for the next
	// mail. 0 means no minimum.
	Room time.Duration

	// Hello is the host name sent in EHLO. Empty: the address literal of the
	// connection's local address.
	Hello string
	// TLS is the base of the TLS settings; nil means the system's roots.
	// ServerName defaults to the host, and MinVersion is at least TLS 1.2.
	TLS *tls.Config
	// Resolver looks up the addresses of the host; nil means the system's.
	Resolver *net.Resolver
	// Throttled is called once per episode in which the server allows fewer
	// connections than Size, with the number left and the rejection, which is
	// safe to log. It must not block. May be nil.
	Throttled func(connections int, refusal *Failure)
	// Dial opens connections. Nil means a net.Dialer that enforces
	// Server.Within.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

func (c PoolConfig) withDefaults() (PoolConfig, error) {
	if c.Size < 0 || c.MaxMessages < 0 || c.ConnectTimeout < 0 || c.CommandTimeout < 0 ||
		c.OpenTimeout < 0 || c.DataTimeout < 0 || c.IdleTimeout < 0 || c.Room < 0 {
		return c, errors.New("no limit may be negative")
	}
	if c.Hello != "" && !validDomain(c.Hello) {
		return c, errors.New("the EHLO name is not a host name")
	}
	c.Size = cmp.Or(c.Size, 4)
	c.MaxMessages = cmp.Or(c.MaxMessages, 1000)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 10*time.Second)
	c.CommandTimeout = cmp.Or(c.CommandTimeout, 60*time.Second)
	c.OpenTimeout = cmp.Or(c.OpenTimeout, 3*time.Minute)
	c.DataTimeout = cmp.Or(c.DataTimeout, 60*time.Second)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 30*time.Second)
	return c, nil
}

// dial returns the function that opens connections to s.
func (c PoolConfig) dial(s Server, watched *probe) func(ctx context.Context, network, address string) (net.Conn, error) {
	switch {
	case c.Dial != nil:
		return c.Dial
	case s.Within != nil:
		return egress.Dialer(watched.check(s.Within), c.Resolver)
	}
	return (&net.Dialer{Resolver: c.Resolver}).DialContext
}

// Pool sends mail to one server over kept-open connections. It is safe for
// concurrent use; Size sends run at once and further ones wait. A Pool opens no
// connection before the first Send. Call Close when done.
//
// If a server rejects a connection with 421 or another temporary reply while
// others work, it allows fewer than Size: the pool then uses one fewer, waits
// 1, 2, 4 … seconds before it opens another, and tries one more after a minute
// without a rejection. No Send fails because of it.
type Pool struct {
	server   Server
	config   PoolConfig
	slots    *puddle.Pool[*slot]
	throttle *throttle
	tokens   *tokens         // nil: signs in with a password, or not at all
	closing  context.Context // ends when Close begins
	close    context.CancelFunc
}

// slot is a place for a connection. The pool hands out slots instead of
// connections, so that the Send that needs a connection opens it, within its
// own context.
type slot struct {
	conn     *connection // nil: not open
	throttle *throttle
}

// NewPool returns a pool for server. It fails with the error of
// [Server.Validate], or for an invalid limit in config.
func NewPool(server Server, config PoolConfig) (*Pool, error) {
	if err := server.Validate(); err != nil {
		return nil, fmt.Errorf("mail pool: %w", err)
	}
	config, err := config.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("mail pool: %w", err)
	}
	limit := newThrottle(config.Size, config.Throttled)
	slots, err := puddle.NewPool(&puddle.Config[*slot]{
		Constructor: func(context.Context) (*slot, error) { return &slot{throttle: limit}, nil },
		Destructor:  (*slot).close,
		MaxSize:     int32(config.Size),
	})
	if err != nil {
		return nil, fmt.Errorf("mail pool: %w", err)
	}
	p := &Pool{server: server, config: config, slots: slots, throttle: limit, tokens: tokensFor(server)}
	p.closing, p.close = context.WithCancel(context.Background())
	go p.closeIdle()
	return p, nil
}

// Send hands m to the server and returns nil once the server has accepted
// responsibility for it (RFC 5321, section 4.2.5). Any other outcome is a
// *[Failure].
//
// A kept-open connection that turns out to be closed is replaced once by a
// fresh one, as long as no content was sent; so one Send never hands a message
// over twice.
//
// The end of ctx closes the connection in use. For an orderly shutdown, give a
// running Send time to finish: interrupted between the final dot and its
// answer, it fails as [Unknown].
func (p *Pool) Send(ctx context.Context, m Message) error {
	mail, failure := m.seal()
	if failure == nil {
		failure = p.send(ctx, &mail)
	}
	if failure != nil {
		return failure
	}
	return nil
}

func (p *Pool) send(ctx context.Context, mail *envelope) *Failure {
	for {
		if failure := p.mayBegin(ctx); failure != nil {
			return failure
		}
		held, failure := p.acquire(ctx)
		if failure != nil {
			return failure
		}
		failure, withheld := p.sendOver(ctx, held, mail)
		if !withheld {
			return failure
		}
	}
}

// sendOver sends mail over held's connection, or a fresh one. If the server
// allows no further connection at present, held is withheld and the mail is not
// started.
func (p *Pool) sendOver(ctx context.Context, held *puddle.Resource[*slot], mail *envelope) (failure *Failure, withheld bool) {
	place := held.Value()
	defer func() {
		switch {
		case withheld:
		case place.conn == nil || place.conn.spent(): // idle slots have a connection, so none is opened while one is idle
			place.close()
			held.Destroy()
		default:
			held.Release()
		}
	}()
	if place.conn != nil {
		failure := p.deliver(ctx, place.conn, mail)
		if failure == nil || ctx.Err() != nil || !place.conn.stale(failure) {
			return failure, false
		}
		place.close()
	}
	if err := p.throttle.begin(ctx); err != nil {
		return &Failure{Class: Canceled, Stage: StageConnect, Err: err}, false
	}
	begun := time.Now()
	place.conn, failure = p.connect(ctx)
	p.throttle.ended(failure == nil)
	if failure != nil {
		return failure, p.throttle.withhold(ctx, held, failure, begun)
	}
	return p.deliver(ctx, place.conn, mail), false
}

// acquire waits for a slot: the one used last, so that surplus connections
// become idle and are closed.
func (p *Pool) acquire(ctx context.Context) (*puddle.Resource[*slot], *Failure) {
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.closing, func() { cancel(ErrClosed) })()
	held, err := p.slots.Acquire(waiting)
	if err == nil {
		return held, nil
	}
	if err = context.Cause(waiting); err == nil {
		err = ErrClosed
	}
	return nil, &Failure{Class: Canceled, Stage: StageConnect, Err: err}
}

// errNoRoom is the cause of a [Canceled] failure for lack of time.
var errNoRoom = errors.New("too little time left to start")

// mayBegin returns why a mail cannot be started in the time left, or nil.
func (p *Pool) mayBegin(ctx context.Context) *Failure {
	if ctx.Err() != nil {
		return &Failure{Class: Canceled, Stage: StageConnect, Err: context.Cause(ctx)}
	}
	if err := hasLeft(ctx, p.config.Room); err != nil {
		return &Failure{Class: Canceled, Stage: StageConnect, Err: err}
	}
	return nil
}

// deliver sends mail over c if there is still time for it.
func (p *Pool) deliver(ctx context.Context, c *connection, mail *envelope) *Failure {
	if failure := p.mayBegin(ctx); failure != nil {
		return failure
	}
	timed := *mail
	if mail.ready != nil {
		timed.ready = func(ctx context.Context) error {
			if err := mail.ready(ctx); err != nil {
				return err
			}
			return hasLeft(ctx, p.config.Room/4) // for the last of four answers
		}
	}
	return c.deliver(ctx, &timed)
}

// hasLeft returns errNoRoom if less than least is left of ctx.
func hasLeft(ctx context.Context, least time.Duration) error {
	if end, bounded := ctx.Deadline(); bounded && time.Until(end) < least {
		return errNoRoom
	}
	return nil
}

// closeIdle closes connections that have not been used for IdleTimeout, until
// the pool is closed.
func (p *Pool) closeIdle() {
	look := time.NewTicker(max(p.config.IdleTimeout/30, time.Millisecond))
	defer look.Stop()
	for {
		select {
		case <-p.closing.Done():
			return
		case <-look.C:
		}
		for _, idle := range p.slots.AcquireAllIdle() {
			if idle.IdleDuration() >= p.config.IdleTimeout {
				idle.Destroy()
			} else {
				idle.ReleaseUnused()
			}
		}
	}
}

func (s *slot) close() {
	if s.conn != nil {
		s.conn.close()
		s.conn = nil
		s.throttle.closed()
	}
}

// Close rejects new sends, waits for those in progress, closes every kept-open
// connection with a QUIT and returns when all are closed. Sends still waiting
// for a connection fail as [Canceled] with [ErrClosed]. A second Close waits
// for the first.
func (p *Pool) Close() {
	p.close()
	p.throttle.close()
	p.slots.Close()
}
