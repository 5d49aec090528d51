package report

import (
	"context"
	"fmt"
	"math"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// refusedRange is of how many rows the refusals are in memory at a time, a few
// hundred bytes each.
const refusedRange = 2000

// refused tells the refusals of an import to someone who goes through the rows
// of its file.
type refused struct {
	store *storage.Store
	id    uuid.UUID
	known []roster.Refusal // not yet told
	last  int64            // the row up to which they are known
}

// knows reports whether of answers for a row without asking the database.
func (r *refused) knows(row int64) bool { return row <= r.last }

// of returns the refusal of a row, nil if it was not refused. Rows are asked
// for in order. It is an error if a refused row was passed over: the file would
// not be the one that was checked.
func (r *refused) of(ctx context.Context, row int64) (*roster.Refusal, error) {
	if !r.knows(row) {
		if err := r.learn(ctx, row+refusedRange-1); err != nil {
			return nil, err
		}
	}
	if len(r.known) == 0 || r.known[0].Row > row {
		return nil, nil
	}
	told := &r.known[0]
	if told.Row < row {
		return nil, fmt.Errorf("row %d is not in the file", told.Row)
	}
	r.known = r.known[1:]
	return told, nil
}

// end makes sure that all refusals were told.
func (r *refused) end(ctx context.Context) error {
	if err := r.learn(ctx, math.MaxInt64); err != nil {
		return err
	}
	if len(r.known) > 0 {
		return fmt.Errorf("row %d is not in the file", r.known[0].Row)
	}
	return nil
}

// learn asks for the refusals up to row last.
func (r *refused) learn(ctx context.Context, last int64) error {
	if len(r.known) > 0 {
		return fmt.Errorf("row %d is not in the file", r.known[0].Row)
	}
	known, err := r.store.Reasons(ctx, r.id, r.last+1, last)
	r.known, r.last = known, last
	return err
}
