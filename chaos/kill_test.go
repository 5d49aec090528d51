//go:build unix

package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"rollcall/internal/programtest"
)

// mailConcurrency is ROLLCALL_MAIL_CONCURRENCY's default: so many mails may be
// on their way when a worker is killed.
const mailConcurrency = 4

// TestKill: workers are killed at random moments and replaced, while rows go in
// and while mail goes out.
func TestKill(t *testing.T) {
	parallel(t)
	h := newHouse(t, site{})
	rows, kills := sized(250, 25_000), sized(6, 50)
	l := newLoad("kill", 4, rows)
	calm := undisturbed(h, l)

	h.startAPI()
	workers := make([]*programtest.Program, 3)
	for i := range workers {
		workers[i] = h.startWorker()
	}
	began := time.Now()
	ids := l.upload(h)
	whileRows := 0
	for range kills {
		// Up to two in three while rows go in, if those last as long: soon after
		// somebody has taken an import in hand. The others while mail goes out.
		if whileRows < kills*2/3 && h.inHand() {
			whileRows++
			time.Sleep(time.Duration(rand.Int64N(int64(200 * time.Millisecond))))
		} else {
			time.Sleep(time.Duration(rand.Int64N(int64(700 * time.Millisecond))))
		}
		victim := rand.IntN(len(workers))
		workers[victim].Kill()
		workers[victim] = h.startWorker()
	}
	in := h.rowsIn(ids, 3*time.Minute).Sub(began)
	h.lapse(l)
	got := h.outcome(l, ids)
	h.same(l, got, calm)
	d := h.delivered(l, kills*mailConcurrency)
	if whileRows == 0 {
		t.Error("no worker was killed while rows went in")
	}
	h.figures("kills", kills, "of them while rows went in", whileRows, "rows", fmt.Sprint(len(l.files), " x ", rows),
		"users", got.Users, "all rows in after", in, "all mail out after", time.Since(began),
		"mails", d.Mails, "duplicates", d.Duplicates, "duplicates allowed", kills*mailConcurrency)
}

// inHand waits until an import is in some worker's hand, false if none will be.
func (h *house) inHand() bool {
	h.Helper()
	for one[int](h, `SELECT count(*) FROM imports WHERE finished_at IS NULL`) > 0 {
		if one[int](h, `SELECT count(*) FROM imports WHERE lease_until > clock_timestamp() + interval '11.5 s'`) > 0 {
			return true
		}
		time.Sleep(5 * time.Millisecond)
	}
	return false
}

// rowsIn waits for the imports to end and returns when they had.
func (h *house) rowsIn(ids []string, within time.Duration) time.Time {
	h.Helper()
	deadline := time.Now().Add(within)
	for _, id := range ids {
		h.until(id, time.Until(deadline), ended)
	}
	return time.Now()
}

// lapse has the time pass, five minutes, for which mails are held back by claims
// whose worker is dead, or never heard that it has them. It does so only once
// nothing but those is left, so no claim of a worker at its work is cut short.
func (h *house) lapse(l load) {
	h.Helper()
	left := -1
	h.eventually(l.patience(), "mail stands still", func() bool {
		before := left
		time.Sleep(1500 * time.Millisecond)
		left = one[int](h, `SELECT count(*) FROM invitations WHERE status = 'pending' AND (claimed_until IS NULL OR claimed_until <= now())`)
		return left == 0 && before == 0
	})
	h.exec(`UPDATE invitations SET claimed_until = now(), due_at = now() WHERE status = 'pending'`)
}
