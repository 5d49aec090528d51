//go:build unix

package chaos_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/test/programtest"
)

// laterMigration is what a later version may do to the schema while this one
// runs: everything that docs/adr/0019 allows.
const laterMigration = `-- +goose Up
ALTER TABLE users ADD COLUMN later_note text;
ALTER TABLE imports ADD COLUMN later_flag boolean NOT NULL DEFAULT false;
ALTER TABLE invitations ADD COLUMN later_count bigint NOT NULL DEFAULT 0;
CREATE TABLE later_things (id bigint PRIMARY KEY, user_id uuid REFERENCES users ON DELETE CASCADE);
CREATE INDEX imports_later ON imports (id) WHERE later_flag;
COMMENT ON COLUMN imports.later_flag IS 'Something that this version knows nothing of.';
`

// buildLater builds the next version: these sources with one more migration.
func buildLater(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	sql, overlay := filepath.Join(dir, "later.sql"), filepath.Join(dir, "overlay.json")
	migrations, err := filepath.Abs("../../migrations")
	if err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(migrations, "90001_later.sql"): sql}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{sql: laterMigration, overlay: string(replace)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := programtest.Build(dir, []string{"-overlay", overlay}, "api", "worker", "rollcall"); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestRolling: while files are posted and rows are imported, the schema is
// migrated to that of the next version, and its programs replace ours one by
// one.
func TestRolling(t *testing.T) {
	parallel(t)
	roll(t, binaries, buildLater(t), func(o outcome) outcome { return o })
}

// TestRollingFromBefore is the same from an earlier version to this one, if the
// history of the repository is available.
func TestRollingFromBefore(t *testing.T) {
	if !full {
		t.Skip("in full size only: it builds another version")
	}
	// Row messages may have changed, but not the results.
	roll(t, buildBefore(t), binaries, func(o outcome) outcome { o.Reports = nil; return o })
}

// buildBefore builds the version to start from: the last one without the latest
// migration or, if its databases have another baseline, which cannot be upgraded,
// the first one with this baseline. If that has not been committed yet, there is
// none before this version.
func buildBefore(t *testing.T) string {
	t.Helper()
	git := func(args ...string) string {
		command := exec.Command("git", args...)
		command.Dir = "../.."
		out, err := command.Output()
		if err != nil && os.Getenv("ROLLCALL_REQUIRE_ALL") == "1" {
			t.Fatalf("no history at hand: git %s: %v", args[0], err)
		}
		if err != nil {
			t.Skipf("no history at hand: git %s: %v", args[0], err)
		}
		return strings.TrimSpace(string(out))
	}
	// Commits of this line of development: a merged one may have been made on an
	// older baseline.
	latest := func(args ...string) string {
		return git(append([]string{"log", "-1", "--first-parent", "--diff-merges=first-parent", "--no-patch", "--format=%H"}, args...)...)
	}
	const baseline = "migrations/0000[1-5]_*.sql"
	sameBaseline := func(commit string) bool { return git("diff", "--name-only", commit, "--", baseline) == "" }
	commit := latest("--", baseline)
	if added := latest("--diff-filter=A", "--", "migrations/[0-9][0-9][0-9][0-9][0-9]_*.sql", ":(exclude)"+baseline); added != "" && sameBaseline(added+"^") {
		commit = added + "^"
	}
	if !sameBaseline(commit) {
		t.Log("the baseline is not committed: from this version to itself")
		return binaries
	}
	t.Logf("the version before: %s", git("log", "-1", "--format=%h %s", commit))
	dir := t.TempDir()
	archive := filepath.Join(dir, "before.tar")
	git("archive", "-o", archive, commit)
	if out, err := exec.Command("tar", "-x", "-f", archive, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	command := exec.Command("go", "build", "-o", dir+"/bin/", "./cmd/...")
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "bin")
}

// roll goes from one version to another. seen reduces an outcome to what must
// be the same in both.
func roll(t *testing.T, from, to string, seen func(outcome) outcome) {
	t.Helper()
	h := newTestEnv(t, envOptions{Migrate: from})
	posts, pace := sized(40, 400), time.Duration(sized(80, 20))*time.Millisecond
	l := newLoad("rollpost", posts, sized(20, 60)).after(newLoad("rolling", 1, sized(15_000, 200_000)))
	calm := undisturbed(h, l)

	began := time.Now()
	oldAPI := h.startFrom(from, "api")
	old := []*programtest.Program{h.startFrom(from, "worker"), h.startFrom(from, "worker"), oldAPI}
	first := l.uploadOne(h, 0)
	pair := &balancer{h: *h, urls: []string{h.url}}
	var ids []string
	var posting sync.WaitGroup
	posting.Go(func() { ids = pair.post(l.files[1:], pace) })
	h.until(first, time.Minute, func(i imported) bool { return i.Checked > 0 })

	out := h.rollcall(to, "migrate")
	migrated := h.read(first)
	h.startFrom(to, "worker")
	before := h.url
	h.startFrom(to, "api")
	pair.add(h.url)
	time.Sleep(time.Second) // both versions, side by side
	pair.remove(before)
	for _, p := range old {
		if code, took := p.Stop(); code != 0 {
			t.Errorf("%s: exit code %d after %s", p.Path, code, took)
		}
	}
	posting.Wait()
	got := h.outcome(l, append([]string{first}, ids...))
	h.same(l, seen(got), seen(calm))
	d := h.delivered(l, 0)
	for _, p := range h.programs {
		if log := p.Output(); strings.Contains(log, `"level":"ERROR"`) {
			t.Errorf("%s met an error:\n%s", p.Path, log)
		}
	}
	h.figures("migrations", strings.Join(strings.Fields(out), " "), "files posted", posts, "users", len(l.people),
		"processed when the schema moved on", migrated.Processed, "answers other than 202", 0, "in all", time.Since(began),
		"mails", d.Mails, "duplicates", d.Duplicates)
}

// balancer posts files to the servers in turn, like a load balancer: a server
// that is about to stop gets no new requests.
type balancer struct {
	h    testEnv // as it was at first; other goroutines use it meanwhile
	mu   sync.Mutex
	urls []string
}

func (b *balancer) add(url string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.urls = append(b.urls, url)
}

func (b *balancer) remove(url string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, u := range b.urls {
		if u == url {
			b.urls = append(b.urls[:i:i], b.urls[i+1:]...)
			return
		}
	}
}

func (b *balancer) next(k int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.urls[k%len(b.urls)]
}

// post posts the files one by one, at a pace, and returns the ids. Any response
// but 202 is a failure.
func (b *balancer) post(files []string, pace time.Duration) (ids []string) {
	for k, file := range files {
		at := b.h
		at.url = b.next(k)
		a, err := at.tryPost(file, nil)
		if err != nil || a.status != 202 {
			b.h.Errorf("post %d was answered with %d (%v)\n%s", k, a.status, err, a.body)
			return ids
		}
		ids = append(ids, a.imported().ID)
		time.Sleep(pace)
	}
	return ids
}
