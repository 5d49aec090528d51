//go:build unix

package chaos_test

import (
	"regexp"
	"syscall"
	"testing"
	"time"
)

// TestStop: a worker is suspended in the middle of an import for longer than
// its lease. Another one finishes. When the first continues, it writes nothing
// and gives up.
func TestStop(t *testing.T) {
	parallel(t)
	rows := sized(20_000, 200_000)
	h := newTestEnv(t, envOptions{})
	l := newLoad("stop", 1, rows)
	l.mailed = nil
	options := []string{"send_invitations", "false"}
	h.startAPI()
	sleeper := h.startWorker()
	h.line.Delay(time.Duration(sized(20, 0)) * time.Millisecond) // so that few rows take long enough
	id := l.upload(h, options...)[0]
	h.eventually(time.Minute, "some rows are in", func() bool {
		return one[bool](h, `SELECT imported > 0 FROM imports WHERE id = $1`, id)
	})
	sleeper.Process.Signal(syscall.SIGSTOP)
	stopped := time.Now()
	h.line.Delay(0)
	fence := one[int64](h, `SELECT fence FROM imports WHERE id = $1`, id)
	at := h.read(id)
	if ended(at) {
		t.Fatal("the import was over before the worker was stopped: make it larger")
	}
	h.startWorker()
	// The lease and, if the worker was suspended with a transaction open, the
	// time after which PostgreSQL ends that.
	h.eventually(time.Minute, "another worker takes over", func() bool {
		return one[int64](h, `SELECT fence FROM imports WHERE id = $1`, id) > fence
	})
	taken := time.Since(stopped)
	h.until(id, 3*time.Minute, ended)
	before := h.everything()

	letGo := sleeper.Expect(`claim lost|task failed`)
	sleeper.Process.Signal(syscall.SIGCONT)
	woken := time.Now()
	select {
	case <-letGo:
	case <-time.After(5 * time.Second):
		t.Errorf("the worker did not let go within 5 s of going on\n%s", sleeper.Output())
	}
	let := time.Since(woken)
	time.Sleep(3 * time.Second) // to see a late write
	if after := h.everything(); after != before {
		t.Errorf("a late write: %s\nbefore %s", after, before)
	}
	if taken < 8*time.Second {
		t.Errorf("taken over after %s, while the lease was good", taken)
	}
	got := h.outcome(l, []string{id})
	h.same(l, got, undisturbed(h, l))
	h.figures("rows", rows, "processed when stopped", at.Processed, "taken over after", taken, "let go after", let,
		"in the words of", regexp.MustCompile(`claim lost|task failed`).FindString(sleeper.Output()), "late writes", 0)
}

func (h *testEnv) read(id string) imported {
	h.Helper()
	return h.get("/api/admin/users/imports/" + id).imported()
}

// everything is a checksum of all rows that an import writes.
func (h *testEnv) everything() string {
	h.Helper()
	return one[string](h, `
		SELECT md5(string_agg(x, '' ORDER BY x)) FROM (
			SELECT md5(u::text) AS x FROM users u
			UNION ALL SELECT md5(i::text) FROM imports i
			UNION ALL SELECT md5(v::text) FROM invitations v
			UNION ALL SELECT md5(e::text) FROM import_errors e) AS all_rows`)
}
