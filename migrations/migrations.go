// Package migrations contains the database schema as embedded SQL, applies it,
// and reports whether a database has it. The files 00001 to 00005 are the
// baseline, one for each area of the schema; each later file is one step, and
// the programs from before it keep working with it. Later files have numbers from
// 20: databases from before the first release may have used those up to 13.
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

// FS returns the migration files, for a caller that detects changes in them.
func FS() fs.FS { return files }

// ErrNotCurrent is returned by [Check] for a database that lacks migrations.
var ErrNotCurrent = errors.New("the database schema is not current: run `rollcall migrate`")

// ErrPreRelease is returned for a database with the schema from before the first
// release, which cannot be upgraded.
var ErrPreRelease = errors.New("the database has a schema from before the first release, which cannot be upgraded: create an empty database and run `rollcall migrate`")

const (
	// lockSeconds is how long Up waits for another process that is migrating.
	lockSeconds = 300
	// contention is how long Up retries while others hold locks it needs.
	contention = 5 * time.Minute
)

// Migration is one step of the schema and whether it has been applied.
type Migration struct {
	Name      string
	AppliedAt time.Time // zero: not applied
}

// Up applies the missing migrations, one transaction each, under an advisory
// lock: if several processes call it at once, one works and the others wait, up
// to five minutes. A migration that conflicts with running programs (a
// deadlock, or the connection's lock_timeout) is retried for as long. It
// returns the names of the migrations it applied.
func Up(ctx context.Context, db *sql.DB) ([]string, error) {
	if err := checkRelease(ctx, db); err != nil {
		return nil, err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, lockSeconds)) // one attempt per second
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

// inTheWay reports whether others held a lock that a migration needed.
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

// Check returns nil if the database has every migration, [ErrNotCurrent] if it
// lacks one, and another error if it could not be queried. It changes nothing.
// A database that is ahead of this program is current: each version runs before
// and after the next migration.
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
	if err := checkRelease(ctx, db); err != nil {
		return nil, err
	}
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

// checkRelease returns ErrPreRelease for a database with the shape of an earlier
// baseline: a table that no longer exists, or imports without a column that came
// in the last migration that was folded into this one.
func checkRelease(ctx context.Context, db *sql.DB) error {
	var before bool
	if err := db.QueryRowContext(ctx, `
		SELECT to_regclass('import_marks') IS NOT NULL OR to_regclass('admin_notices') IS NOT NULL
		    OR to_regclass('imports') IS NOT NULL AND NOT EXISTS (
		       SELECT FROM pg_attribute WHERE attrelid = to_regclass('imports') AND attname = 'missing')`).Scan(&before); err != nil {
		return fmt.Errorf("look for the schema from before the first release: %w", err)
	}
	if before {
		return ErrPreRelease
	}
	return nil
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

// provider applies every missing migration, even one numbered below those
// already applied: of two written at the same time the one with the lower
// number may be released later, and a database that got the other first must
// not be stuck.
func provider(db *sql.DB, options ...goose.ProviderOption) (*goose.Provider, error) {
	options = append(options, goose.WithAllowOutofOrder(true))
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, options...)
	if err != nil {
		return nil, fmt.Errorf("read embedded migrations: %w", err)
	}
	return p, nil
}
