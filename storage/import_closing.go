package storage

import (
	"context"
	"database/sql"
	"errors"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// Stage is what the import pass of an import is at.
type Stage string

// The stages, in order. Most imports end with the rows.
const (
	StageRows     Stage = "rows"     // the rows of the file
	StageDeferred Stage = "deferred" // rows that had to wait for others
	StageMissing  Stage = "missing"  // users who are missing from a full roster
)

// closes reports whether there is something to do after the last row.
func closes(ctx context.Context, tx *sqlx.Tx, c *Claim) (more bool, err error) {
	return more, tx.GetContext(ctx, &more, `SELECT EXISTS (SELECT FROM import_deferred_rows WHERE import_id = $1) OR EXISTS (SELECT FROM import_missing WHERE import_id = $1)`, c.Import.ID)
}

// CloseStep commits the next step of the stages after the rows. The last step
// completes the import and ends the claim. [ErrClaimLost] means that nothing was
// written.
func (s *Store) CloseStep(ctx context.Context, c *Claim, adminScopes []string) (a Applied, err error) {
	defer translate(&err, "close import %s", c.Import.ID)
	stage, ended := c.Stage, false
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := lockClosing(ctx, tx, c); err != nil {
			return err
		}
		var rowErrors []roster.RowError
		var first, last *uuid.UUID
		a = Applied{}
		cursor := int64(0)
		if c.Stage == StageDeferred {
			if a, rowErrors, first, last, err = applyDeferred(ctx, tx, c, adminScopes); err != nil {
				return err
			}
			stage = StageMissing
		} else if a.Disabled, cursor, ended, err = disableMissing(ctx, tx, c); err != nil {
			return err
		}
		if err := insertRowErrors(ctx, tx, c.Import.ID, rowErrors); err != nil {
			return err
		}
		return advanceClosing(ctx, tx, c, a, first, last, stage, cursor, ended)
	})
	if err != nil {
		return Applied{}, err
	}
	c.Import.Warnings = warningsAfter(c, a.rolesKept)
	c.Stage, c.Crashes = stage, 0
	if ended {
		c.Import.Status = roster.Completed
	}
	return a, nil
}

func lockClosing(ctx context.Context, tx *sqlx.Tx, c *Claim) error {
	var held bool
	err := tx.GetContext(ctx, &held, `
		SELECT true FROM imports WHERE id = $1 AND fence = $2 AND stage = $3 AND status = 'importing' FOR UPDATE`,
		c.Import.ID, c.Fence, c.Stage)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrClaimLost
	}
	return err
}

// advanceClosing moves on to a stage, or ends the import.
func advanceClosing(ctx context.Context, tx *sqlx.Tx, c *Claim, a Applied, first, last *uuid.UUID, stage Stage, cursor int64, ended bool) error {
	warnings, err := changedWarnings(c, a.rolesKept)
	if err != nil {
		return err
	}
	var held, pending int64
	if c.Import.Options.SendInvitations {
		pending = a.invitable
	} else {
		held = a.invitable
	}
	if _, err := tx.ExecContext(ctx, `
		UPDATE imports
		   SET stage = $2, imported = imported + $3, updated = updated + $4, unchanged = unchanged + $5, failed = failed + $6,
		       invites_held = invites_held + $7, invites_pending = invites_pending + $8,
		       first_user_id = LEAST(first_user_id, $9::uuid), last_user_id = GREATEST(last_user_id, $10::uuid),
		       warnings = COALESCE($11, warnings),
		       status = CASE WHEN $12 THEN 'completed' ELSE status END,
		       finished_at = CASE WHEN $12 THEN now() END,
		       lease_until = CASE WHEN NOT $12 THEN clock_timestamp() + make_interval(secs => $13) END,
		       failed_claims = 0, disabled = disabled + $14, missing_cursor = $15
		 WHERE id = $1`,
		c.Import.ID, stage, a.Imported, a.Updated, a.Unchanged, a.Failed, held, pending, first, last, warnings, ended, seconds(c.Lease), a.Disabled, cursor); err != nil {
		return err
	}
	if c.Stage == StageDeferred {
		if _, err := tx.ExecContext(ctx, `DELETE FROM import_deferred_rows WHERE import_id = $1`, c.Import.ID); err != nil {
			return err
		}
	}
	if !ended {
		return nil
	}
	return announceEnd(ctx, tx, c.Import.ID)
}
