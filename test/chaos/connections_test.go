//go:build unix

package chaos_test

import (
	"database/sql"
	"sync"
	"testing"
	"time"
)

// TestConnectionsExhausted: PostgreSQL has no connection left, while files are
// posted and rows are imported.
func TestConnectionsExhausted(t *testing.T) {
	parallel(t)
	const connections = 32
	length := time.Duration(sized(6, 40)) * time.Second
	h := newTestEnv(t, envOptions{Settings: map[string]string{"max_connections": "32"}})
	l := newLoad("exhaust", sized(30, 400), sized(20, 100))
	calm := undisturbed(h, l)
	h.startAPI()
	h.startWorker()

	greedy, err := sql.Open("postgres", h.postgres.running.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer greedy.Close()
	var taken []*sql.Conn
	// Repeatedly, because the programs also release connections.
	grab := func() {
		for len(taken) < connections {
			c, err := greedy.Conn(t.Context())
			if err != nil {
				return
			}
			taken = append(taken, c)
		}
	}
	grab()
	if len(taken) < connections/3 {
		t.Fatalf("only %d connections could be taken", len(taken))
	}
	p := &uploader{h: h, files: l.files}
	var posting sync.WaitGroup
	posting.Go(func() { p.post(16) })
	for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		grab()
	}
	held := len(taken)
	for _, c := range taken {
		c.Close()
	}
	greedy.Close()
	back := time.Now()
	posting.Wait()
	h.rowsIn(p.ids, 2*time.Minute)
	h.lapse(l)
	got := h.outcome(l, p.ids)
	h.same(l, got, calm)
	h.noneDoubled(p)
	if p.refused.Load() == 0 {
		t.Error("no post was rejected: the connections were not exhausted")
	}
	d := h.delivered(l, 0)
	h.figures("connections", connections, "of them taken away", held, "for", length, "files posted", len(l.files),
		"answers 503", p.refused.Load(), "slowest answer", p.slowest, "all done after", time.Since(back),
		"mails", d.Mails, "duplicates", d.Duplicates)
}
