package jobs

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"rollcall/storage"
)

// recorder commits the outcomes of many attempts in one transaction. While the
// database is away it tries again for as long as anybody waits: a mail whose
// sending is not on record would be sent a second time.
type recorder struct {
	*together[storage.Outcome, error]
	store *storage.Store
	open  atomic.Int64 // attempts that are to be recorded, and are not yet
}

// entry is an outcome and who waits for it to be committed.
type entry = asked[storage.Outcome, error]

const (
	recordMost    = 500                    // outcomes in one transaction
	recordLinger  = 40 * time.Millisecond  // for more to come
	recordTimeout = 10 * time.Second       // one transaction
	recordWait    = 50 * time.Millisecond  // before the first repetition; doubles
	recordWaitMax = 500 * time.Millisecond // at most
)

func newRecorder(store *storage.Store) *recorder {
	r := &recorder{store: store}
	r.together = newTogether(recordMost, recordLinger, r.settle)
	r.expected = func() int { return int(r.open.Load()) }
	return r
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
			e.answer(r.commit([]entry{e}))
		} else {
			e.answer(err)
		}
	}
}

func (r *recorder) commit(entries []entry) error {
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
	defer cancel()
	err := r.store.RecordOutcomes(ctx, values(entries))
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // however the driver words it
	}
	return err
}
