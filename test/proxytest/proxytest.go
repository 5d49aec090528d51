// Package proxytest puts a proxy between a program and a server that can cut,
// delay or block their connections.
package proxytest

import (
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Proxy passes TCP connections on to a server until the test ends. It can be
// told to misbehave at any time.
type Proxy struct {
	listener net.Listener
	done     chan struct{}
	once     sync.Once
	wg       sync.WaitGroup

	mu              sync.Mutex
	network, target string
	lines           map[*connPair]bool
	open            chan struct{} // closed: data passes; otherwise it is held back
	refusing        bool
	hangUps         int // this many more connections
	delay           time.Duration
	judge           func([]byte) Action
	held            chan struct{}
}

// Action is what to do with a piece of a client's data.
type Action int

const (
	Pass       Action = iota
	CutBefore         // every connection is cut before the server receives it
	CutAfter          // the server receives it; every connection is cut when it answers
	HoldAnswer        // the server receives it; its answers on this connection are held back
)

// connPair is one connection through the proxy.
type connPair struct {
	client, server net.Conn
	once           sync.Once
	closed         chan struct{}

	mu    sync.Mutex
	after Action // what to do with the server's next data
}

func (l *connPair) close() {
	l.once.Do(func() {
		close(l.closed)
		_ = l.client.Close()
		_ = l.server.Close()
	})
}

// Start starts a proxy on a free loopback port in front of a server.
func Start(tb testing.TB, network, target string) *Proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("start proxy: %v", err)
	}
	return StartAt(tb, listener, network, target)
}

// StartAt starts a proxy that accepts connections of a listener, which it closes.
func StartAt(tb testing.TB, listener net.Listener, network, target string) *Proxy {
	tb.Helper()
	open := make(chan struct{})
	close(open)
	p := &Proxy{
		listener: listener, network: network, target: target, done: make(chan struct{}),
		lines: map[*connPair]bool{}, open: open, held: make(chan struct{}, 1),
	}
	p.wg.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(c) })
		}
	})
	tb.Cleanup(p.Stop)
	return p
}

// Stop closes the listener and every connection, and waits for them to end. It
// may be called more than once.
func (p *Proxy) Stop() {
	p.once.Do(func() {
		close(p.done)
		_ = p.listener.Close()
		p.Cut()
	})
	p.wg.Wait()
}

// Postgres starts a proxy in front of the server of a DATABASE_URL and returns
// the URL that leads through it.
func Postgres(tb testing.TB, databaseURL string) (*Proxy, string) {
	tb.Helper()
	return postgres(tb, databaseURL, func(network, target string) *Proxy { return Start(tb, network, target) })
}

// PostgresAt is Postgres with a proxy that accepts connections of a listener.
func PostgresAt(tb testing.TB, listener net.Listener, databaseURL string) (*Proxy, string) {
	tb.Helper()
	return postgres(tb, databaseURL, func(network, target string) *Proxy { return StartAt(tb, listener, network, target) })
}

func postgres(tb testing.TB, databaseURL string, start func(network, target string) *Proxy) (*Proxy, string) {
	tb.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		tb.Fatal("the DATABASE_URL is not a URL") // it may contain a password
	}
	q := u.Query()
	network, target := "tcp", net.JoinHostPort(u.Hostname(), orDefault(u.Port(), "5432"))
	if host := q.Get("host"); host != "" {
		network, target = "unix", filepath.Join(host, ".s.PGSQL."+orDefault(q.Get("port"), "5432"))
	}
	p := start(network, target)
	q.Del("host")
	q.Del("port")
	q.Set("sslmode", "disable")
	u.Host, u.RawQuery = p.Address(), q.Encode()
	return p, u.String()
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// Address returns the host and port to connect to.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Cut closes every connection.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.lines {
		l.close()
	}
}

// Refuse makes new connections close at once, as on a host whose server is not
// running.
func (p *Proxy) Refuse(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = yes
}

// HangUp makes the next n connections close cleanly after the client's first
// message.
func (p *Proxy) HangUp(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hangUps = n
}

// Silence holds everything back, with the connections open and new ones
// accepted, like a host that hangs or a network partition. What was held back
// arrives when the silence is over.
func (p *Proxy) Silence(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
		if yes {
			p.open = make(chan struct{})
		}
	default:
		if !yes {
			close(p.open)
		}
	}
}

// Delay delays every piece of data, each way.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Filter calls f to decide on each piece of data from clients; nil: all of it
// passes. f may be called from several goroutines at once, and may block: its
// connection waits.
func (p *Proxy) Filter(f func(said []byte) Action) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.judge = f
}

// Held receives a value when an answer was held back, or a connection was cut
// instead of it: by then the server has processed the request.
func (p *Proxy) Held() <-chan struct{} { return p.held }

func (p *Proxy) serve(client net.Conn) {
	p.mu.Lock()
	refusing, network, target := p.refusing, p.network, p.target
	hangUp := p.hangUps > 0
	if hangUp {
		p.hangUps--
	}
	p.mu.Unlock()
	if hangUp {
		_, _ = client.Read(make([]byte, 4<<10)) // unread data would reset the connection
		refusing = true
	}
	if refusing {
		_ = client.Close()
		return
	}
	server, err := net.DialTimeout(network, target, 5*time.Second)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &connPair{client: client, server: server, closed: make(chan struct{})}
	p.mu.Lock()
	p.lines[l] = true
	p.mu.Unlock()
	defer func() {
		l.close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.lines, l)
	}()
	select {
	case <-p.done: // just now
		return
	default:
	}
	p.wg.Go(func() { p.pump(l, server, client, p.answer) })
	p.pump(l, client, server, p.ask)
}

// pump copies one way until the connection is closed. decide reports whether a
// piece passes.
func (p *Proxy) pump(l *connPair, from, to net.Conn, decide func(*connPair, []byte) bool) {
	defer l.close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && p.wait(l) && decide(l, buffer[:n]) {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// wait returns when data may pass, false if the connection is closed before.
func (p *Proxy) wait(l *connPair) bool {
	p.mu.Lock()
	open, delay := p.open, p.delay
	p.mu.Unlock()
	select {
	case <-open:
	case <-l.closed:
		return false
	}
	if delay == 0 {
		return true
	}
	select {
	case <-time.After(delay):
		return true
	case <-l.closed:
		return false
	}
}

func (p *Proxy) ask(l *connPair, said []byte) bool {
	p.mu.Lock()
	judge := p.judge
	p.mu.Unlock()
	if judge == nil {
		return true
	}
	v := judge(said)
	if v == CutBefore {
		p.Cut()
		return false
	}
	if v != Pass {
		l.mu.Lock()
		l.after = v
		l.mu.Unlock()
	}
	return true
}

func (p *Proxy) answer(l *connPair, _ []byte) bool {
	l.mu.Lock()
	after := l.after
	l.mu.Unlock()
	if after == Pass {
		return true
	}
	if after == CutAfter {
		p.Cut()
	}
	select {
	case p.held <- struct{}{}:
	default:
	}
	return false
}
