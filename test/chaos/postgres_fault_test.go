//go:build unix

package chaos_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rollcall/test/proxytest"
)

// TestPostgresRestarted: PostgreSQL is restarted without notice, again and
// again, while files are posted, rows are imported and mail is sent.
func TestPostgresRestarted(t *testing.T) {
	parallel(t)
	restarts := sized(3, 20)
	h := newTestEnv(t, envOptions{})
	l := newLoad("restart", sized(30, 600), sized(20, 100))
	calm := undisturbed(h, l)
	h.startAPI()
	h.startWorker()
	h.startWorker()
	p := &uploader{h: h, files: l.files, pace: time.Duration(sized(500, 250)) * time.Millisecond}
	began := time.Now()
	var posting sync.WaitGroup
	posting.Go(func() { p.post(4) })
	for range restarts {
		time.Sleep(time.Duration(300+rand.IntN(900)) * time.Millisecond)
		h.postgres.restart(time.Duration(rand.IntN(500)) * time.Millisecond)
	}
	last := time.Now()
	posting.Wait()
	h.rowsIn(p.ids, 2*time.Minute)
	h.lapse(l)
	got := h.outcome(l, p.ids)
	h.same(l, got, calm)
	h.noneDoubled(p)
	// A mail that was not yet recorded as sent when its worker gave up waiting
	// for the database is sent again; a worker that lives keeps waiting.
	d := h.delivered(l, 0)
	h.figures("restarts -m immediate", restarts, "files posted", len(l.files), "answers 503", p.refused.Load(),
		"slowest answer", p.slowest, "all done after the last restart", time.Since(last), "in all", time.Since(began),
		"mails", d.Mails, "duplicates", d.Duplicates)
}

// TestCommitUnanswered: the connection is cut while COMMIT is on its way, or
// after it was executed and while the answer is on its way, again and again.
func TestCommitUnanswered(t *testing.T) {
	parallel(t)
	h := newTestEnv(t, envOptions{})
	l := newLoad("commit", sized(20, 200), sized(20, 100))
	calm := undisturbed(h, l)
	h.startAPI()
	h.startWorker()
	h.startWorker()
	var before, after, commits atomic.Int64
	h.line.Filter(func(said []byte) proxytest.Action {
		if !bytes.Contains(said, []byte("COMMIT\x00")) {
			return proxytest.Pass
		}
		switch n := commits.Add(1); {
		case n%10 == 4:
			before.Add(1)
			return proxytest.CutBefore
		case n%10 == 9:
			after.Add(1)
			return proxytest.CutAfter
		}
		return proxytest.Pass
	})
	p := &uploader{h: h, files: l.files}
	p.post(4)
	h.rowsIn(p.ids, l.patience())
	h.line.Filter(nil)
	h.lapse(l)
	got := h.outcome(l, p.ids)
	h.same(l, got, calm)
	h.noneDoubled(p)
	d := h.delivered(l, 0)
	h.figures("COMMITs", commits.Load(), "cut before", before.Load(), "cut after it was sent", after.Load(), "files posted", len(l.files),
		"answers 503", p.refused.Load(), "slowest answer", p.slowest, "mails", d.Mails, "duplicates", d.Duplicates)
	if before.Load() == 0 || after.Load() == 0 {
		t.Error("nothing was cut")
	}
}

// TestPostgresSilent: the connections between the programs and PostgreSQL stay
// open but pass no data, in the middle of posts, rows and mail, and then
// recover.
func TestPostgresSilent(t *testing.T) {
	parallel(t)
	silences, length := sized(1, 3), time.Duration(sized(14, 40))*time.Second
	h := newTestEnv(t, envOptions{})
	l := newLoad("silent", sized(20, 200), sized(20, 300))
	calm := undisturbed(h, l)
	h.startAPI()
	h.startWorker()
	h.startWorker()
	p := &uploader{h: h, files: l.files, pace: time.Duration(sized(200, 100)) * time.Millisecond}
	var posting sync.WaitGroup
	posting.Go(func() { p.post(2) })
	var slowestReady time.Duration
	asked, refused := 0, 0
	for range silences {
		time.Sleep(400 * time.Millisecond)
		h.line.Silence(true)
		for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
			for _, path := range []string{"/readyz", "/api/admin/users/imports"} {
				began := time.Now()
				a := h.ask("GET", path, nil)
				if path == "/readyz" {
					slowestReady = max(slowestReady, time.Since(began))
				}
				asked++
				if a.status == 503 && a.header.Get("Retry-After") != "" {
					refused++
				} else if time.Until(end) > 0 && began.Before(end.Add(-15*time.Second)) {
					t.Errorf("%s was answered with %d in the silence", path, a.status)
				}
			}
		}
		h.line.Silence(false)
	}
	back := time.Now()
	posting.Wait()
	h.rowsIn(p.ids, 2*time.Minute)
	h.lapse(l)
	got := h.outcome(l, p.ids)
	h.same(l, got, calm)
	h.noneDoubled(p)
	d := h.delivered(l, 0)
	if slowestReady > 5*time.Second {
		t.Errorf("/readyz took %s", slowestReady)
	}
	if p.slowest > 35*time.Second {
		t.Errorf("a post took %s", p.slowest)
	}
	h.figures("silences", silences, "of", length, "questions asked meanwhile", asked, "answered 503 with Retry-After", refused,
		"slowest /readyz", slowestReady, "posts answered 503", p.refused.Load(), "slowest post", p.slowest,
		"all done after the last silence", time.Since(back), "mails", d.Mails, "duplicates", d.Duplicates)
}

// pid returns the process ID of the server.
func (p *postgres) pid() int {
	p.t.Helper()
	content, err := os.ReadFile(filepath.Join(p.config.Dir, "postgres", "postmaster.pid"))
	if err != nil {
		p.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		p.t.Fatal(err)
	}
	return pid
}

// restart is `pg_ctl restart -m immediate`: clients are not notified, nothing
// is written out, and the next start recovers.
func (p *postgres) restart(away time.Duration) {
	p.t.Helper()
	if err := syscall.Kill(p.pid(), syscall.SIGQUIT); err != nil {
		p.t.Fatal(err)
	}
	<-p.running.Done()
	p.running.Stop(context.Background())
	time.Sleep(away)
	p.start()
}
