package storage

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// Undo is how far the undo of an import has come.
type Undo struct {
	Removed    int64      `db:"undo_removed"`
	Kept       int64      `db:"undo_kept"`     // accepted or edited since, so they stay as they are
	Restored   int64      `db:"undo_restored"` // users who have their former values back
	AskedAt    time.Time  `db:"undo_requested_at"`
	FinishedAt *time.Time `db:"undo_finished_at"` // nil: it goes on
}

const undoColumns = `undo_removed, undo_kept, undo_restored, undo_requested_at, undo_finished_at`

// RequestUndo marks an import that has ended to be undone; the work is done by
// [Store.UndoStep], here or anywhere. Asking again tells how it goes.
// [ErrWrongState] for one that has not ended.
func (s *Store) RequestUndo(ctx context.Context, id uuid.UUID, by AuditEntry) (u Undo, err error) {
	defer translate(&err, "undo import %s", id)
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		err := tx.GetContext(ctx, &u, `
			UPDATE imports SET undo_requested_at = now()
			 WHERE id = $1 AND undo_requested_at IS NULL AND status IN ('completed', 'canceled')
			RETURNING `+undoColumns, id)
		if err == nil {
			return audit(ctx, tx, by.on("import.undo", "import", id))
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		err = tx.GetContext(ctx, &u, `SELECT `+undoColumns+` FROM imports WHERE id = $1 AND undo_requested_at IS NOT NULL`, id)
		if errors.Is(err, sql.ErrNoRows) {
			return stateOrMissing(ctx, tx, id)
		}
		return err
	})
	return u, err
}

// PendingUndos lists imports whose undo is not finished.
func (s *Store) PendingUndos(ctx context.Context) (ids []uuid.UUID, err error) {
	defer translate(&err, "list undos")
	return ids, s.db.SelectContext(ctx, &ids, `
		SELECT id FROM imports WHERE undo_requested_at IS NOT NULL AND undo_finished_at IS NULL ORDER BY id`)
}

// undoUsers is how many users one step deals with.
const undoUsers = 2_000

// UndoStep deals with the next users of an import that is being undone: those
// who have neither accepted nor been edited are removed, which kills their
// links; the others stay. Once that is done, those whom the import changed get
// their former values back, unless they were changed again. Several callers at once take turns. Nobody is met
// twice, however often a step is interrupted.
func (s *Store) UndoStep(ctx context.Context, id uuid.UUID) (u Undo, err error) {
	defer translate(&err, "undo a batch of import %s", id)
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		var at struct {
			After *uuid.UUID `db:"undo_cursor"`
			First *uuid.UUID `db:"first_user_id"`
			Last  *uuid.UUID `db:"last_user_id"`
			Row   *int64     `db:"undo_row"`
			Undo
		}
		if err := tx.GetContext(ctx, &at, `
			SELECT undo_cursor, undo_row, first_user_id, last_user_id, `+undoColumns+`
			  FROM imports WHERE id = $1 AND undo_requested_at IS NOT NULL FOR UPDATE`, id); err != nil {
			return err
		}
		if u = at.Undo; u.FinishedAt != nil {
			return nil
		}
		if at.Row != nil {
			return undoUpdates(ctx, tx, id, *at.Row, &u)
		}
		step, err := removeCreated(ctx, tx, id, at.After, at.First, at.Last)
		if err != nil {
			return err
		}
		if err := countMoves(ctx, tx, step.gone); err != nil {
			return err
		}
		if err := tx.GetContext(ctx, &u, `
			UPDATE imports
			   SET undo_cursor = COALESCE($2::uuid, undo_cursor), undo_removed = undo_removed + $3, undo_kept = undo_kept + $4,
			       undo_row = CASE WHEN $5 THEN $6::bigint END
			 WHERE id = $1
			RETURNING `+undoColumns, id, step.to, step.removed, step.met-step.removed, step.met < undoUsers, int64(math.MinInt64)); err != nil || step.met == undoUsers {
			return err
		}
		return undoUpdates(ctx, tx, id, math.MinInt64, &u)
	})
	return u, err
}

// undoStep is what one step of an undo did.
type undoStep struct {
	met, removed int64
	to           *uuid.UUID     // the last user met
	gone         []statusChange // invitations that went with their users
}

func removeCreated(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, after, first, last *uuid.UUID) (u undoStep, err error) {
	if first == nil {
		return u, nil // it created nobody
	}
	var users []struct {
		ID         uuid.UUID                `db:"id"`
		Removable  bool                     `db:"removable"`
		Invitation *roster.InvitationStatus `db:"invitation"`
	}
	if err := tx.SelectContext(ctx, &users, `
		SELECT u.id, u.status = 'invited' AND u.edits = 0 AS removable, i.status AS invitation
		  FROM users u LEFT JOIN invitations i ON i.user_id = u.id
		 WHERE u.id BETWEEN $2 AND $3 AND ($4::uuid IS NULL OR u.id > $4) AND u.import_id = $1
		 ORDER BY u.id LIMIT $5 FOR UPDATE OF u`, id, first, last, after, undoUsers); err != nil {
		return u, err
	}
	var ids []string
	gone := map[roster.InvitationStatus]int64{}
	for i := range users {
		u.met++
		u.to = &users[i].ID
		if users[i].Removable {
			ids = append(ids, users[i].ID.String())
			if users[i].Invitation != nil {
				gone[*users[i].Invitation]++
			}
		}
	}
	u.removed = int64(len(ids))
	for status, n := range gone {
		u.gone = append(u.gone, statusChange{id, status, "", n})
	}
	if len(ids) == 0 {
		return u, nil
	}
	if _, err := tx.ExecContext(ctx, noteReplaced+`i.user_id = ANY($1::uuid[])`, textArray(ids)); err != nil {
		return u, err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM users WHERE id = ANY($1::uuid[])`, textArray(ids))
	return u, err
}
