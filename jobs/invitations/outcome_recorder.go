package invitations

import (
	"context"
	"errors"
	"slices"
	"time"

	"rollcall/internal/batch"
	"rollcall/storage"
)

const (
	outcomesAtOnce = 500                    // in one transaction
	outcomeDelay   = 40 * time.Millisecond  // to collect more
	recordTimeout  = 10 * time.Second       // one transaction
	recordWait     = 50 * time.Millisecond  // before the first retry; doubles
	recordWaitMax  = 500 * time.Millisecond // at most
)

// outcome is a request to record the outcome of an attempt.
type outcome = batch.Request[storage.SendResult]

// newOutcomeRecorder records the outcomes of many attempts in one transaction.
// While the database is unavailable it retries as long as a caller waits: a
// sent mail that is not recorded would be sent again. open returns how many
// outcomes are still to come.
func newOutcomeRecorder(store *storage.Store, open func() int) *batch.Batcher[storage.SendResult] {
	commit := func(outcomes []outcome) error {
		ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
		defer cancel()
		err := store.RecordOutcomes(ctx, batch.Items(outcomes))
		if err != nil && ctx.Err() != nil {
			return ctx.Err() // whatever error the driver returned
		}
		return err
	}
	return batch.New(batch.Config[storage.SendResult]{
		MaxSize: outcomesAtOnce, MaxDelay: outcomeDelay, Expected: open,
		Commit: func(ctx context.Context, outcomes []outcome) { recordOutcomes(ctx, commit, outcomes) },
	})
}

// recordOutcomes commits the outcomes, retrying as long as a caller waits.
func recordOutcomes(ctx context.Context, commit func([]outcome) error, outcomes []outcome) {
	for wait := recordWait; len(outcomes) > 0; wait = min(2*wait, recordWaitMax) {
		err := commit(outcomes)
		if !transient(err) {
			answer(commit, outcomes, err)
			return
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		outcomes = slices.DeleteFunc(outcomes, func(o outcome) bool {
			late := o.Context.Err() != nil || ctx.Err() != nil
			if late {
				o.Done(err)
			}
			return late
		})
	}
}

// answer reports the results. If the database rejects several outcomes
// together, each is committed alone, so that one bad outcome does not fail the
// others.
func answer(commit func([]outcome) error, outcomes []outcome, err error) {
	for _, o := range outcomes {
		if err != nil && len(outcomes) > 1 {
			o.Done(commit([]outcome{o}))
		} else {
			o.Done(err)
		}
	}
}

// transient reports whether the same may succeed later.
func transient(err error) bool {
	return errors.Is(err, storage.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}
