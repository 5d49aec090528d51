// Package storage holds all SQL of Rollcall, one file an aggregate. One
// exported method is one transaction; a transaction never leaves the package.
// Errors are translated at this edge: callers decide by the sentinels below,
// never by SQLSTATE.
//
// Lock order, for every transaction that takes more than one: imports (by id),
// users (by email_key), invitations, second factors. A batch creates its users before it locks
// its import; nobody sees those yet, so nobody can wait for them but another
// batch with the same addresses: see Batch.Turn.
package storage

import (
	"context"
	"database/sql"
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
	db       *sqlx.DB
	dsn      string
	prepared prepared
}

// Options bound a Store. Zero values take the default.
type Options struct {
	MaxConns    int           // open connections at most; default 16
	IdleFor     time.Duration // an idle connection closes after this; default 5 min
	Application string        // application_name shown by PostgreSQL
	LockTimeout time.Duration // a statement that waits longer for a lock fails; default: none
}

// Open makes a Store for a postgres:// URL or a key=value connection string.
// It connects lazily: use [Store.Ping] to learn whether the database answers.
func Open(databaseURL string, o Options) (*Store, error) {
	dsn, err := connectionString(databaseURL, o)
	if err != nil {
		return nil, err
	}
	connector, err := newConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db := sqlx.NewDb(sql.OpenDB(connector), "postgres")
	if o.MaxConns == 0 {
		o.MaxConns = 16
	}
	if o.IdleFor == 0 {
		o.IdleFor = 5 * time.Minute
	}
	db.SetMaxOpenConns(o.MaxConns)
	db.SetMaxIdleConns(o.MaxConns)
	db.SetConnMaxIdleTime(o.IdleFor)
	return &Store{db: db, dsn: dsn}, nil
}

// connectTimeout bounds a dial, in seconds, where the URL does not say.
const connectTimeout = "5"

// connectionString adds what Rollcall relies on. Whatever the URL says,
// parameters go in binary, so that an uploaded chunk and the arrays of a batch
// travel as they are and a statement with arguments takes one round trip instead
// of two. Where the URL does not say otherwise: an end to waiting for a
// connection; and an end, in milliseconds, to a transaction whose worker is gone
// without a word, for it holds locks that others wait for.
func connectionString(databaseURL string, o Options) (string, error) {
	wanted := [][2]string{
		{"connect_timeout", connectTimeout},
		{"application_name", o.Application},
		{"idle_in_transaction_session_timeout", "15000"},
	}
	if o.LockTimeout > 0 {
		wanted = append(wanted, [2]string{"lock_timeout", strconv.FormatInt(o.LockTimeout.Milliseconds(), 10)})
	}
	if !strings.HasPrefix(databaseURL, "postgres://") && !strings.HasPrefix(databaseURL, "postgresql://") {
		dsn := databaseURL
		for _, w := range wanted {
			if w[1] != "" && !strings.Contains(dsn, w[0]+"=") {
				dsn += fmt.Sprintf(" %s='%s'", w[0], w[1])
			}
		}
		return dsn + " binary_parameters=yes", nil // the last one counts
	}
	u, err := url.Parse(databaseURL)
	if err != nil {
		return "", errors.New("DATABASE_URL is not a URL") // url's own text would show the password
	}
	q := u.Query()
	for _, w := range wanted {
		if w[1] != "" && !q.Has(w[0]) {
			q.Set(w[0], w[1])
		}
	}
	q.Set("binary_parameters", "yes")
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// Close closes every connection.
func (s *Store) Close() error { return s.db.Close() }

// DB is the pool itself, for migrations and for tests. No query of the
// application goes past the methods of Store.
func (s *Store) DB() *sql.DB { return s.db.DB }

// Ping asks the database for a sign of life.
func (s *Store) Ping(ctx context.Context) (err error) {
	defer translate(&err, "ping database")
	return s.db.PingContext(ctx)
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

func (s *Store) transactOnce(ctx context.Context, fn func(tx *sqlx.Tx) error) error {
	tx, err := s.db.BeginTxx(ctx, nil)
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
