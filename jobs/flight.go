package jobs

import (
	"context"
	"errors"
	"time"

	"rollcall/storage"
)

// flights are the batches of one import that are being committed: each in a
// transaction of its own, up to a few at once, while the commits themselves keep
// the order of the file. The rows of one batch depend on no other, so PostgreSQL
// works on two at once; only the last step, the cursor, waits for its turn.
type flights struct {
	*work
	most     int
	patience time.Duration // how long a batch waits for its turn with its rows in hand
	air      []*flight     // in the order of the file
	last     *flight       // launched last; nil: none yet
}

// flight is one batch on its way.
type flight struct {
	batch   storage.Batch
	began   time.Time
	done    chan struct{} // closed when applied and err are final
	applied storage.Applied
	late    bool // its turn did not come in time
	err     error
}

var (
	// errGrounded: the batch before this one was not committed.
	errGrounded = errors.New("the batch before was not committed")
	// errTurnLate: the turn did not come in time. The batch before may be
	// waiting for something that waits for this one.
	errTurnLate = errors.New("the turn of the batch did not come in time")
)

// launch begins to commit a batch, behind all launched before it.
func (f *flights) launch(ctx context.Context, b storage.Batch) {
	now := &flight{batch: b, began: time.Now(), done: make(chan struct{})}
	before := f.last
	f.air, f.last = append(f.air, now), now
	go func() {
		defer close(now.done)
		defer func() {
			if p := recover(); p != nil {
				now.err = f.panicked(p)
			}
		}()
		now.applied, now.late, now.err = f.fly(ctx, b, before)
	}()
}

// fly commits a batch. One that has waited too long for its turn lets go of all
// it holds, waits empty-handed, and begins again.
func (f *flights) fly(ctx context.Context, b storage.Batch, before *flight) (applied storage.Applied, late bool, err error) {
	if before == nil {
		applied, err = f.applyBatch(ctx, b)
		return applied, false, err
	}
	b.Turn = func(ctx context.Context) error { return before.landed(ctx, f.patience) }
	if applied, err = f.applyBatch(ctx, b); !errors.Is(err, errTurnLate) {
		return applied, false, err
	}
	b.Turn = nil
	<-before.done // it has a timeout of its own
	if before.err != nil {
		return applied, true, errGrounded
	}
	applied, err = f.applyBatch(ctx, b)
	return applied, true, err
}

// landed returns when the flight is committed, or that it never will be.
func (f *flight) landed(ctx context.Context, patience time.Duration) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-f.done:
	case <-late.C:
		return errTurnLate
	case <-ctx.Done():
		return ctx.Err()
	}
	if f.err != nil {
		return errGrounded
	}
	return nil
}

// land waits for the first of those in the air, and returns it if it was
// committed. Once one was late, those to come fly one by one: what it waited for
// is likely to go on.
func (f *flights) land() (*flight, error) {
	first := f.air[0]
	<-first.done
	f.air = f.air[1:]
	if first.late {
		f.meter.turnsLate.Inc()
		f.most = 1
	}
	return first, first.err
}

// wait returns when nothing is in the air any more.
func (f *flights) wait() {
	for _, one := range f.air {
		<-one.done
	}
}
