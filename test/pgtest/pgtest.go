//go:build unix

// Package pgtest gives each test a PostgreSQL database of its own, with the
// schema in place.
//
// The server is the one ROLLCALL_TEST_DATABASE_URL names (its user must be
// allowed to create databases), or else a private one for the test binary,
// without a port and without fsync. The schema is applied once, to a template;
// a test gets a copy of that, which takes some 30 ms. Without PostgreSQL a test
// fails: it is never skipped.
//
// A package whose tests use it needs this once:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
package pgtest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// URLVariable names the environment variable with the server to use.
const URLVariable = "ROLLCALL_TEST_DATABASE_URL"

// opTimeout bounds each step that a healthy server finishes in well under a
// second.
const opTimeout = time.Minute

// New returns the DATABASE_URL of a fresh database with the current schema, for
// the role that api and worker have in production: see migrations.Grant. The
// database is dropped, with its connections, when t ends. Tests may run in
// parallel.
//
// The first call of a test binary starts goroutines that stay until [Main]
// ends; a test that looks for leaks calls New first and then
// goleak.IgnoreCurrent.
func New(t testing.TB) string {
	t.Helper()
	return create(t, (*factory).clone, (*factory).appURLOf)
}

// Owner returns the URL of the same database for its owner: for a test that
// breaks or reads what the application has no right to.
func Owner(t testing.TB, appURL string) string {
	t.Helper()
	f, err := shared.get()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	u, err := url.Parse(appURL)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return f.urlOf(strings.TrimPrefix(u.Path, "/"))
}

// AsOwner executes a statement as the owner of a test's database.
func AsOwner(t testing.TB, appURL, statement string) {
	t.Helper()
	db, err := sql.Open("postgres", Owner(t, appURL))
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("pgtest: %s: %v", statement, err)
	}
}

// NewEmpty is New without the schema, as the owner: for tests of the migrations
// themselves.
func NewEmpty(t testing.TB) string {
	t.Helper()
	return create(t, (*factory).empty, (*factory).urlOf)
}

func create(t testing.TB, make func(*factory, context.Context) (string, error), urlOf func(*factory, string) string) string {
	t.Helper()
	f, err := shared.get()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), opTimeout)
	defer cancel()
	name, err := make(f, ctx)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
		defer cancel()
		if err := f.drop(ctx, name); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return urlOf(f, name)
}

// Main runs the tests of a binary, stops the server if the tests started one,
// and exits.
func Main(m *testing.M) { os.Exit(Around(m).Run()) }

// Around returns m with the server stopped at its end, for use with another
// wrapper: goleak.VerifyTestMain(pgtest.Around(m)).
func Around(m *testing.M) Tests { return Tests{m} }

// Tests are the tests of a binary and the server they share.
type Tests struct{ m *testing.M }

// Run runs the tests and stops the server. It returns the exit code.
func (t Tests) Run() int {
	code := t.m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintf(os.Stderr, "pgtest: %v\n", err)
		code = max(code, 1)
	}
	return code
}

// shared is what a test binary's tests have in common, created on first use. It
// is a package variable because test functions have no parameter to pass it in.
var shared lazyFactory

type lazyFactory struct {
	once    sync.Once
	factory *factory
	err     error
}

func (l *lazyFactory) get() (*factory, error) {
	l.once.Do(func() { l.factory, l.err = newFactory() })
	return l.factory, l.err
}

func (l *lazyFactory) stop() error {
	if l.factory == nil {
		return nil
	}
	return l.factory.stop()
}
