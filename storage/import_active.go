package storage

import (
	"context"

	"rollcall/roster"
)

// CountActiveImports counts the imports of an actor that a worker has, or will have, in
// hand.
func (s *Store) CountActiveImports(ctx context.Context, by roster.Actor) (n int, err error) {
	defer translate(&err, "count imports under way")
	return n, s.db.GetContext(ctx, &n, `
		SELECT count(*) FROM imports
		 WHERE status IN ('queued', 'checking', 'importing') AND actor_kind = $1 AND actor_id = $2`, by.Kind, by.ID)
}
