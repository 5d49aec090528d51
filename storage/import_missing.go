package storage

import (
	"context"
	"database/sql"
	"errors"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// MissingUser is a user who is not in a full roster.
type MissingUser struct {
	N    int64        // its number among those of the import, from 1
	User *roster.User // as it is now
}

// ClearMissing forgets whom an earlier check found missing, and unless the import
// is a dry run the hashes of its rows. [ErrClaimLost] means that nothing was written.
func (s *Store) ClearMissing(ctx context.Context, c *Claim) (err error) {
	defer translate(&err, "clear missing users of import %s", c.Import.ID)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := renewCheck(ctx, tx, c); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM import_missing WHERE import_id = $1`, c.Import.ID); err != nil || c.Import.Options.DryRun {
			return err
		}
		return deleteRowKeys(ctx, tx, c.Import.ID)
	})
}

// renewCheck renews the lease of a check.
func renewCheck(ctx context.Context, tx *sqlx.Tx, c *Claim) error {
	r, err := tx.ExecContext(ctx, `
		UPDATE imports SET lease_until = clock_timestamp() + make_interval(secs => $3)
		 WHERE id = $1 AND fence = $2 AND status = 'checking'`, c.Import.ID, c.Fence, seconds(c.Lease))
	if err != nil {
		return err
	}
	return affectedOne(r, ErrClaimLost)
}

// NoteMissing notes those of a source's users who are not present, and returns how
// many they are; they are numbered from n + 1. The user who started the import is never
// missing. [ErrClaimLost] means that nothing was written.
func (s *Store) NoteMissing(ctx context.Context, c *Claim, users []SourceUser, n int64, present func(emailKey, externalID string) bool) (missing int64, err error) {
	defer translate(&err, "note missing users of import %s", c.Import.ID)
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := renewCheck(ctx, tx, c); err != nil {
			return err
		}
		missing, err = noteMissing(ctx, tx, c.Import, users, n, present)
		return err
	})
	return missing, err
}

func noteMissing(ctx context.Context, tx *sqlx.Tx, i *roster.Import, users []SourceUser, n int64, present func(emailKey, externalID string) bool) (int64, error) {
	var missing []SourceUser
	for _, u := range users {
		if !present(u.EmailKey, u.Key) && !i.CreatedBy.Is(u.ID) {
			missing = append(missing, u)
		}
	}
	return int64(len(missing)), insertMissing(ctx, tx, i.ID, n, missing)
}

// insertMissing notes users who are missing; numbers begin behind n.
func insertMissing(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, n int64, missing []SourceUser) error {
	if len(missing) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO import_missing (import_id, n, user_id, email_key, external_id)
		SELECT $1, $2 + n, id, email_key, external_id
		  FROM unnest($3::uuid[], $4::text[], $5::text[]) WITH ORDINALITY AS m (id, email_key, external_id, n)`,
		id, n, uuids(missing, func(u *SourceUser) uuid.UUID { return u.ID }),
		texts(missing, func(u *SourceUser) string { return u.EmailKey }), texts(missing, func(u *SourceUser) string { return u.Key }))
	return err
}

// SpareLastAdmin takes one active administrator out of those missing if without
// them none were left, and reports whether it did.
func (s *Store) SpareLastAdmin(ctx context.Context, c *Claim) (spared bool, err error) {
	defer translate(&err, "look for administrators missing from import %s", c.Import.ID)
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := renewCheck(ctx, tx, c); err != nil {
			return err
		}
		spared, err = spareLastAdmin(ctx, tx, c.Import.ID)
		return err
	})
	return spared, err
}

func spareLastAdmin(ctx context.Context, tx *sqlx.Tx, id uuid.UUID) (spared bool, err error) {
	r, err := tx.ExecContext(ctx, `
		DELETE FROM import_missing m
		 WHERE m.import_id = $1
		   AND m.n = (SELECT min(o.n) FROM import_missing o JOIN users u ON u.id = o.user_id
		               WHERE o.import_id = $1 AND u.role = 'admin' AND u.status = 'active')
		   AND NOT EXISTS (SELECT FROM users u WHERE u.role = 'admin' AND u.status = 'active'
		                      AND NOT EXISTS (SELECT FROM import_missing o WHERE o.import_id = $1 AND o.user_id = u.id))`, id)
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

// MissingUsers lists whom a full roster disables, or has disabled, behind number
// after, at most limit.
func (s *Store) MissingUsers(ctx context.Context, id uuid.UUID, after int64, limit int) (missing []MissingUser, err error) {
	defer translate(&err, "list missing users of import %s", id)
	var rows []struct {
		N int64 `db:"n"`
		userRow
	}
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		rows = nil
		if err := forceIndexOrder(ctx, tx); err != nil {
			return err
		}
		return tx.SelectContext(ctx, &rows, `
			SELECT m.n, `+userColumns+`
			  FROM import_missing m JOIN users u ON u.id = m.user_id LEFT JOIN invitations i ON i.user_id = u.id
			 WHERE m.import_id = $1 AND m.n > $2 ORDER BY m.n LIMIT $3`, id, after, limit)
	})
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		missing = append(missing, MissingUser{N: r.N, User: r.asUser()})
	}
	return missing, nil
}

// disableStep is how many users one step disables.
const disableStep = 2_000

// disableMissing disables the next users who are missing, in one step: not those
// who have another address or key by now, nor the last active administrator.
// last is the number of the last one met; done, that none is left.
func disableMissing(ctx context.Context, tx *sqlx.Tx, c *Claim) (disabled, last int64, done bool, err error) {
	var cursor int64
	if err := tx.GetContext(ctx, &cursor, `SELECT missing_cursor FROM imports WHERE id = $1`, c.Import.ID); err != nil {
		return 0, 0, false, err
	}
	var missing []struct {
		N        int64     `db:"n"`
		ID       uuid.UUID `db:"user_id"`
		EmailKey string    `db:"email_key"`
		Key      string    `db:"external_id"`
	}
	if err := tx.SelectContext(ctx, &missing, `
		SELECT n, user_id, email_key, external_id FROM import_missing
		 WHERE import_id = $1 AND n > $2 ORDER BY n LIMIT $3`, c.Import.ID, cursor, disableStep); err != nil {
		return 0, 0, false, err
	}
	if len(missing) == 0 {
		return 0, cursor, true, nil
	}
	m := Matching{Source: c.Import.Options.Source}
	matches := make([]match, len(missing))
	for k, u := range missing {
		entry, err := uuid.NewV7()
		if err != nil {
			return 0, 0, false, err
		}
		matches[k] = match{row: &UserRow{ID: entry, Row: -u.N}, user: &matchedUser{ID: u.ID}}
	}
	if err := readUsers(ctx, tx, m, matches); err != nil {
		return 0, 0, false, err
	}
	admins := -1
	var updates []userUpdate
	for k, f := range matches {
		u := f.user
		if u.EmailKey != missing[k].EmailKey || u.Key != missing[k].Key || u.Status == roster.Disabled {
			continue
		}
		if u.activeAdmin() {
			if admins < 0 {
				if admins, err = lockActiveAdmins(ctx, tx); err != nil {
					return 0, 0, false, err
				}
			}
			if admins == 1 {
				continue
			}
			admins--
		}
		d := userUpdate{row: f.row, user: *u, now: u.userValues, missingFrom: m.source()}
		d.now.Status = roster.Disabled
		updates = append(updates, d)
	}
	_, err = writeUpdates(ctx, tx, updatedBy(c.Import), m.source(), updates)
	return int64(len(updates)), missing[len(missing)-1].N, len(missing) < disableStep, err
}

// holdImport tells administrators that an import waits for their approval, in the
// transaction that holds it.
func holdImport(ctx context.Context, tx *sqlx.Tx, id uuid.UUID) error {
	if err := noticeImportHeld(ctx, tx, id); err != nil {
		return err
	}
	return insertDelivery(ctx, tx, id)
}

// Approval is what a person or program says about an import that is held.
type Approval struct {
	// AllowDisable is how many users may be disabled; nil: nothing was said.
	AllowDisable *int64
	// Admin: it is an administrator who says so.
	Admin bool
}

// ErrApprovalRequired: the import is held, and what was said does not release it.
var ErrApprovalRequired = errors.New("approval required")

// ConfirmImport turns a dry run that is ready into a real import of the same bytes
// under the same id, and so an import that is held, if the approval allows it. It
// returns the number of the task to enqueue. ErrWrongState unless it is ready or
// held, [ErrApprovalRequired] if it stays held.
func (s *Store) ConfirmImport(ctx context.Context, id uuid.UUID, ok Approval, by AuditEntry) (dispatch int64, err error) {
	defer translate(&err, "confirm import %s", id)
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		var was struct {
			Status  roster.Status `db:"status"`
			Disable int64         `db:"plan_disable"`
		}
		err := tx.GetContext(ctx, &was, `SELECT status, plan_disable FROM imports WHERE id = $1 AND status IN ('ready', 'held') FOR UPDATE`, id)
		if errors.Is(err, sql.ErrNoRows) {
			return stateOrMissing(ctx, tx, id)
		}
		if err != nil {
			return err
		}
		if was.Status == roster.Held && (!ok.Admin || ok.AllowDisable == nil || *ok.AllowDisable < was.Disable) {
			return ErrApprovalRequired
		}
		if err := tx.GetContext(ctx, &dispatch, `
			UPDATE imports
			   SET status = 'importing', dry_run = false, allow_disable = $2, dispatch = dispatch + 1, enqueued_at = now(), failed_claims = 0
			 WHERE id = $1
			RETURNING dispatch`, id, ok.AllowDisable); err != nil {
			return err
		}
		if err := deleteRowKeys(ctx, tx, id); err != nil {
			return err
		}
		entry := by.on("import.confirm", "import", id)
		if was.Status == roster.Held {
			entry = entry.with(map[string]any{"disable": was.Disable, "allow_disable": *ok.AllowDisable})
		}
		return audit(ctx, tx, entry)
	})
	return dispatch, err
}
