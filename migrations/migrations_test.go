package migrations_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"time"

	_ "github.com/lib/pq" // database/sql driver "postgres"

	"go.uber.org/goleak"

	"rollcall/migrations"
	"rollcall/test/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Around(m)) }

func connect(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func names(t *testing.T) []string {
	t.Helper()
	files, err := fs.Glob(migrations.FS(), "*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d migrations, %v", len(files), err)
	}
	return files // in order
}

func exec(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// TestUpByManyAtOnce: of eight servers that start on an empty database one
// creates the schema, and all return once it is there.
func TestUpByManyAtOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.NewEmpty(t)
	var mu sync.Mutex
	var applied []string
	var wg sync.WaitGroup
	for range 8 {
		db := connect(t, url) // a pool each, like separate processes
		wg.Go(func() {
			mine, err := migrations.Up(t.Context(), db)
			if err == nil {
				err = migrations.Check(t.Context(), db)
			}
			mu.Lock()
			defer mu.Unlock()
			applied = append(applied, mine...)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if !slices.Equal(applied, names(t)) {
		t.Errorf("applied %v, want each once: %v", applied, names(t))
	}
}

func TestCheckAndStatus(t *testing.T) {
	t.Parallel()
	db := connect(t, pgtest.NewEmpty(t))
	if err := migrations.Check(t.Context(), db); !errors.Is(err, migrations.ErrNotCurrent) {
		t.Errorf("an empty database: %v", err)
	}
	var tables int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`).Scan(&tables); err != nil || tables != 0 {
		t.Errorf("Check made %d tables (%v)", tables, err)
	}
	told(t, db, func(m migrations.Migration) bool { return m.AppliedAt.IsZero() })
	if _, err := migrations.Up(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Check(t.Context(), db); err != nil {
		t.Errorf("a current database: %v", err)
	}
	told(t, db, func(m migrations.Migration) bool { return time.Since(m.AppliedAt) < time.Hour })
	if again, err := migrations.Up(t.Context(), db); err != nil || len(again) > 0 {
		t.Errorf("Up again applied %v, %v", again, err)
	}
}

// told fails the test unless every migration is listed, in order, and right
// returns true for it.
func told(t *testing.T, db *sql.DB, right func(migrations.Migration) bool) {
	t.Helper()
	all, err := migrations.Status(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range all {
		listed = append(listed, m.Name)
		if !right(m) {
			t.Errorf("%s applied at %v", m.Name, m.AppliedAt)
		}
	}
	if !slices.Equal(listed, names(t)) {
		t.Errorf("listed %v", listed)
	}
}

// TestDatabaseAheadOrBehind: the version before a migration works with it, and
// the version after it does not start without it.
func TestDatabaseAheadOrBehind(t *testing.T) {
	t.Parallel()
	db := connect(t, pgtest.Owner(t, pgtest.New(t)))
	exec(t, db, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999999, true)`)
	if err := migrations.Check(t.Context(), db); err != nil {
		t.Errorf("ahead: %v", err)
	}
	if applied, err := migrations.Up(t.Context(), db); err != nil || len(applied) > 0 {
		t.Errorf("Up on a database that is ahead applied %v, %v", applied, err)
	}
	exec(t, db, `DELETE FROM goose_db_version WHERE version_id >= (SELECT max(version_id) FROM goose_db_version WHERE version_id < 99999999)`)
	if err := migrations.Check(t.Context(), db); !errors.Is(err, migrations.ErrNotCurrent) {
		t.Errorf("behind: %v", err)
	}
}

// TestMigrationThatCameLater: one with a lower number than that of the database
// is applied too.
func TestMigrationThatCameLater(t *testing.T) {
	t.Parallel()
	db := connect(t, pgtest.Owner(t, pgtest.New(t)))
	exec(t, db, `DROP TABLE webhook_deliveries, webhooks`)
	exec(t, db, `DELETE FROM goose_db_version WHERE version_id = 4`)
	if err := migrations.Check(t.Context(), db); !errors.Is(err, migrations.ErrNotCurrent) {
		t.Errorf("before: %v", err)
	}
	if applied, err := migrations.Up(t.Context(), db); err != nil || !slices.Equal(applied, []string{"00004_webhooks.sql"}) {
		t.Errorf("applied %v, %v", applied, err)
	}
	if err := migrations.Check(t.Context(), db); err != nil {
		t.Errorf("after: %v", err)
	}
}

func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	db := connect(t, "postgres:///nowhere?host=/nonexistent")
	for name, call := range map[string]func() error{
		"Check":  func() error { return migrations.Check(t.Context(), db) },
		"Status": func() error { _, err := migrations.Status(t.Context(), db); return err },
		"Up":     func() error { _, err := migrations.Up(t.Context(), db); return err },
	} {
		if err := call(); err == nil || errors.Is(err, migrations.ErrNotCurrent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := migrations.Up(ctx, connect(t, pgtest.NewEmpty(t))); !errors.Is(err, context.Canceled) {
		t.Errorf("Up after its end: %v", err)
	}
}

// TestPreReleaseSchema: a database from before the baseline is left alone and
// reported, not mistaken for one that has migrations 1 to 5.
func TestPreReleaseSchema(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]string{
		"an earlier name of a table": `CREATE TABLE import_marks (id int)`,
		"a table that was merged":    `CREATE TABLE admin_notices (id int)`,
		"some of the migrations that the baseline now contains": `
			CREATE TABLE imports (id uuid PRIMARY KEY, blank text, source text);
			CREATE TABLE goose_db_version (id serial PRIMARY KEY, version_id bigint, is_applied boolean, tstamp timestamptz DEFAULT now());
			INSERT INTO goose_db_version (version_id, is_applied) SELECT n, true FROM generate_series(0, 11) n WHERE n <> 9`,
	} {
		db := connect(t, pgtest.NewEmpty(t))
		exec(t, db, schema)
		if _, err := migrations.Up(t.Context(), db); !errors.Is(err, migrations.ErrPreRelease) {
			t.Errorf("%s: Up: %v", name, err)
		}
		if err := migrations.Check(t.Context(), db); !errors.Is(err, migrations.ErrPreRelease) {
			t.Errorf("%s: Check: %v", name, err)
		}
	}
}
