package httpapi_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"rollcall/httpapi"
	"rollcall/roster"
)

// batches is an import that changes every 50 ms, for so long, and then comes to
// rest. It is its own watcher.
type batches struct {
	changed  chan struct{}
	revision atomic.Int64
	ended    atomic.Bool
	reads    atomic.Int64
	watched  atomic.Int64
}

func (b *batches) Watch(uuid.UUID) (<-chan struct{}, func()) {
	b.watched.Add(1)
	return b.changed, func() {}
}

func (b *batches) read(context.Context, uuid.UUID) (*roster.Import, error) {
	b.reads.Add(1)
	i := &roster.Import{Revision: b.revision.Load(), Status: roster.Importing}
	if b.ended.Load() {
		i.Status = roster.Completed
	}
	return i, nil
}

func (b *batches) run(long time.Duration) {
	for began := time.Now(); time.Since(began) < long; {
		time.Sleep(50 * time.Millisecond)
		b.revision.Add(1)
		b.changed <- struct{}{}
	}
	b.ended.Store(true)
	b.revision.Add(1)
	b.changed <- struct{}{}
}

// TestACrowdIsToldAtAPace has many wait for one import, each coming back as soon
// as it is told.
func TestACrowdIsToldAtAPace(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		crowd int
		pace  time.Duration
	}{{1, 500 * time.Millisecond}, {250, 2 * time.Second}, {2000, 5 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			work := &batches{changed: make(chan struct{}, 1)}
			board := httpapi.NewBoard(work, work.read, 500*time.Millisecond)
			const long = 10*time.Second + 20*time.Millisecond // over between two turns
			began := time.Now()
			go work.run(long)
			var all sync.WaitGroup
			var told atomic.Int64
			for range tt.crowd {
				all.Go(func() {
					for at := int64(0); ; {
						i, err := board.Next(t.Context(), uuid.Nil, at)
						if err != nil || i.Revision <= at {
							t.Errorf("after revision %d: %+v, %v", at, i, err)
							return
						}
						if at = i.Revision; i.Status == roster.Completed {
							return
						}
						told.Add(1)
					}
				})
			}
			all.Wait()
			most := 50 * time.Millisecond
			if tt.crowd > 20 { // one after the other
				most += 500 * time.Millisecond
			}
			if late := time.Since(began) - long; late > most {
				t.Errorf("%d waiters: the end was told %s late", tt.crowd, late)
			}
			each := told.Load() / int64(tt.crowd)
			if most := int64(long/tt.pace) + 2; each < most/2 || each > most {
				t.Errorf("%d waiters: each was told %d times in %s, want one for each %s", tt.crowd, each, long, tt.pace)
			}
			if reads, changes := work.reads.Load(), work.revision.Load(); reads > 2*changes {
				t.Errorf("%d waiters: %d reads for %d changes", tt.crowd, reads, changes)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if board.Shown() != 0 {
				t.Error("an import stays on the board though nobody waits for it")
			}
		})
	}
}
