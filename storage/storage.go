// Package storage holds all SQL of Rollcall, one file an aggregate. One
// exported method is one transaction; a transaction never leaves the package.
// Errors are translated at this edge: callers decide by the sentinels below,
// never by SQLSTATE.
//
// Lock order, for every transaction that takes more than one: imports (by id),
// users (by email_key), invitations, second factors. A batch creates its users before it locks
// its import; nobody sees those yet, so nobody can wait for them but another
// batch with the same addresses: see Batch.WaitForPrevious.
package storage

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// Store is a pool of connections to PostgreSQL. It is safe for concurrent use.
type Store struct {
	db        *sqlx.DB
	connector *connector
	listenDSN string
}

// Options bound a Store. Zero values take the default.
type Options struct {
	MaxConns    int           // open connections at most; default 16
	IdleFor     time.Duration // an idle connection closes after this; default 5 min
	Application string        // application_name shown by PostgreSQL
	LockTimeout time.Duration // a statement that waits longer for a lock fails; default: none
	ListenURL   string        // where to listen for notifications, if a pooler is in between; default: the same
}

// Open makes a Store for a DATABASE_URL, as [DriverURL] reads it. It connects
// lazily: use [Store.Ping] to learn whether the database answers.
func Open(databaseURL string, o Options) (*Store, error) {
	dsn, err := DriverURL(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL %w", err)
	}
	listen := dsn
	if o.ListenURL != "" {
		if listen, err = DriverURL(o.ListenURL); err != nil {
			return nil, fmt.Errorf("DATABASE_LISTEN_URL %w", err)
		}
	}
	connector, err := newConnector(withParameters(withParameters(dsn, connectionDefaults(o)), sessionParameters(o)), withParameters(dsn, connectionDefaults(o)))
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db := sqlx.NewDb(sql.OpenDB(connector), "postgres")
	db.SetMaxOpenConns(cmp.Or(o.MaxConns, 16))
	db.SetMaxIdleConns(cmp.Or(o.MaxConns, 16))
	db.SetConnMaxIdleTime(cmp.Or(o.IdleFor, 5*time.Minute))
	return &Store{db: db, connector: connector, listenDSN: withParameters(listen, connectionDefaults(o))}, nil
}

// parameter is one of a connection string.
type parameter struct {
	name, value string
	always      bool // whatever the URL says
}

// connectionDefaults are parameters that concern the driver. They go in binary,
// so that an uploaded chunk and the arrays of a batch travel as they are and a
// statement with arguments takes one round trip instead of two. Of several
// hosts, and of one that is a standby for now, only a server that can be written
// to will do.
func connectionDefaults(o Options) []parameter {
	return []parameter{
		{name: "connect_timeout", value: "5"}, // seconds
		{name: "application_name", value: o.Application},
		{name: "target_session_attrs", value: "read-write"},
		{name: "binary_parameters", value: "yes", always: true},
	}
}

// sessionParameters are settings of a session in PostgreSQL: an end, in
// milliseconds, to a transaction whose worker is gone without a word, for it
// holds locks that others wait for; the isolation that all statements are
// written for, whatever the role's default; and no compiling of plans, see
// [forceIndexScan].
func sessionParameters(o Options) []parameter {
	p := []parameter{
		{name: "idle_in_transaction_session_timeout", value: "15000"},
		{name: "default_transaction_isolation", value: "read committed", always: true},
		{name: "jit", value: "off"},
	}
	if o.LockTimeout > 0 {
		p = append(p, parameter{name: "lock_timeout", value: strconv.FormatInt(o.LockTimeout.Milliseconds(), 10)})
	}
	return p
}

// withParameters adds parameters to a connection string of the driver.
func withParameters(dsn string, wanted []parameter) string {
	if !isDatabaseURL(dsn) {
		for _, w := range wanted { // the last one of a name counts
			if w.value != "" && (w.always || !strings.Contains(dsn, w.name+"=")) {
				dsn += fmt.Sprintf(" %s='%s'", w.name, w.value)
			}
		}
		return dsn
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn // not from DriverURL
	}
	q := u.Query()
	for _, w := range wanted {
		if w.value != "" && (w.always || !q.Has(w.name)) {
			q.Set(w.name, w.value)
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Close closes every connection.
func (s *Store) Close() error { return s.db.Close() }

// Pooled reports whether a connection so far met a pooler that keeps session
// parameters from the server, as PgBouncer does.
func (s *Store) Pooled() bool { return s.connector.isPooled.Load() }

// DB is the pool itself, for migrations and for tests. No query of the
// application goes past the methods of Store.
func (s *Store) DB() *sql.DB { return s.db.DB }

// Ping asks the database for a sign of life.
// A database that can only be read is unavailable, too.
func (s *Store) Ping(ctx context.Context) (err error) {
	defer translate(&err, "ping database")
	var readOnly bool
	if err := s.db.GetContext(ctx, &readOnly, `SELECT current_setting('transaction_read_only')::bool`); err != nil {
		return err
	}
	if readOnly {
		return fmt.Errorf("%w: it is read-only", ErrUnavailable)
	}
	return nil
}

// CheckServer returns ErrRefused, with what to do, if the database or a pooler in
// between is configured in a way that nothing here can work with.
func (s *Store) CheckServer(ctx context.Context) (err error) {
	defer translate(&err, "check the database's configuration")
	var encoding, isolation string
	err = s.transact(ctx, func(tx *sqlx.Tx) error { // a pooler in statement mode refuses this
		return tx.QueryRowxContext(ctx, `
			SELECT current_setting('server_encoding'), setting FROM pg_settings WHERE name = 'default_transaction_isolation'`).Scan(&encoding, &isolation)
	})
	switch {
	case errors.Is(err, driver.ErrBadConn) && s.Pooled() && s.Ping(ctx) == nil:
		return fmt.Errorf("%w: the pooler in between ends connections that begin a transaction: set pool_mode = transaction or session", ErrRefused)
	case err != nil:
		return err
	case encoding != "UTF8":
		return fmt.Errorf("%w: its encoding is %s, which cannot hold every name: create a database with ENCODING 'UTF8'", ErrRefused, encoding)
	case isolation != "read committed":
		return fmt.Errorf("%w: the role's default_transaction_isolation is %s and the pooler lets no connection change it: run ALTER ROLE … SET default_transaction_isolation = 'read committed'", ErrRefused, isolation)
	}
	return nil
}

// Now is the database's clock, the only one two machines compare.
func (s *Store) Now(ctx context.Context) (t time.Time, err error) {
	defer translate(&err, "read the database's clock")
	return t, s.db.GetContext(ctx, &t, `SELECT clock_timestamp()`)
}

// transactTries bounds how often a transaction is run that PostgreSQL chose as
// the victim of a deadlock or a conflict.
const transactTries = 5

// transact runs fn in a transaction and commits it if fn returns nil. fn may
// run several times and must have no effects but those on tx. Whether a commit
// whose answer was lost took place is for the caller's fence or key to settle,
// so that is never repeated here.
func (s *Store) transact(ctx context.Context, fn func(tx *sqlx.Tx) error) error {
	for try := 1; ; try++ {
		err := s.transactOnce(ctx, fn)
		if err == nil || try == transactTries || !conflicted(err) {
			return err
		}
	}
}

// readCommitted is the isolation of every transaction, even where a pooler keeps the
// session parameter from the server.
var readCommitted = &sql.TxOptions{Isolation: sql.LevelReadCommitted}

func (s *Store) transactOnce(ctx context.Context, fn func(tx *sqlx.Tx) error) error {
	tx, err := s.db.BeginTxx(ctx, readCommitted)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit this does nothing
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// seconds writes a duration for make_interval(secs => $n).
func seconds(d time.Duration) float64 { return d.Seconds() }

// textArray passes strings as one text[] parameter.
func textArray(s []string) any { return pq.StringArray(s) }

// affectedOne returns otherwise unless exactly one row was changed.
func affectedOne(r sql.Result, otherwise error) error {
	n, err := r.RowsAffected()
	if err != nil {
		return err
	}
	if n != 1 {
		return otherwise
	}
	return nil
}
