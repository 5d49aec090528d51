package storage

import (
	"context"
	"database/sql/driver"
	"net"
	"sync"
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
type connector struct{ *pq.Connector }

// opening is a connection being made, up to the last word of its handshake.
type opening struct {
	ctx  context.Context
	conn net.Conn // of several tried, the last is the one in use
	stop func() bool
}

// openingKey finds the opening in the context of a dial; there is none where a
// cancel request is to be sent.
type openingKey struct{}

// dialer tells the opening what it has dialed. The driver bounds a handshake by
// connect_timeout alone, so the end of the context cuts it off.
type dialer struct{ dial net.Dialer }

func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.dial.DialContext(ctx, network, address)
	if o, ok := ctx.Value(openingKey{}).(*opening); ok && err == nil {
		o.end()
		o.conn = conn
		o.stop = context.AfterFunc(o.ctx, func() { _ = conn.SetDeadline(time.Now()) })
	}
	return conn, err
}

func (o *opening) end() {
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

func newConnector(dsn string) (*connector, error) {
	c, err := pq.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	c.Dialer(dialer{})
	return &connector{c}, nil
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	o := &opening{ctx: ctx}
	defer o.end()
	conn, err := c.Connector.Connect(context.WithValue(ctx, openingKey{}, o))
	if err != nil {
		return nil, err
	}
	return &boundConn{conn.(driverConn), &line{conn: o.conn}}, nil
}

// line is the network connection under a connection of the database.
type line struct {
	conn net.Conn

	mu   sync.Mutex
	turn int // of what is being done: the end of an earlier context is of no concern
}

// during bounds what is done next by ctx: reading rows, too, which may go on
// until the next call.
func (l *line) during(ctx context.Context) {
	l.mu.Lock()
	l.turn++
	turn := l.turn
	_ = l.conn.SetDeadline(time.Time{})
	l.mu.Unlock()
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.turn == turn {
			_ = l.conn.SetDeadline(time.Now().Add(cancelGrace))
		}
	})
}

// within bounds what is done next, by ctx and in time.
func (l *line) within(ctx context.Context, most time.Duration) {
	l.during(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil {
		most = cancelGrace
	}
	_ = l.conn.SetDeadline(time.Now().Add(most))
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

// boundConn is a connection whose line is bounded by the context of each call.
type boundConn struct {
	driverConn
	line *line
}

func (c *boundConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.line.during(ctx)
	return c.driverConn.ExecContext(ctx, query, args)
}

func (c *boundConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.line.during(ctx)
	return c.driverConn.QueryContext(ctx, query, args)
}

func (c *boundConn) Ping(ctx context.Context) error {
	c.line.during(ctx)
	return c.driverConn.Ping(ctx)
}

func (c *boundConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.line.during(ctx)
	stmt, err := c.driverConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return &boundStmt{stmt.(driverStmt), c.line}, nil
}

func (c *boundConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	c.line.during(ctx)
	tx, err := c.driverConn.BeginTx(ctx, options)
	if err != nil {
		return nil, err
	}
	return &boundTx{tx, c.line, ctx}, nil
}

// ResetSession is called when the connection is taken out of the pool. The
// context of what was done last may have ended since.
func (c *boundConn) ResetSession(ctx context.Context) error {
	c.line.during(ctx)
	return c.driverConn.ResetSession(ctx)
}

func (c *boundConn) Close() error {
	c.line.within(context.Background(), cancelGrace)
	return c.driverConn.Close()
}

// boundTx is a transaction that ends in time, whether or not the server says so.
type boundTx struct {
	driver.Tx
	line *line
	ctx  context.Context // of BeginTx: database/sql ends the transaction with it
}

func (t *boundTx) Commit() error {
	t.line.within(t.ctx, commitMost)
	return t.Tx.Commit()
}

func (t *boundTx) Rollback() error {
	t.line.within(t.ctx, commitMost)
	return t.Tx.Rollback()
}

// driverStmt is what the driver's prepared statements can do.
type driverStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type boundStmt struct {
	driverStmt
	line *line
}

func (s *boundStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.line.during(ctx)
	return s.driverStmt.ExecContext(ctx, args)
}

func (s *boundStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.line.during(ctx)
	return s.driverStmt.QueryContext(ctx, args)
}
