package storage

import (
	"context"

	"github.com/google/uuid"
)

// ImportProgress returns the row at which the import pass of an import has yet
// to go on: it has dealt with every row before that one and with none from it
// on, but for those of [Store.WaitingRows]. It is 0 before the pass has begun, as of a dry run or an import canceled
// in its check, and above every row once the import is completed.
func (s *Store) ImportProgress(ctx context.Context, id uuid.UUID) (row int64, err error) {
	defer translate(&err, "read progress of import %s", id)
	// The cursor is that of the check until that has found the total.
	err = s.db.GetContext(ctx, &row, `
		SELECT CASE WHEN status = 'completed' THEN 9223372036854775807
		            WHEN total IS NULL THEN 0
		            WHEN stage <> 'rows' THEN 9223372036854775807
		            ELSE cursor_row END
		  FROM imports WHERE id = $1`, id)
	return row, err
}

// UpdatedRows finds the rows from to last, both included, that changed a user who
// is still there, and that user.
func (s *Store) UpdatedRows(ctx context.Context, id uuid.UUID, from, last int64) (_ map[int64]uuid.UUID, err error) {
	defer translate(&err, "list updates of import %s", id)
	var rows []struct {
		Row  int64     `db:"row"`
		User uuid.UUID `db:"user_id"`
	}
	if err := s.db.SelectContext(ctx, &rows, `
		SELECT row, user_id FROM import_updates WHERE import_id = $1 AND row BETWEEN $2 AND $3`, id, from, last); err != nil {
		return nil, err
	}
	updated := make(map[int64]uuid.UUID, len(rows))
	for _, r := range rows {
		updated[r.Row] = r.User
	}
	return updated, nil
}
