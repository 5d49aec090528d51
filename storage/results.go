package storage

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"rollcall/roster"
)

// ImportProgress returns the row at which the import pass of an import has yet
// to go on: it has dealt with every row before that one and with none from it
// on. It is 0 before the pass has begun, as of a dry run or an import canceled
// in its check, and above every row once the import is completed.
func (s *Store) ImportProgress(ctx context.Context, id uuid.UUID) (row int64, err error) {
	defer translate(&err, "read progress of import %s", id)
	// The cursor is that of the check until that has found the total.
	err = s.db.GetContext(ctx, &row, `
		SELECT CASE WHEN status = 'completed' THEN 9223372036854775807
		            WHEN total IS NULL THEN 0
		            ELSE at_row END
		  FROM imports WHERE id = $1`, id)
	return row, err
}

// Reasons lists why rows from to last, both included, were refused, in row
// order. The refusals are without line, address and values, which whoever reads
// the file beside them has from there.
//
// A range of rows, unlike a number of refusals, is read in the time it takes to
// read just these, whatever PostgreSQL thinks of the table: right after an
// import it does not yet know how many of its refusals there are, and sorts all
// of them to find the first few.
func (s *Store) Reasons(ctx context.Context, id uuid.UUID, from, last int64) (_ []roster.Refusal, err error) {
	defer translate(&err, "list why rows of import %s were refused", id)
	var rows []struct {
		Row     int64         `db:"row"`
		Reason  roster.Code   `db:"reason"`
		Field   roster.Column `db:"field"`
		Message string        `db:"message"`
		Also    []byte        `db:"also"`
	}
	if err := s.db.SelectContext(ctx, &rows, `
		SELECT row, reason, field, message, also
		  FROM import_errors WHERE import_id = $1 AND row BETWEEN $2 AND $3 ORDER BY row`, id, from, last); err != nil {
		return nil, err
	}
	refusals := make([]roster.Refusal, len(rows))
	for i, r := range rows {
		refusals[i] = roster.Refusal{Row: r.Row, Problems: []roster.Problem{{Field: r.Field, Code: r.Reason, Message: r.Message}}}
		if r.Also == nil {
			continue
		}
		var also []alsoProblem
		if err := json.Unmarshal(r.Also, &also); err != nil {
			return nil, fmt.Errorf("read further problems of row %d: %w", r.Row, err)
		}
		for _, p := range also {
			refusals[i].Problems = append(refusals[i].Problems, roster.Problem{Field: p.Field, Code: p.Reason, Message: p.Message})
		}
	}
	return refusals, nil
}
