package storage

import (
	"context"

	"github.com/google/uuid"

	"rollcall/roster"
)

// RowErrorCount is how many rows of an import were refused for a reason first of
// all.
type RowErrorCount struct {
	Reason roster.Code `db:"reason"`
	Rows   int64       `db:"n"`
}

// CountRowErrors counts the failed rows of an import by reason, most first. The
// counts outlive the rows.
func (s *Store) CountRowErrors(ctx context.Context, id uuid.UUID) (counts []RowErrorCount, err error) {
	defer translate(&err, "count errors of import %s", id)
	err = s.db.SelectContext(ctx, &counts, `
		SELECT c.key AS reason, sum(c.value::bigint)::bigint AS n
		  FROM imports i
		       CROSS JOIN LATERAL (SELECT i.error_counts AS counts WHERE i.error_counts IS NOT NULL
		                           UNION ALL SELECT e.counts FROM import_errors e WHERE e.import_id = i.id AND i.error_counts IS NULL) b
		       CROSS JOIN LATERAL jsonb_each_text(b.counts) c
		 WHERE i.id = $1 GROUP BY c.key ORDER BY n DESC, reason`, id)
	return counts, err
}
