package jobs

import (
	"context"
	"errors"
	"slices"
	"time"

	"rollcall/storage"
)

// recorder commits the outcomes of many attempts in one transaction: what comes
// in shortly after the first, or while the last one is being committed.
type recorder struct {
	store *storage.Store
	in    chan entry
}

// entry is an outcome and who waits for it to be committed.
type entry struct {
	outcome storage.Outcome
	waiting context.Context
	done    chan<- error
}

const (
	recordMost    = 500                    // outcomes in one transaction
	recordLinger  = 10 * time.Millisecond  // for more to come
	recordTimeout = 10 * time.Second       // one transaction
	recordWait    = 50 * time.Millisecond  // before the first repetition; doubles
	recordWaitMax = 500 * time.Millisecond // at most
)

func newRecorder(store *storage.Store) *recorder {
	return &recorder{store: store, in: make(chan entry, recordMost)}
}

// record returns when the outcome is committed, or is known not to be. While
// the database is away it is tried again until ctx ends: a mail whose sending
// is not on record would be sent a second time.
func (r *recorder) record(ctx context.Context, o storage.Outcome) error {
	done := make(chan error, 1)
	select {
	case r.in <- entry{o, ctx, done}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run commits until ctx ends; whoever calls record must have stopped by then.
func (r *recorder) run(ctx context.Context) {
	for {
		select {
		case e := <-r.in:
			r.settle(ctx, gather(r.in, e, recordMost, recordLinger))
		case <-ctx.Done():
			return
		}
	}
}

// settle commits the entries, as often as it takes while anybody waits.
func (r *recorder) settle(ctx context.Context, entries []entry) {
	for wait := recordWait; len(entries) > 0; wait = min(2*wait, recordWaitMax) {
		err := r.commit(entries)
		if err == nil || !passing(err) {
			r.answer(entries, err)
			return
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		entries = slices.DeleteFunc(entries, func(e entry) bool { return e.waiting.Err() != nil })
	}
}

// passing reports whether the database may well take the same later.
func passing(err error) bool {
	return errors.Is(err, storage.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

// answer tells everybody. Where the database refuses them together, each is
// committed alone, so that one at fault takes no other with it.
func (r *recorder) answer(entries []entry, err error) {
	for _, e := range entries {
		if err != nil && len(entries) > 1 {
			e.done <- r.commit([]entry{e})
		} else {
			e.done <- err
		}
	}
}

func (r *recorder) commit(entries []entry) error {
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
	defer cancel()
	outcomes := make([]storage.Outcome, len(entries))
	for i, e := range entries {
		outcomes[i] = e.outcome
	}
	err := r.store.RecordOutcomes(ctx, outcomes)
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // however the driver words it
	}
	return err
}
