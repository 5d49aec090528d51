// Package migrations holds the database schema as embedded SQL, applies it, and
// tells whether a database has it.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed *.sql
var files embed.FS

// FS returns the migrations, for whoever needs to know whether they changed.
func FS() fs.FS { return files }

// ErrNotCurrent is returned by [Check] for a database that lacks migrations.
var ErrNotCurrent = errors.New("the database schema is not current: run `rollcall migrate`")

const (
	// lockSeconds is how long Up waits for another process that is migrating.
	lockSeconds = 300
	// contention is how long Up tries again where others are in its way.
	contention = 5 * time.Minute
)

// Migration is one step of the schema and whether a database has it.
type Migration struct {
	Name      string
	AppliedAt time.Time // zero: not applied
}

// Up applies what is missing, one transaction a migration, under an advisory
// lock: of several processes that call it at once one works and the others
// wait, up to five minutes. A migration that comes into conflict with those who use
// the database meanwhile (a deadlock, or the connection's lock_timeout) is done
// again, for as long. It returns the names of those it applied.
func Up(ctx context.Context, db *sql.DB) ([]string, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, lockSeconds)) // one try a second
	if err != nil {
		return nil, fmt.Errorf("make migration lock: %w", err)
	}
	p, err := provider(db, goose.WithSessionLocker(locker))
	if err != nil {
		return nil, err
	}
	var names []string
	end := time.Now().Add(contention)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		results, err := p.Up(ctx)
		if partial, ok := errors.AsType[*goose.PartialError](err); ok {
			results = partial.Applied
		}
		for _, r := range results {
			names = append(names, r.Source.Path)
		}
		if err == nil {
			return names, nil
		}
		if !inTheWay(err) || time.Now().After(end) {
			return nil, fmt.Errorf("apply migrations: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("apply migrations: %w", errors.Join(ctx.Err(), err))
		case <-time.After(wait):
		}
	}
}

// inTheWay reports whether others held what a migration needed.
func inTheWay(err error) bool {
	var state interface{ SQLState() string }
	if !errors.As(err, &state) {
		return false
	}
	switch state.SQLState() {
	case "40P01", "55P03": // deadlock, lock not available in time
		return true
	}
	return false
}

// Check returns nil when the database has every migration, [ErrNotCurrent] when
// it lacks one, and another error when it could not be asked. It changes
// nothing. A database that is ahead of this program is current: each version
// runs before and after the next migration.
func Check(ctx context.Context, db *sql.DB) error {
	all, err := Status(ctx, db)
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.AppliedAt.IsZero() {
			return ErrNotCurrent
		}
	}
	return nil
}

// Status lists the migrations in order.
func Status(ctx context.Context, db *sql.DB) ([]Migration, error) {
	var exists bool
	// Asked first because goose would create its table where there is none.
	if err := db.QueryRowContext(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL`).Scan(&exists); err != nil {
		return nil, fmt.Errorf("look for applied migrations: %w", err)
	}
	applied := map[int64]time.Time{}
	if exists {
		var err error
		if applied, err = appliedVersions(ctx, db); err != nil {
			return nil, err
		}
	}
	p, err := provider(db)
	if err != nil {
		return nil, err
	}
	var all []Migration
	for _, s := range p.ListSources() {
		all = append(all, Migration{Name: s.Path, AppliedAt: applied[s.Version]})
	}
	return all, nil
}

func appliedVersions(ctx context.Context, db *sql.DB) (map[int64]time.Time, error) {
	rows, err := db.QueryContext(ctx, `SELECT version_id, tstamp FROM goose_db_version WHERE is_applied`)
	if err != nil {
		return nil, fmt.Errorf("read applied migrations: %w", err)
	}
	defer rows.Close()
	applied := map[int64]time.Time{}
	for rows.Next() {
		var version int64
		var at time.Time
		if err := rows.Scan(&version, &at); err != nil {
			return nil, fmt.Errorf("read applied migrations: %w", err)
		}
		applied[version] = at
	}
	return applied, rows.Err()
}

// provider applies whatever is missing, also what stands before migrations that
// are in: of two that were written at once the one with the lower number may
// come later, and a database that got the other first must not be stuck.
func provider(db *sql.DB, options ...goose.ProviderOption) (*goose.Provider, error) {
	options = append(options, goose.WithAllowOutofOrder(true))
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, options...)
	if err != nil {
		return nil, fmt.Errorf("read embedded migrations: %w", err)
	}
	return p, nil
}
