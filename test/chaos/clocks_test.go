//go:build unix

package chaos_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/test/programtest"
)

// buildSkewed builds the unchanged programs with a standard library whose clock
// is wrong by ROLLCALL_CLOCK_SKEW. A preloaded library could not do that to a
// static binary that calls the kernel itself; and this way every clock in it is
// wrong, including those of libraries.
func buildSkewed(t *testing.T) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	library := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	source, err := os.ReadFile(filepath.Join(library, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	const read = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(source), read) != 1 {
		t.Fatalf("this version of Go reads its clock in another way: look at %s/time.go", library)
	}
	dir := t.TempDir()
	files := map[string]string{
		"time.go": strings.Replace(string(source), read, read+"\tsec += skew\n", 1),
		"skew.go": `package time

import "syscall"

var skew = func() int64 {
	value, _ := syscall.Getenv("ROLLCALL_CLOCK_SKEW")
	d, _ := ParseDuration(value)
	return int64(d / Second)
}()
`,
	}
	replace := map[string]string{}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(library, name)] = filepath.Join(dir, name)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/overlay.json", overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := programtest.Build(dir, []string{"-overlay", dir + "/overlay.json"}, "api", "worker"); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestClocks: the clocks of workers and APIs are ten minutes fast and slow. No
// worker takes over what another one has claimed, and a link expires on time.
func TestClocks(t *testing.T) {
	if !full {
		t.Skip("in full size only: it builds everything anew, the standard library too")
	}
	skewed := buildSkewed(t)
	const ttl = time.Hour
	h := newTestEnv(t, envOptions{Env: []string{"ROLLCALL_INVITATION_TTL=" + ttl.String()}})
	l := newLoad("clock", 4, 5_000)
	calm := undisturbed(h, l)
	watched := l.people[0]
	h.post.keep(watched)

	clocks := []string{"-10m", "0s", "10m"}
	var workers []*programtest.Program
	urls := map[string]string{}
	for _, clock := range clocks {
		workers = append(workers, h.startFrom(skewed, "worker", "ROLLCALL_CLOCK_SKEW="+clock))
		h.startFrom(skewed, "api", "ROLLCALL_CLOCK_SKEW="+clock)
		urls[clock] = h.url
	}
	h.wrongClocks(workers)
	began := time.Now()
	got := h.outcome(l, l.upload(h))
	took := time.Since(began)
	h.same(l, got, calm)
	d := h.delivered(l, 0)
	for k, w := range workers {
		if strings.Contains(w.Output(), "claim lost") {
			t.Errorf("the worker whose clock is off by %s lost a claim:\n%s", clocks[k], w.Output())
		}
	}
	// Each invitation is valid from when it was claimed for sending, by the
	// database's clock; sent_at is recorded some moments later.
	off := one[float64](h, `SELECT max(abs(extract(epoch FROM expires_at - sent_at) - $1)) FROM invitations`, ttl.Seconds())
	if off > 30 {
		t.Errorf("a link's life is off by %.1f s", off)
	}

	link := h.post.link(watched)
	ask := func(clock string) int {
		h.url = urls[clock]
		return h.ask("GET", link, nil).status
	}
	for _, life := range []struct {
		left string
		want int
	}{{"5 s", 200}, {"-0.1 s", 410}} {
		h.exec(`UPDATE invitations SET expires_at = clock_timestamp() + $1::interval FROM users WHERE users.id = user_id AND email = $2`, life.left, watched)
		for _, clock := range clocks {
			if status := ask(clock); status != life.want {
				t.Errorf("a link with %s left, at an API whose clock is off by %s: %d, want %d", life.left, clock, status, life.want)
			}
		}
	}
	h.figures("clocks off by", clocks, "rows", 20_000, "claims lost", 0, "all done after", took,
		"life of a link off by at most, in seconds", off, "mails", d.Mails, "duplicates", d.Duplicates)
}

// wrongClocks fails the test unless the workers' clocks are wrong as intended:
// their logs show the time.
func (h *testEnv) wrongClocks(workers []*programtest.Program) {
	h.Helper()
	for k, w := range workers {
		var line struct{ Time time.Time }
		first, _, _ := strings.Cut(w.Output(), "\n")
		if err := json.Unmarshal([]byte(first), &line); err != nil {
			h.Fatal(err)
		}
		off := time.Until(line.Time).Round(time.Minute)
		if want := time.Duration(k-1) * 10 * time.Minute; off != want {
			h.Errorf("clock %d is off by %s, want %s", k, off, want)
		}
	}
}
