package storage

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// undoneUpdate is a change that an import has made, with the user as it is now.
type undoneUpdate struct {
	Row     int64     `db:"row"`
	UserID  uuid.UUID `db:"user_id"`
	Edits   int       `db:"edits"`
	Before  []byte    `db:"before"`
	Current int       `db:"current"` // the user's edits now
}

// formerValues is the column before.
type formerValues struct {
	Name        string            `json:"name"`
	Role        roster.Role       `json:"role"`
	Department  string            `json:"department"`
	Status      roster.UserStatus `json:"status"`
	MissingFrom *string           `json:"missing_from"`
	Email       string            `json:"email"`
	MovedFrom   string            `json:"moved_from"` // the key of Email if the import changed that, else ""
	Key         string            `json:"external_id"`
	Keyed       bool              `json:"keyed"`
	Attributes  json.RawMessage   `json:"attributes"` // absent in changes from before there were any
	Locale      *string           `json:"locale"`     // so is this
}

// restoredAhead, in the column edits, marks users who were restored in an earlier
// step than that of their row.
const restoredAhead = -1

// undoUpdates is one step of an undo: it gives users whom the import changed their
// former values back, behind a row. Whoever was changed since stays as is.
func undoUpdates(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, after int64, u *Undo) error {
	var done []undoneUpdate
	if err := forceIndexOrder(ctx, tx); err != nil {
		return err
	}
	if err := tx.SelectContext(ctx, &done, `
		SELECT c.row, c.user_id, c.edits, c.before, u.edits AS current
		  FROM import_updates c JOIN users u ON u.id = c.user_id
		 WHERE c.import_id = $1 AND c.row > $2 ORDER BY c.row LIMIT $3`, id, after, undoUsers); err != nil {
		return err
	}
	to, ends, met := after, len(done) < undoUsers, int64(0)
	if len(done) > 0 {
		to = done[len(done)-1].Row
	}
	for _, d := range done {
		if d.Edits != restoredAhead {
			met++
		}
	}
	ahead, err := entangled(ctx, tx, id, after, to)
	if err != nil {
		return err
	}
	restored, err := restoreUsers(ctx, tx, id, append(done, ahead...))
	if err != nil {
		return err
	}
	kept := met + int64(len(ahead)) - restored
	return tx.GetContext(ctx, u, `
		UPDATE imports
		   SET undo_row = $2, undo_restored = undo_restored + $3, undo_kept = undo_kept + $4,
		       undo_finished_at = CASE WHEN $5 THEN now() END
		 WHERE id = $1
		RETURNING `+undoColumns, id, to, restored, kept, ends)
}

// entangled finds the users whom rows behind to have moved to an address that
// somebody had whom the rows behind after, up to to, have moved, and so on: people
// who swapped addresses get them back in one step. They are marked, because that
// is not the step of their row. The deferred rows of a file are the most there can
// be.
func entangled(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, after, to int64) (ahead []undoneUpdate, err error) {
	return ahead, tx.SelectContext(ctx, &ahead, `
		WITH RECURSIVE chain AS (
			SELECT c.row, c.before->>'moved_from' AS moved_from
			  FROM import_updates c JOIN users u ON u.id = c.user_id AND u.edits = c.edits
			 WHERE c.import_id = $1 AND c.row > $2 AND c.row <= $3 AND c.before->>'moved_from' IS NOT NULL
			UNION
			SELECT c.row, c.before->>'moved_from'
			  FROM chain
			  JOIN users holder ON holder.email_key = chain.moved_from
			  JOIN import_updates c ON c.user_id = holder.id AND c.import_id = $1 AND c.edits = holder.edits
			 WHERE c.before->>'moved_from' IS NOT NULL
		), marked AS (
			UPDATE import_updates c SET edits = $4 FROM chain WHERE c.import_id = $1 AND c.row = chain.row AND c.row > $3
			RETURNING c.row, c.user_id, c.before
		)
		SELECT m.row, m.user_id, u.edits, m.before, u.edits AS current FROM marked m JOIN users u ON u.id = m.user_id`, id, after, to, restoredAhead)
}

func restoreUsers(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, done []undoneUpdate) (restored int64, err error) {
	var r importRow
	if err := tx.GetContext(ctx, &r, `SELECT `+importColumns+` FROM imports WHERE id = $1`, id); err != nil {
		return 0, err
	}
	i, err := r.asImport()
	if err != nil {
		return 0, err
	}
	m := Matching{Source: i.Options.Source}
	var matches []match
	var former []formerValues
	for _, d := range done {
		if d.Current != d.Edits || d.Before == nil {
			continue
		}
		var before formerValues
		if err := json.Unmarshal(d.Before, &before); err != nil {
			return 0, fmt.Errorf("read what row %d changed: %w", d.Row, err)
		}
		entry, err := uuid.NewV7()
		if err != nil {
			return 0, err
		}
		matches = append(matches, match{row: &UserRow{ID: entry, Row: d.Row}, user: &matchedUser{ID: d.UserID}})
		former = append(former, before)
	}
	if len(matches) == 0 {
		return 0, nil
	}
	if err := readUsers(ctx, tx, m, matches); err != nil {
		return 0, err
	}
	updates, err := restorable(ctx, tx, matches, former)
	if err != nil {
		return 0, err
	}
	var moving []uuid.UUID
	for _, d := range updates {
		if d.moves() {
			moving = append(moving, d.user.ID)
		}
	}
	if err := parkAddresses(ctx, tx, moving); err != nil {
		return 0, err
	}
	origin := updatedBy(i)
	origin.undo = true
	_, err = writeUpdates(ctx, tx, origin, m.source(), updates)
	return int64(len(updates)), err
}

// restorable turns former values into changes, but for those of the last active
// administrator, and those whose former address belongs to another user by now.
func restorable(ctx context.Context, tx *sqlx.Tx, matches []match, former []formerValues) (updates []userUpdate, err error) {
	admins, err := lockActiveAdmins(ctx, tx)
	if err != nil {
		return nil, err
	}
	moving := map[uuid.UUID]bool{}
	for k, f := range matches {
		was := former[k]
		d := userUpdate{row: f.row, user: *f.user, now: f.user.userValues}
		d.now.Name, d.now.Role, d.now.Department = was.Name, was.Role, was.Department
		if was.Keyed {
			d.now.Key = was.Key
		}
		if was.Attributes != nil {
			if d.now.Attributes, err = roster.ParseAttributes(was.Attributes); err != nil {
				return nil, err
			}
		}
		if was.Locale != nil {
			d.now.Locale = *was.Locale
		}
		switch {
		case was.Status == roster.Disabled:
			d.now.Status = roster.Disabled
			if was.MissingFrom != nil {
				d.missingFrom = *was.MissingFrom
			}
		case f.user.HasPassword:
			d.now.Status = roster.Active
		default:
			d.now.Status = roster.Invited
		}
		if was.MovedFrom != "" {
			d.now.Email, f.row.EmailKey = was.Email, was.MovedFrom
		}
		if f.user.activeAdmin() && !d.now.activeAdmin() {
			if admins == 1 {
				continue
			}
			admins--
		}
		if was.MovedFrom != "" {
			moving[f.user.ID] = true
		}
		updates = append(updates, d)
	}
	return withoutTaken(ctx, tx, updates, moving)
}

// withoutTaken leaves out the changes to an address that another user has, who
// does not move in the same step.
func withoutTaken(ctx context.Context, tx *sqlx.Tx, updates []userUpdate, moving map[uuid.UUID]bool) ([]userUpdate, error) {
	if len(moving) == 0 {
		return updates, nil
	}
	var holders []struct {
		ID  uuid.UUID `db:"id"`
		Key string    `db:"email_key"`
	}
	if err := tx.SelectContext(ctx, &holders, `SELECT id, email_key FROM users WHERE email_key = ANY($1::text[])`,
		texts(updates, func(d *userUpdate) string { return d.row.EmailKey })); err != nil {
		return nil, err
	}
	holder := make(map[string]uuid.UUID, len(holders))
	for _, h := range holders {
		holder[h.Key] = h.ID
	}
	wantedBy := map[uuid.UUID]int{} // who is to have the address of a user
	var out []int
	for k, d := range updates {
		by, held := holder[d.row.EmailKey]
		if !d.moves() || !held || by == d.user.ID {
			continue
		}
		wantedBy[by] = k
		if !moving[by] {
			out = append(out, k)
		}
	}
	left := make(map[int]bool, len(out))
	for len(out) > 0 {
		k := out[0]
		left[k], out = true, out[1:]
		if next, wanted := wantedBy[updates[k].user.ID]; wanted {
			out = append(out, next)
		}
	}
	var rest []userUpdate
	for k, d := range updates {
		if !left[k] {
			rest = append(rest, d)
		}
	}
	return rest, nil
}
