//go:build unix

package chaos_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"rollcall/test/programtest"
	"rollcall/test/proxytest"
	"rollcall/test/redistest"
	"rollcall/test/smtptest"
)

// envOptions configures an experiment's environment. The zero value is an
// ordinary installation.
type envOptions struct {
	Settings map[string]string // of PostgreSQL
	Standby  bool              // there is a standby, and DATABASE_URL names both
	SMTP     smtptest.Config   // how the mail server behaves
	Env      []string          // of the programs, after the ordinary ones
	Redis    string            // its REDIS_URL; "": a server of the experiment's own
	Migrate  string            // directory of the program that migrates the schema; "": ours
}

// testEnv is one installation; at first only the servers are running.
type testEnv struct {
	*testing.T
	postgres *postgres
	line     *proxytest.Proxy  // between the programs and PostgreSQL
	standby  *standby          // nil unless envOptions.Standby is set
	redis    *redistest.Server // nil if envOptions.Redis is set
	post     *mailSink
	db       *sql.DB // bypasses the proxy
	env      []string
	url      string // of the API started last
	client   *http.Client
	programs []*programtest.Program
}

// newTestEnv starts the servers and migrates the database with the program itself.
func newTestEnv(t *testing.T, s envOptions) *testEnv {
	t.Helper()
	h := &testEnv{T: t, postgres: startPostgres(t, s.Settings), client: impatient}
	h.post = openPostbox(t, s.SMTP)
	h.connect()
	var database string
	h.line, database = proxytest.Postgres(t, h.postgres.running.URL())
	if s.Standby {
		h.standby, database = startStandby(h, database)
	}
	if s.Redis == "" {
		h.redis = redistest.Start(t)
		s.Redis = h.redis.URL()
	}
	h.env = programtest.Env(database, s.Redis, h.post.url(), s.Env...)
	if s.Migrate == "" {
		s.Migrate = binaries
	}
	h.rollcall(s.Migrate, "migrate")
	return h
}

// connect opens the experiment's own connection to the database.
func (h *testEnv) connect() {
	h.Helper()
	db, err := sql.Open("postgres", h.postgres.running.URL())
	if err != nil {
		h.Fatal(err)
	}
	db.SetMaxOpenConns(4)
	h.Cleanup(func() { db.Close() })
	h.db = db
}

// rollcall runs the command line and returns what it printed.
func (h *testEnv) rollcall(dir string, args ...string) string {
	h.Helper()
	out, code := programtest.Run(h.T, filepath.Join(dir, "rollcall"), h.env, args...)
	if code != 0 {
		h.Fatalf("rollcall %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// one reads a single value from the database, bypassing the proxy.
func one[T any](h *testEnv, query string, args ...any) (v T) {
	h.Helper()
	if err := h.db.QueryRow(query, args...).Scan(&v); err != nil {
		h.Fatalf("%s: %v", query, err)
	}
	return v
}

// exec changes the database without the programs.
func (h *testEnv) exec(query string, args ...any) {
	h.Helper()
	if _, err := h.db.Exec(query, args...); err != nil {
		h.Fatalf("%s: %v", query, err)
	}
}

// eventually waits until wanted returns true.
func (h *testEnv) eventually(within time.Duration, what string, wanted func() bool) {
	h.Helper()
	for deadline := time.Now().Add(within); !wanted(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.Fatalf("not within %s: %s", within, what)
		}
	}
}

// figures prints what the experiment measured, in one line for each.
func (h *testEnv) figures(pairs ...any) {
	h.Helper()
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		if d, ok := pairs[i+1].(time.Duration); ok {
			pairs[i+1] = d.Round(10 * time.Millisecond)
		}
		fmt.Fprintf(&b, "\n    %-44v %v", pairs[i], pairs[i+1])
	}
	h.Logf("figures of %s:%s", h.Name(), b.String())
}
