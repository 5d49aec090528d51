//go:build unix

package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"rollcall/test/programtest"
)

// mailConcurrency is the default of ROLLCALL_MAIL_CONCURRENCY: this many mails
// may be in progress when a worker is killed.
const mailConcurrency = 4

// TestKill: workers are killed at random moments and replaced, while rows are
// imported and while mail is sent.
func TestKill(t *testing.T) {
	parallel(t)
	h := newTestEnv(t, envOptions{})
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
		// Up to two in three while rows are imported, if that takes as long:
		// soon after a worker has claimed an import. The others while mail is
		// sent.
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
	h.mailOut(30*time.Second + l.patience())
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

// inHand waits until a worker has claimed an import; it returns false if none
// will.
func (h *testEnv) inHand() bool {
	h.Helper()
	for one[int](h, `SELECT count(*) FROM imports WHERE finished_at IS NULL`) > 0 {
		if one[int](h, `SELECT count(*) FROM imports WHERE lease_until > clock_timestamp() + interval '11.5 s'`) > 0 {
			return true
		}
		time.Sleep(5 * time.Millisecond)
	}
	return false
}

// rowsIn waits for the imports to end and returns when they did.
func (h *testEnv) rowsIn(ids []string, within time.Duration) time.Time {
	h.Helper()
	deadline := time.Now().Add(within)
	for _, id := range ids {
		h.until(id, time.Until(deadline), ended)
	}
	return time.Now()
}

// lapse skips the five minutes for which mails are held back by claims whose
// worker lives but never learned that it has them. It does so only once no other
// mails are left, so the claim of a working worker is never cut short.
func (h *testEnv) lapse(l load) {
	h.Helper()
	left := -1
	h.eventually(l.patience(), "mail stops", func() bool {
		before := left
		time.Sleep(1500 * time.Millisecond)
		left = one[int](h, `SELECT count(*) FROM invitations WHERE status = 'pending' AND (claimed_until IS NULL OR claimed_until <= now())`)
		return left == 0 && before == 0
	})
	h.exec(`UPDATE invitations SET claimed_until = now(), due_at = now() WHERE status = 'pending'`)
}

// mailOut waits until every invitation has been sent, those that killed workers had
// claimed among them.
func (h *testEnv) mailOut(within time.Duration) {
	h.Helper()
	h.eventually(within, "all mail is out", func() bool {
		time.Sleep(100 * time.Millisecond)
		return one[int](h, `SELECT count(*) FROM invitations WHERE status = 'pending'`) == 0
	})
}

// TestKilledWithMailInHand: all workers are killed while mail is sent. What they had
// claimed is sent by their successors within half a minute more than mail takes
// anyway, and no more of it twice than the workers had connections.
func TestKilledWithMailInHand(t *testing.T) {
	parallel(t)
	const workers = 2
	h := newTestEnv(t, envOptions{})
	l := newLoad("claimed", 1, sized(3_000, 20_000))
	h.startAPI()
	sending := []*programtest.Program{h.startWorker(), h.startWorker()}
	ids := l.upload(h)
	h.rowsIn(ids, time.Minute)
	h.eventually(l.patience(), "mail goes out", func() bool {
		return one[int](h, `SELECT count(*) FROM invitations WHERE status = 'sent'`) > 100
	})
	for _, w := range sending {
		w.Kill()
	}
	claimed := one[int](h, `SELECT count(*) FROM invitations WHERE status = 'pending' AND claimed_until > now()`)
	began := time.Now()
	for range sending {
		h.startWorker()
	}
	h.mailOut(30*time.Second + l.patience())
	took := time.Since(began)
	d := h.delivered(l, workers*mailConcurrency)
	if claimed == 0 {
		t.Error("the workers had claimed nothing when they were killed")
	}
	if took > 30*time.Second+time.Duration(len(l.mailed))*2*time.Millisecond {
		t.Errorf("all mail was out after %v", took)
	}
	h.figures("mails", d.Mails, "duplicates", d.Duplicates, "claimed when killed", claimed, "all out after", took)
}
