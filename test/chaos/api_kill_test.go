//go:build unix

package chaos_test

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/test/proxytest"
)

// TestAPIKilled: the API is killed while an upload arrives, between its body
// and its commit, and between the commit and the answer. The client retries
// with its Idempotency-Key, and there is one import.
func TestAPIKilled(t *testing.T) {
	parallel(t)
	rounds := sized(2, 20)
	moments := []struct {
		said    string // from the API to PostgreSQL
		verdict proxytest.Action
	}{
		{"INSERT INTO import_chunks", proxytest.CutBefore}, // while the body arrives
		{"COMMIT\x00", proxytest.CutBefore},                // between body and commit
		{"COMMIT\x00", proxytest.HoldAnswer},               // between commit and answer
	}
	h := newTestEnv(t, envOptions{})
	l := newLoad("api", rounds*len(moments), 50)
	calm := undisturbed(h, l)

	p := &uploader{h: h, files: l.files, ids: make([]string, len(l.files)), mayBreak: true}
	for k := range l.files {
		moment := moments[k%len(moments)]
		api := h.startAPI()
		var killed atomic.Bool
		h.line.Filter(func(said []byte) proxytest.Action {
			if !bytes.Contains(said, []byte(moment.said)) || killed.Swap(true) {
				return proxytest.Pass
			}
			if moment.verdict == proxytest.CutBefore {
				api.Kill()
			} else {
				go func() { <-h.line.Held(); api.Kill() }()
			}
			return moment.verdict
		})
		if id := p.once(k); id != "" || !killed.Load() {
			t.Fatalf("file %d was answered although the API was to be killed: %q", k, id)
		}
		h.line.Filter(nil)
		committed := 0
		if moment.verdict == proxytest.HoldAnswer {
			committed = 1
		}
		if n := one[int](h, `SELECT count(*) FROM imports`) - k; n != committed {
			t.Errorf("file %d: %d imports before it is repeated, want %d", k, n, committed)
		}
		next := h.startAPI()
		h.eventually(10*time.Second, "the repeated post is taken", func() bool {
			p.ids[k] = p.once(k)
			return p.ids[k] != ""
		})
		next.Kill()
	}
	h.startAPI()
	h.startWorker()
	got := h.outcome(l, p.ids)
	h.same(l, got, calm)
	h.noneDoubled(p)
	d := h.delivered(l, 0)
	h.figures("kills while the body arrives", rounds, "between body and commit", rounds, "between commit and answer", rounds,
		"imports", len(p.files), "mails", d.Mails, "duplicates", d.Duplicates)
}
