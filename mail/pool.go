package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/egress"
)

// PoolConfig sets the limits of a [Pool]. The zero value means the defaults.
type PoolConfig struct {
	Size           int           // connections, and so mails in flight; 0 means 4
	MaxMessages    int           // messages before a connection is replaced; 0 means 1,000
	ConnectTimeout time.Duration // opening a TCP connection, then the implicit TLS handshake; 0 means 10 s
	CommandTimeout time.Duration // each command and its answer, the greeting too; 0 means 60 s
	OpenTimeout    time.Duration // all from the greeting to the sign-in together; 0 means 3 min
	DataTimeout    time.Duration // sending the content, and waiting for the answer to it; 0 means 60 s each
	IdleTimeout    time.Duration // an unused connection is closed after this; 0 means 30 s

	// Room is what must be left of the time a Send has for its mail to be begun
	// on: cut off after the content, a mail might have to be sent a second time.
	// With less left the Send fails as Canceled, and the connection is kept for
	// the next unless the server was asked for this mail already. 0 means that any
	// is enough.
	Room time.Duration

	// Hello is the host name given in EHLO. Empty: the address literal of the
	// connection's own end.
	Hello string
	// TLS is the base of the TLS settings; nil means the system's roots. Its
	// ServerName defaults to the host, its MinVersion is raised to TLS 1.2.
	TLS *tls.Config
	// Resolver finds the addresses of the host; nil means the system's.
	Resolver *net.Resolver
	// Dial opens connections. Nil means a net.Dialer that keeps to
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
	c.Size = orDefault(c.Size, 4)
	c.MaxMessages = orDefault(c.MaxMessages, 1000)
	c.ConnectTimeout = orDefault(c.ConnectTimeout, 10*time.Second)
	c.CommandTimeout = orDefault(c.CommandTimeout, 60*time.Second)
	c.OpenTimeout = orDefault(c.OpenTimeout, 3*time.Minute)
	c.DataTimeout = orDefault(c.DataTimeout, 60*time.Second)
	c.IdleTimeout = orDefault(c.IdleTimeout, 30*time.Second)
	return c, nil
}

// dial is how connections to a server are opened.
func (c PoolConfig) dial(s Server) func(ctx context.Context, network, address string) (net.Conn, error) {
	switch {
	case c.Dial != nil:
		return c.Dial
	case s.Within != nil:
		return egress.Dialer(s.Within.Check, c.Resolver)
	}
	return (&net.Dialer{Resolver: c.Resolver}).DialContext
}

func orDefault[T int | time.Duration](value, fallback T) T {
	if value == 0 {
		return fallback
	}
	return value
}

// Pool sends mail to one server over kept-open connections. It is safe for
// concurrent use; Size sends run at once and further ones wait. A Pool opens
// no connection before the first Send.
type Pool struct {
	server Server
	config PoolConfig

	slots   chan struct{}  // one token a send in flight, or a Sequence between two
	closing chan struct{}  // closed when Close begins
	drained chan struct{}  // closed when Close is done
	parting sync.WaitGroup // idle connections being closed by their timer

	oneByOne atomic.Bool // the server does not bear to be asked for a mail with the one before

	mu     sync.Mutex
	closed bool
	idle   []*connection // most recently used last
}

// NewPool returns a pool for server, or the first fault of the settings:
// that of [Server.Validate], or of a limit in config.
func NewPool(server Server, config PoolConfig) (*Pool, error) {
	if err := server.Validate(); err != nil {
		return nil, fmt.Errorf("mail pool: %w", err)
	}
	config, err := config.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("mail pool: %w", err)
	}
	return &Pool{
		server:  server,
		config:  config,
		slots:   make(chan struct{}, config.Size),
		closing: make(chan struct{}),
		drained: make(chan struct{}),
	}, nil
}

// Send composes m and delivers it; see [Sequence.Deliver].
func (p *Pool) Send(ctx context.Context, m Message) error {
	composed, err := m.Compose()
	if err != nil {
		return err
	}
	return p.Sequence().Deliver(ctx, composed, Handling{})
}

func (p *Pool) acquire(ctx context.Context) *Failure {
	// Checked first, because select picks at random among what is ready.
	select {
	case <-p.closing:
		return &Failure{Class: Canceled, Stage: StageConnect, Err: ErrClosed}
	default:
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-p.closing:
		return &Failure{Class: Canceled, Stage: StageConnect, Err: ErrClosed}
	case <-ctx.Done():
		return &Failure{Class: Canceled, Stage: StageConnect, Err: context.Cause(ctx)}
	}
}

// takeIdle returns the connection used last, so that surplus ones grow old and
// go; nil when there is none.
func (p *Pool) takeIdle() *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	last := len(p.idle) - 1
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	c.idle.Stop()
	return c
}

// put keeps c for the next message, or closes it.
func (p *Pool) put(c *connection) {
	if c.broken || c.spent() || !p.keep(c) {
		c.close()
	}
}

func (p *Pool) keep(c *connection) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.idle = append(p.idle, c)
	if c.idle == nil {
		c.idle = time.AfterFunc(p.config.IdleTimeout, func() { p.retire(c) })
	} else {
		c.idle.Reset(p.config.IdleTimeout)
	}
	return true
}

// retire closes a connection nobody used for a while.
func (p *Pool) retire(c *connection) {
	p.mu.Lock()
	at := slices.Index(p.idle, c)
	if at < 0 {
		// It was taken, or closed with the pool, just before the timer fired.
		p.mu.Unlock()
		return
	}
	p.idle = slices.Delete(p.idle, at, at+1)
	p.parting.Add(1)
	p.mu.Unlock()
	defer p.parting.Done()
	c.close()
}

// Close refuses new sends, waits for those in flight, those that a [Sequence] has
// asked the server for among them, says goodbye on every kept-open connection and
// returns when all are closed. Sends still waiting for a connection fail as
// [Canceled] with [ErrClosed]. A second Close waits for the first.
func (p *Pool) Close() {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	if first {
		p.drain(idle)
	}
	<-p.drained
}

func (p *Pool) drain(idle []*connection) {
	defer close(p.drained)
	close(p.closing)
	for _, c := range idle {
		c.idle.Stop()
		c.close()
	}
	// Every slot is taken for good, so that no send starts once this is done.
	for range p.config.Size {
		p.slots <- struct{}{}
	}
	p.parting.Wait()
}
