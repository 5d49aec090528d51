//go:build unix

package chaos_test

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"rollcall/internal/proxytest"
	"rollcall/internal/redistest"
	"rollcall/internal/smtptest"
)

const token = "an-admin-token-of-more-than-32-characters"

// site is what an experiment wants of its house. The zero value is an ordinary
// installation.
type site struct {
	Settings map[string]string // of PostgreSQL
	SMTP     smtptest.Config   // how the mail server behaves
	Env      []string          // of the programs, after the ordinary ones
	Migrate  string            // directory of the program that makes the schema; "": ours
}

// house is one installation with nothing running on it yet but the servers.
type house struct {
	*testing.T
	postgres *postgres
	line     *proxytest.Proxy // between the programs and PostgreSQL
	redis    *redistest.Server
	post     *postbox
	db       *sql.DB // past the line
	dir      string
	env      []string
	url      string // of the API started last
	programs []*program
}

// newHouse starts the servers and migrates the database with the program itself.
func newHouse(t *testing.T, s site) *house {
	t.Helper()
	h := &house{T: t, postgres: startPostgres(t, s.Settings), redis: redistest.Start(t), dir: t.TempDir()}
	h.post = openPostbox(t, s.SMTP)
	var database string
	h.line, database = proxytest.Postgres(t, h.postgres.running.URL())
	h.env = append([]string{
		"PATH=" + os.Getenv("PATH"),
		"DATABASE_URL=" + database,
		"REDIS_URL=" + h.redis.URL(),
		"SMTP_URL=" + h.post.url(),
		"ROLLCALL_SECRET=0123456789abcdef0123456789abcdef",
		"ADMIN_API_TOKEN=" + token,
		"ROLLCALL_LISTEN=127.0.0.1:0",
		"ROLLCALL_METRICS_LISTEN=",
		"ROLLCALL_LOG=json",
	}, s.Env...)
	h.connect()
	if s.Migrate == "" {
		s.Migrate = binaries
	}
	h.rollcall(s.Migrate, "migrate")
	return h
}

// connect opens the experiment's own way into the database.
func (h *house) connect() {
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
func (h *house) rollcall(dir string, args ...string) string {
	h.Helper()
	cmd := exec.Command(filepath.Join(dir, "rollcall"), args...)
	cmd.Env, cmd.Dir = h.env, h.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.Fatalf("rollcall %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// one reads a single value from the database, past the line.
func one[T any](h *house, query string, args ...any) (v T) {
	h.Helper()
	if err := h.db.QueryRow(query, args...).Scan(&v); err != nil {
		h.Fatalf("%s: %v", query, err)
	}
	return v
}

// exec changes the database behind the programs' back.
func (h *house) exec(query string, args ...any) {
	h.Helper()
	if _, err := h.db.Exec(query, args...); err != nil {
		h.Fatalf("%s: %v", query, err)
	}
}

// eventually waits until what is wanted is so.
func (h *house) eventually(within time.Duration, what string, wanted func() bool) {
	h.Helper()
	for deadline := time.Now().Add(within); !wanted(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.Fatalf("not within %s: %s", within, what)
		}
	}
}

// figures prints what the experiment measured, in one line for each.
func (h *house) figures(pairs ...any) {
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
