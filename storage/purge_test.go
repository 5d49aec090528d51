package storage_test

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgtest"
)

// TestPurgeIsInNobodysWay: while a large import is purged another goes on, and
// never waits for a lock: any wait of 100 ms would fail it.
func TestPurgeIsInNobodysWay(t *testing.T) {
	t.Parallel()
	raw := pgtest.New(t)
	h := &testEnv{T: t, Store: openStore(t, raw), ctx: t.Context(), url: raw}
	address, err := url.Parse(raw)
	h.must(err)
	query := address.Query()
	query.Set("lock_timeout", "100")
	address.RawQuery = query.Encode()
	impatient := &testEnv{T: t, Store: openStore(t, address.String()), ctx: t.Context()}

	const chunks, blocks = 400, 200 // 100 MiB of file
	chunk := make([]byte, 256<<10)
	id := h.receive(roster.Options{}).ID
	for n := range chunks {
		h.exec(`INSERT INTO import_chunks (import_id, seq, data) VALUES ($1, $2, $3)`, id, n+1, chunk)
	}
	h.must(h.CancelImport(h.ctx, id, by))
	for block := range blocks {
		h.exec(`INSERT INTO import_errors (import_id, first_row, last_row, counts, data) VALUES ($1, $2, $2, '{}', $3)`, id, block, chunk[:64<<10])
	}
	h.exec(`UPDATE imports SET finished_at = now() - interval '2 hours' WHERE id = $1`, id)

	const rows, batch = 40_000, 400
	claim := impatient.importing(roster.Options{SendInvitations: true}, rows)
	stop, cancel := context.WithCancel(t.Context())
	purged := make(chan time.Duration, 1) // the longest step
	go func() {
		defer close(purged)
		var longest time.Duration
		for steps := 0; ; steps++ {
			began := time.Now()
			done, err := h.PurgeImport(stop, time.Hour)
			longest = max(longest, time.Since(began))
			if err != nil {
				t.Errorf("purge: %v", err)
				return
			}
			if done {
				if least := chunks/64 + blocks/64; steps < least {
					t.Errorf("all purged in %d steps, want %d small ones", steps, least)
				}
				purged <- longest
				return
			}
		}
	}()
	var slowest time.Duration
	beside := 0 // batches committed before the purge ended
	var longest time.Duration
	for row := int64(2); row < rows+2; row += batch {
		var people []storage.UserRow
		for k := row; k < row+batch; k++ {
			people = append(people, newcomer(k, fmt.Sprint("p", k)))
		}
		began := time.Now()
		_, err := impatient.ApplyBatch(h.ctx, claim, storage.Batch{To: at(row + batch), Rows: batch, Newcomers: people, Last: row+batch == rows+2})
		h.must(err)
		slowest = max(slowest, time.Since(began))
		if longest == 0 {
			select {
			case longest = <-purged:
			default:
				beside++
			}
		}
	}
	if longest == 0 {
		longest = <-purged
	}
	cancel()
	if i := h.read(claim.Import.ID); i.Status != roster.Completed || i.Imported != rows {
		t.Errorf("%s: %+v", i.Status, i.Counts)
	}
	if !h.read(id).Purged() {
		t.Error("not purged")
	}
	if beside == 0 {
		t.Error("the purge was over before the first batch: nothing was tried")
	}
	t.Logf("%d batches beside the purge; the slowest took %s, the longest step of the purge %s", beside, slowest, longest)
}
