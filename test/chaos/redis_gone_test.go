//go:build unix

package chaos_test

import (
	"strings"
	"testing"
	"time"
)

// TestRedisGone: there is no Redis at all, from before the programs start until
// everything is done. Imports and mail go on without it.
func TestRedisGone(t *testing.T) {
	parallel(t)
	h, rows := newTestEnv(t, envOptions{}), sized(200, 15_000)
	l := newLoad("gone", 4, rows)
	calm := undisturbed(h, l)
	h.redis.Stop()
	h.startAPI()
	h.startWorker()
	h.startWorker()
	began := time.Now()
	ids := l.upload(h)
	if a := h.get("/readyz"); a.status != 200 || !strings.Contains(string(a.body), `"status":"degraded"`) || !strings.Contains(string(a.body), "Redis does not respond.") {
		t.Errorf("/readyz without Redis: %d %s", a.status, a.body)
	}
	completed := h.rowsIn(ids, 5*time.Minute).Sub(began)
	got := h.outcome(l, ids)
	all := time.Since(began)
	h.same(l, got, calm)
	d := h.delivered(l, 0)
	for _, p := range h.programs {
		if n := strings.Count(p.Output(), "Redis is unavailable"); n != 1 {
			t.Errorf("the outage is %d lines of a log, want one:\n%s", n, p.Output())
		}
	}
	h.figures("rows", len(l.files)*rows, "all completed without Redis", completed, "all mail out", all, "mails", d.Mails, "duplicates", d.Duplicates)
}
