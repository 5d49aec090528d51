package storage

import (
	"context"

	"github.com/google/uuid"

	"rollcall/roster"
)

// ReasonCount is how many rows of an import were refused for a reason first of
// all.
type ReasonCount struct {
	Reason roster.Code `db:"reason"`
	Rows   int64       `db:"n"`
}

// RefusalReasons counts the refused rows of an import by reason, most first.
func (s *Store) RefusalReasons(ctx context.Context, id uuid.UUID) (counts []ReasonCount, err error) {
	defer translate(&err, "count errors of import %s", id)
	err = s.db.SelectContext(ctx, &counts, `
		SELECT reason, count(*) AS n FROM import_errors WHERE import_id = $1 GROUP BY reason ORDER BY n DESC, reason`, id)
	return counts, err
}

// RefusalsFor is [Store.Refusals] for those refused for one reason first of all.
func (s *Store) RefusalsFor(ctx context.Context, id uuid.UUID, reason roster.Code, after int64, limit int) (_ []roster.Refusal, err error) {
	defer translate(&err, "list errors of import %s for one reason", id)
	var rows []refusalRow
	if err := s.selectInOrder(ctx, &rows, `
		SELECT `+refusalColumns+` FROM import_errors
		 WHERE import_id = $1 AND row > $2 AND reason = $4 ORDER BY row LIMIT $3`, id, after, limit, reason); err != nil {
		return nil, err
	}
	return asRefusals(rows)
}
