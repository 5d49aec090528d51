package storage

import (
	"context"

	"github.com/google/uuid"
)

// UndoPreview is what an undo of an import would do now.
type UndoPreview struct {
	Remove  int64 `db:"remove"`  // users who have neither accepted nor been edited
	Keep    int64 `db:"keep"`    // users who have, and stay
	Restore int64 `db:"restore"` // users it changed or disabled who get their former values back
	Changed int64 `db:"changed"` // users it changed who were changed again, and stay as they are
}

// Any reports whether there is anything to undo.
func (u UndoPreview) Any() bool { return u.Remove+u.Restore > 0 }

// UndoPreview counts what [Store.RequestUndo] would lead to, and changes nothing.
func (s *Store) UndoPreview(ctx context.Context, id uuid.UUID) (u UndoPreview, err error) {
	defer translate(&err, "preview the undo of import %s", id)
	err = s.db.GetContext(ctx, &u, `
		SELECT count(*) FILTER (WHERE u.status = 'invited' AND u.edits = 0) AS remove,
		       count(*) FILTER (WHERE u.status <> 'invited' OR u.edits > 0) AS keep
		  FROM imports i JOIN users u ON u.id BETWEEN i.first_user_id AND i.last_user_id AND u.import_id = i.id
		 WHERE i.id = $1`, id)
	if err != nil {
		return u, err
	}
	err = s.db.GetContext(ctx, &u, `
		SELECT count(*) FILTER (WHERE c.before IS NOT NULL AND u.edits = c.edits) AS restore,
		       count(*) FILTER (WHERE c.before IS NULL OR u.edits <> c.edits) AS changed
		  FROM import_updates c JOIN users u ON u.id = c.user_id
		 WHERE c.import_id = $1`, id)
	return u, err
}

// UndoState tells how far the undo of an import has come. [ErrNotFound] if none
// was asked for.
func (s *Store) UndoState(ctx context.Context, id uuid.UUID) (u Undo, err error) {
	defer translate(&err, "read the undo of import %s", id)
	err = s.db.GetContext(ctx, &u, `SELECT `+undoColumns+` FROM imports WHERE id = $1 AND undo_requested_at IS NOT NULL`, id)
	return u, err
}
