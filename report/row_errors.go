package report

import (
	"context"
	"fmt"
	"math"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// rowErrorsAtOnce is how many rowErrors are in memory at a time, a few hundred bytes
// each.
const rowErrorsAtOnce = 2000

// rowErrorCursor looks up the row errors of an import for a caller that iterates over
// the rows of its file.
type rowErrorCursor struct {
	store *storage.Store
	id    uuid.UUID
	known []roster.RowError // not yet returned
	last  int64             // the row up to which known is complete
}

// knows reports whether of can answer for a row without a database query.
func (r *rowErrorCursor) knows(row int64) bool { return row <= r.last }

// of returns the error of a row, nil if it has none. Rows must be asked for in
// order. Skipping a row that has an error fails: the file would not be the one
// that was checked.
func (r *rowErrorCursor) of(ctx context.Context, row int64) (*roster.RowError, error) {
	if !r.knows(row) {
		if err := r.learn(ctx); err != nil {
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

// end fails unless all row errors were returned.
func (r *rowErrorCursor) end(ctx context.Context) error {
	if len(r.known) == 0 && r.last < math.MaxInt64 {
		if err := r.learn(ctx); err != nil {
			return err
		}
	}
	if len(r.known) > 0 {
		return fmt.Errorf("row %d is not in the file", r.known[0].Row)
	}
	return nil
}

// learn asks for the next rowErrors.
func (r *rowErrorCursor) learn(ctx context.Context) error {
	if len(r.known) > 0 {
		return fmt.Errorf("row %d is not in the file", r.known[0].Row)
	}
	known, err := r.store.RowErrors(ctx, r.id, r.last, rowErrorsAtOnce)
	if err != nil {
		return err
	}
	r.known, r.last = known, math.MaxInt64
	if len(known) == rowErrorsAtOnce {
		r.last = known[len(known)-1].Row
	}
	return nil
}
