package jobs

import (
	"context"
	"time"

	"rollcall/storage"
)

// recorder commits the outcomes of many attempts in one transaction: what came
// in while the last one was being committed goes with the next.
type recorder struct {
	store *storage.Store
	in    chan entry
}

type entry struct {
	outcome storage.Outcome
	done    chan<- error
}

// recordMost bounds one transaction.
const recordMost = 500

// recordTimeout bounds it in time.
const recordTimeout = 10 * time.Second

func newRecorder(store *storage.Store) *recorder {
	return &recorder{store: store, in: make(chan entry, recordMost)}
}

// record returns when the outcome is committed, or is known not to be.
func (r *recorder) record(ctx context.Context, o storage.Outcome) error {
	done := make(chan error, 1)
	select {
	case r.in <- entry{o, done}:
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
			r.commit(r.gather(e))
		case <-ctx.Done():
			return
		}
	}
}

// gather takes what is there, without waiting for more.
func (r *recorder) gather(first entry) []entry {
	entries := []entry{first}
	for len(entries) < recordMost {
		select {
		case e := <-r.in:
			entries = append(entries, e)
		default:
			return entries
		}
	}
	return entries
}

func (r *recorder) commit(entries []entry) {
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
	defer cancel()
	outcomes := make([]storage.Outcome, len(entries))
	for i, e := range entries {
		outcomes[i] = e.outcome
	}
	err := r.store.RecordOutcomes(ctx, outcomes)
	for _, e := range entries {
		e.done <- err
	}
}
