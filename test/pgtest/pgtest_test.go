//go:build unix

package pgtest_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	_ "github.com/lib/pq"

	"rollcall/migrations"
	"rollcall/test/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func open(t testing.TB, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func query(t testing.TB, db *sql.DB, query string, args ...any) (value string) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

func TestDatabasesAreCurrentAndApart(t *testing.T) {
	t.Parallel()
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			db := open(t, pgtest.New(t))
			if err := migrations.Check(t.Context(), db); err != nil {
				t.Fatalf("the schema is not in place: %v", err)
			}
			// Fails if two tests share a database.
			if _, err := db.ExecContext(t.Context(), `INSERT INTO maintenance_runs (name, period_start) VALUES ('mine', '2026-01-01')`); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestRoleOfTheApplication(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	app, owner := open(t, url), open(t, pgtest.Owner(t, url))
	if a, o := query(t, app, `SELECT current_database()`), query(t, owner, `SELECT current_database()`); a != o {
		t.Errorf("the owner is in %s, the application in %s", o, a)
	}
	if a, o := query(t, app, `SELECT session_user`), query(t, owner, `SELECT session_user`); a == o {
		t.Errorf("both are %s", a)
	}
}

func TestEmptyHasNoSchema(t *testing.T) {
	t.Parallel()
	db := open(t, pgtest.NewEmpty(t))
	if n := query(t, db, `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`); n != "0" {
		t.Errorf("%s tables in an empty database", n)
	}
}

func TestDatabaseIsDroppedThoughStillInUse(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("user", func(inner *testing.T) {
		db := open(t, pgtest.New(inner)) // closed by the outer test: after the drop
		name = query(t, db, `SELECT current_database()`)
	})
	other := open(t, pgtest.New(t))
	if n := query(t, other, `SELECT count(*) FROM pg_database WHERE datname = $1`, name); n != "0" {
		t.Errorf("database %s outlived its test", name)
	}
}

// TestBinariesShareAServer runs this binary several times at once on a server
// whose template looks like the remains of a killed run.
func TestBinariesShareAServer(t *testing.T) {
	t.Parallel()
	server, err := pgtest.StartServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	runBinary(t, server.URL())
	db := open(t, server.URL())
	const templates = `SELECT count(*) FROM pg_database WHERE datname LIKE 'rollcall\_template\_%' AND datistemplate`
	if n := query(t, db, templates); n != "1" {
		t.Fatalf("%s templates after the first binary", n)
	}
	name := query(t, db, `SELECT datname FROM pg_database WHERE datname LIKE 'rollcall\_template\_%'`)
	if _, err := db.ExecContext(t.Context(), `ALTER DATABASE `+name+` WITH IS_TEMPLATE false`); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { runBinary(t, server.URL()) })
	}
	wg.Wait()
	if n := query(t, db, templates); n != "1" {
		t.Errorf("%s templates after all binaries", n)
	}
	if n := query(t, db, `SELECT count(*) FROM pg_database WHERE datname LIKE 'rollcall\_test\_%'`); n != "0" {
		t.Errorf("%s databases are left", n)
	}
}

func runBinary(t *testing.T, url string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestDatabasesAreCurrentAndApart$")
	cmd.Env = append(os.Environ(), pgtest.URLVariable+"="+url)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestStartServerClearsAwayWhatKilledBinariesLeft(t *testing.T) {
	t.Parallel()
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	stale := leftover(t, dead.Process.Pid)
	inUse := leftover(t, os.Getpid())
	server, err := pgtest.StartServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a killed binary's directory is still there (%v)", err)
	}
	if _, err := os.Stat(inUse); err != nil {
		t.Errorf("a running binary's directory: %v", err)
	}
}

// leftover creates a directory like that of a binary with that process ID.
func leftover(t *testing.T, pid int) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rollcall-pgtest-"+strconv.Itoa(pid)+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Mkdir(filepath.Join(dir, "postgres"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
