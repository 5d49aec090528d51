package broadcast_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"rollcall/internal/broadcast"
	"rollcall/roster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// batches is an import that changes every 50 ms for some time, and then stops
// changing. It is its own watcher.
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

// TestManySubscribersArePaced makes many clients wait for one import, each coming
// back as soon as it is notified: progress comes less often the more they are,
// the end within half a second, and never a revision they know.
func TestManySubscribersArePaced(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		subscribers int
		pace        time.Duration
	}{{1, 500 * time.Millisecond}, {250, 2 * time.Second}, {2000, 5 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			work := &batches{changed: make(chan struct{}, 1)}
			b := broadcast.New(broadcast.Config{Watcher: work, Read: work.read})
			const long = 10*time.Second + 20*time.Millisecond // ends between two publications
			began := time.Now()
			go work.run(long)
			var all sync.WaitGroup
			var told atomic.Int64
			for range tt.subscribers {
				all.Go(func() {
					for at := int64(0); ; {
						i, err := b.Await(t.Context(), uuid.Nil, at, func(*roster.Import) bool { return true })
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
			latest := 50 * time.Millisecond
			if tt.subscribers >= 20 { // one after the other
				latest += 500 * time.Millisecond
			}
			if late := time.Since(began) - long; late > latest {
				t.Errorf("%d subscribers: the end was told %s late", tt.subscribers, late)
			}
			each := told.Load() / int64(tt.subscribers)
			if most := int64(long/tt.pace) + 2; each < most/2 || each > most {
				t.Errorf("%d subscribers: each was told %d times in %s, want one for each %s", tt.subscribers, each, long, tt.pace)
			}
			if reads, changes := work.reads.Load(), work.revision.Load(); reads > 2*changes {
				t.Errorf("%d subscribers: %d reads for %d changes", tt.subscribers, reads, changes)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if n := b.Topics(); n != 0 {
				t.Errorf("%d topics are left though all have unsubscribed", n)
			}
		})
	}
}

// TestStoppingAnswersEverySubscriber; the end of a subscriber's own context
// does too.
func TestStoppingAnswersEverySubscriber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stopping := make(chan struct{})
		work := &batches{changed: make(chan struct{})}
		b := broadcast.New(broadcast.Config{Watcher: work, Read: work.read, Stopping: stopping})
		never := func(*roster.Import) bool { return false }
		leaving, leave := context.WithCancel(t.Context())
		var left, stayed sync.WaitGroup
		left.Go(func() {
			if _, err := b.Await(leaving, uuid.Nil, 0, never); !errors.Is(err, context.Canceled) {
				t.Errorf("the one who left got %v", err)
			}
		})
		stayed.Go(func() {
			if _, err := b.Await(t.Context(), uuid.Nil, 0, never); !errors.Is(err, broadcast.ErrStopping) {
				t.Errorf("the one who stayed got %v", err)
			}
		})
		synctest.Wait()
		leave()
		left.Wait()
		close(stopping)
		stayed.Wait()
	})
}

// TestReadIsRepeatedAfterAFailure: the database was unavailable when an import
// changed.
func TestReadIsRepeatedAfterAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		work := &batches{changed: make(chan struct{})}
		work.revision.Store(1)
		reads := 0
		b := broadcast.New(broadcast.Config{Watcher: work, Read: func(ctx context.Context, id uuid.UUID) (*roster.Import, error) {
			if reads++; reads == 1 {
				return nil, errors.New("away")
			}
			return work.read(ctx, id)
		}})
		i, err := b.Await(t.Context(), uuid.Nil, 0, func(*roster.Import) bool { return true })
		if err != nil || i.Revision != 1 || reads != 2 {
			t.Errorf("%+v, %v after %d reads", i, err, reads)
		}
	})
}

// TestNewSubscriberGetsNoStaleImport: what was read for earlier subscribers is
// not shown to one that comes after the last of them has left.
func TestNewSubscriberGetsNoStaleImport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := &batches{changed: make(chan struct{})}
		i.ended.Store(true)
		b := broadcast.New(broadcast.Config{Watcher: i, Read: i.read})
		if _, err := b.Await(t.Context(), uuid.Nil, -1, broadcast.AtRest); err != nil {
			t.Fatal(err)
		}
		i.ended.Store(false)
		i.revision.Add(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if got, err := b.Await(ctx, uuid.Nil, -1, broadcast.AtRest); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an import that is being worked on came to rest: %+v, %v", got, err)
		}
		time.Sleep(2 * time.Second) // until it is forgotten
	})
}
