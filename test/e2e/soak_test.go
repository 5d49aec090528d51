package e2e_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"rollcall/internal/devstack"
	"rollcall/test/programtest"
)

// soakVariable says for how long to soak; make soak sets it.
const soakVariable = "ROLLCALL_SOAK"

// TestSoak imports and undoes, over and over, and checks that neither memory
// nor goroutines nor connections nor tables grow. It compares the second
// quarter of the time with the last.
func TestSoak(t *testing.T) {
	if os.Getenv(soakVariable) == "" {
		t.Skip("takes minutes: make soak")
	}
	long, err := time.ParseDuration(os.Getenv(soakVariable))
	if err != nil || long < time.Minute {
		t.Fatalf("%s=%s is not a duration of a minute or more", soakVariable, os.Getenv(soakVariable))
	}
	s := newSoak(t)
	began := time.Now()
	var quarters [4]figures
	rounds, rows := 0, 0
	for next := began; time.Since(began) < long; rounds++ {
		rows += s.round(rounds)
		if time.Now().After(next) {
			now := s.look()
			q := min(3, int(4*time.Since(began)/long))
			quarters[q] = quarters[q].most(now)
			next = time.Now().Add(5 * time.Second)
		}
	}
	t.Logf("%d rounds, %d rows imported and as many undone in %s", rounds, rows, time.Since(began).Round(time.Second))
	for _, name := range slices.Sorted(maps.Keys(quarters[3])) {
		early, late := quarters[1][name], quarters[3][name]
		t.Logf("%-40s second quarter %12.0f, last quarter %12.0f", name, early, late)
		if allowed := early*1.3 + slack(name); late > allowed {
			t.Errorf("%s grew from %.0f to %.0f, more than %.0f", name, early, late, allowed)
		}
	}
}

// slack is what is allowed beyond growth by a third: figures are small and
// uneven.
func slack(name string) float64 {
	switch {
	case strings.HasSuffix(name, "bytes"):
		return 8 << 20
	default:
		return 12 // goroutines, connections
	}
}

// figures are what is measured, by name.
type figures map[string]float64

// most returns the higher of each figure.
func (f figures) most(other figures) figures {
	if f == nil {
		return other
	}
	for name, v := range other {
		f[name] = max(f[name], v)
	}
	return f
}

// soak is an installation whose PostgreSQL vacuums, unlike that of other tests.
type soak struct {
	*testEnv
	db      *sql.DB
	metrics map[string]string // URL by program
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	// Not in t.TempDir, which the user that runs the server for root cannot
	// enter.
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("rollcall-soak-%d", os.Getpid()))
	t.Cleanup(func() { os.RemoveAll(dir) })
	postgres, err := devstack.StartPostgres(t.Context(), devstack.PostgresConfig{
		Dir: dir, Ephemeral: true, Settings: map[string]string{"autovacuum_naptime": "5s"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { postgres.Stop(context.Background()) })
	db, err := sql.Open("postgres", postgres.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	h := newTestEnv(t, smallRedis(t), "DATABASE_URL="+postgres.URL(), "ROLLCALL_RETENTION=5s")
	s := &soak{testEnv: h, db: db, metrics: map[string]string{}}
	for program, start := range map[string]func() *programtest.Program{"api": h.startAPI, "worker": h.startWorker} {
		address := freeAddress(t)
		h.env = append(h.env, "ROLLCALL_METRICS_LISTEN="+address)
		s.metrics[program] = "http://" + address + "/metrics"
		start()
	}
	return s
}

// round imports some thousand people, some in invalid rows, undoes that, and
// invites a few who stay. It returns how many were imported.
func (s *soak) round(n int) int {
	s.Helper()
	var many, few strings.Builder
	many.WriteString("email,name\n")
	few.WriteString("email,name\n")
	for k := range 5000 {
		domain := "example.com"
		if k%50 == 0 {
			domain = "bad"
		}
		fmt.Fprintf(&many, "r%d-%d@%s,Person %d\n", n, k, domain, k)
	}
	for k := range 5 {
		fmt.Fprintf(&few, "stays%d-%d@example.com,Person %d\n", n, k, k)
	}
	i := s.upload(many.String(), "send_invitations", "false")
	s.upload(few.String())
	i = s.until(i.ID, time.Minute, ended)
	if i.Status != "completed" || i.Imported != 4900 || i.Failed != 100 {
		s.Fatalf("round %d: %+v", n, i)
	}
	s.ask("POST", "/api/admin/users/imports/"+i.ID+"/undo", nil)
	for deadline := time.Now().Add(time.Minute); ; {
		var left int
		if err := s.db.QueryRow(`SELECT count(*) FROM users WHERE import_id = $1`, i.ID).Scan(&left); err != nil {
			s.Fatal(err)
		}
		if left == 0 {
			return int(i.Imported)
		}
		if time.Now().After(deadline) {
			s.Fatalf("round %d: %d users are not undone", n, left)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// upload posts a file, retrying while the rate limit says so.
func (s *soak) upload(file string, options ...string) (i imported) {
	s.Helper()
	for {
		a := s.post(file, []string{"Prefer", "respond-async"}, options...)
		if a.status == http.StatusTooManyRequests {
			time.Sleep(time.Second)
			continue
		}
		if a.status != http.StatusAccepted && a.status != http.StatusOK {
			s.Fatalf("upload: %d %s", a.status, a.body)
		}
		a.read(&i)
		return i
	}
}

var soaked = regexp.MustCompile(`(?m)^(go_goroutines|process_resident_memory_bytes|go_sql_open_connections)(?:\{[^}]*\})? (\S+)$`)

// look measures the programs by their metrics, and the tables.
func (s *soak) look() figures {
	s.Helper()
	f := figures{}
	for program, url := range s.metrics {
		page, err := http.Get(url)
		if err != nil {
			s.Fatal(err)
		}
		body, err := io.ReadAll(page.Body)
		page.Body.Close()
		if err != nil {
			s.Fatal(err)
		}
		for _, m := range soaked.FindAllStringSubmatch(string(body), -1) {
			if f[program+" "+m[1]], err = strconv.ParseFloat(m[2], 64); err != nil {
				s.Fatal(err)
			}
		}
	}
	for _, table := range []string{"users", "invitations", "import_chunks", "import_row_offsets", "maintenance_runs", "idempotency_keys"} {
		var size float64
		if err := s.db.QueryRow(`SELECT pg_total_relation_size($1::regclass)`, table).Scan(&size); err != nil {
			s.Fatal(err)
		}
		f["table "+table+" bytes"] = size
	}
	return f
}
