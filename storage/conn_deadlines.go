package storage

import (
	"context"
	"database/sql/driver"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lib/pq"
)

const (
	// cancelGrace is what is left to a connection when the context of what it
	// does has ended: enough for the cancel request, which the driver sends by
	// another connection, to be obeyed by a server that still answers.
	cancelGrace = time.Second
	// commitMost bounds a commit, which has no context of its own.
	commitMost = 15 * time.Second
)

// connector opens connections that do not outwait the contexts of what is done
// on them. The driver sends a cancel request when a context ends and then waits
// for the server to heed it: for ever, if that has fallen silent with its
// connections open, as a host does that hangs or is parted from us. So the
// connection is given a deadline then.
//
// A pooler such as PgBouncer refuses a connection that asks for session
// parameters. What that names is left out from then on.
type connector struct {
	direct   *hosts // with session parameters
	pooled   *hosts // without
	isPooled atomic.Bool
	open     *openConns
}

func (c *connector) Driver() driver.Driver { return &pq.Driver{} }

// handshake is a connection being made, up to the last word of its handshake.
type handshake struct {
	ctx  context.Context
	conn *watchedConn // of several dialed, the last is the one in use
	stop func() bool
}

// handshakeKey finds the handshake in the context of a dial; there is none where a
// cancel request is to be sent.
type handshakeKey struct{}

// dialer tells the handshake what it has dialed. The driver bounds a handshake by
// connect_timeout alone, so the end of the context cuts it off.
type dialer struct{ dial net.Dialer }

func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.dial.DialContext(ctx, network, address)
	o, ok := ctx.Value(handshakeKey{}).(*handshake)
	if !ok || err != nil {
		return conn, err
	}
	o.end()
	o.conn = &watchedConn{Conn: conn}
	o.stop = context.AfterFunc(o.ctx, func() { _ = conn.SetDeadline(time.Now()) })
	return o.conn, nil
}

func (o *handshake) end() {
	if o.stop != nil {
		o.stop()
	}
}

func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

func (d dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout(network, address, timeout)
}

func newConnector(direct, pooled string) (*connector, error) {
	c := &connector{open: newOpenConns()}
	for dsn, to := range map[string]**hosts{direct: &c.direct, pooled: &c.pooled} {
		var err error
		if *to, err = newHosts(dsn); err != nil {
			return nil, err
		}
		(*to).moved = c.open.leaveOthers
	}
	return c, nil
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	if c.isPooled.Load() {
		return c.pooled.connect(ctx, c.connect)
	}
	conn, err := c.direct.connect(ctx, c.connect)
	if sqlState(err) == "08P01" { // PgBouncer: unsupported startup parameter
		if conn, err = c.pooled.connect(ctx, c.connect); err == nil {
			c.isPooled.Store(true)
		}
	}
	return conn, err
}

func (c *connector) connect(ctx context.Context, host int, by *pq.Connector) (driver.Conn, error) {
	o := &handshake{ctx: ctx}
	defer o.end()
	conn, err := by.Connect(context.WithValue(ctx, handshakeKey{}, o))
	if err != nil {
		if sqlState(err) == "" && ctx.Err() == nil && !refused(err) {
			// None of the hosts answered, or none can be written to. Not wrapped: it
			// may be io.EOF, which a reader of a file would take for its end.
			err = fmt.Errorf("%w: %v", ErrUnavailable, err)
		}
		return nil, err
	}
	line := &deadlineConn{conn: o.conn, host: host, opened: time.Now()}
	o.conn.silent = func() { c.open.suspect(host) }
	c.open.add(line)
	return &deadlineDriverConn{conn.(driverConn), line, c.open}, nil
}

// deadlineConn is the network connection under a connection of the database.
type deadlineConn struct {
	conn   net.Conn
	host   int // its index in [hosts]
	opened time.Time
	stale  atomic.Bool // not to be used again

	mu   sync.Mutex
	turn int       // of what is being done: the end of an earlier context is of no concern
	end  time.Time // of the connection, whatever is being done; zero: none
}

// setDeadline sets a deadline, but none after the end of the connection. The caller
// holds l.mu.
func (l *deadlineConn) setDeadline(t time.Time) {
	if !l.end.IsZero() && (t.IsZero() || l.end.Before(t)) {
		t = l.end
	}
	_ = l.conn.SetDeadline(t)
}

// leave ends the connection after grace.
func (l *deadlineConn) leave(grace time.Duration) {
	l.stale.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end.IsZero() {
		l.end = time.Now().Add(grace)
		l.setDeadline(l.end)
	}
}

// during bounds what is done next by ctx: reading rows, too, which may go on
// until the next call.
func (l *deadlineConn) during(ctx context.Context) {
	l.mu.Lock()
	l.turn++
	turn := l.turn
	l.setDeadline(time.Time{})
	l.mu.Unlock()
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.turn == turn {
			l.setDeadline(time.Now().Add(cancelGrace))
		}
	})
}

// within bounds what is done next, by ctx and in time.
func (l *deadlineConn) within(ctx context.Context, most time.Duration) {
	l.during(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil {
		most = cancelGrace
	}
	l.setDeadline(time.Now().Add(most))
}

// driverConn is what the driver's connections can do.
type driverConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

// deadlineDriverConn is a connection whose line is bounded by the context of each call.
type deadlineDriverConn struct {
	driverConn
	line *deadlineConn
	open *openConns
}

func (c *deadlineDriverConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.line.during(ctx)
	return c.driverConn.ExecContext(ctx, query, args)
}

func (c *deadlineDriverConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.line.during(ctx)
	return c.driverConn.QueryContext(ctx, query, args)
}

func (c *deadlineDriverConn) Ping(ctx context.Context) error {
	c.line.during(ctx)
	return c.driverConn.Ping(ctx)
}

func (c *deadlineDriverConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.line.during(ctx)
	stmt, err := c.driverConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return &deadlineStmt{stmt.(driverStmt), c.line}, nil
}

func (c *deadlineDriverConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	c.line.during(ctx)
	tx, err := c.driverConn.BeginTx(ctx, options)
	if err != nil {
		return nil, err
	}
	return &deadlineTx{tx, c.line, ctx}, nil
}

// ResetSession is called when the connection is taken out of the pool. The
// context of what was done last may have ended since.
func (c *deadlineDriverConn) ResetSession(ctx context.Context) error {
	if c.line.stale.Load() {
		return driver.ErrBadConn
	}
	c.line.during(ctx)
	return c.driverConn.ResetSession(ctx)
}

// IsValid is called when the connection is put back into the pool.
func (c *deadlineDriverConn) IsValid() bool { return !c.line.stale.Load() && c.driverConn.IsValid() }

func (c *deadlineDriverConn) Close() error {
	c.open.remove(c.line)
	c.line.within(context.Background(), cancelGrace)
	return c.driverConn.Close()
}

// deadlineTx is a transaction that ends in time, whether or not the server says so.
type deadlineTx struct {
	driver.Tx
	line *deadlineConn
	ctx  context.Context // of BeginTx: database/sql ends the transaction with it
}

func (t *deadlineTx) Commit() error {
	t.line.within(t.ctx, commitMost)
	return t.Tx.Commit()
}

func (t *deadlineTx) Rollback() error {
	t.line.within(t.ctx, commitMost)
	return t.Tx.Rollback()
}

// driverStmt is what the driver's prepared statements can do.
type driverStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type deadlineStmt struct {
	driverStmt
	line *deadlineConn
}

func (s *deadlineStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.line.during(ctx)
	return s.driverStmt.ExecContext(ctx, args)
}

func (s *deadlineStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.line.during(ctx)
	return s.driverStmt.QueryContext(ctx, args)
}
