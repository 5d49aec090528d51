package storage

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// Person is whom an erasure or an export is about.
type Person struct {
	UserID   uuid.UUID `db:"id"`
	Email    string    `db:"email"`
	EmailKey string    `db:"email_key"`
	Name     string    `db:"name"`
}

// Person reads who a user is. ErrNotFound if there is none.
func (s *Store) Person(ctx context.Context, id uuid.UUID) (p Person, err error) {
	defer translate(&err, "read person %s", id)
	return p, s.db.GetContext(ctx, &p, `SELECT id, email, email_key, name FROM users WHERE id = $1`, id)
}

// PersonByKey is Person by address.
func (s *Store) PersonByKey(ctx context.Context, emailKey string) (p Person, err error) {
	defer translate(&err, "read person")
	return p, s.db.GetContext(ctx, &p, `SELECT id, email, email_key, name FROM users WHERE email_key = $1`, emailKey)
}

// KeptFile is an import whose file is still there.
type KeptFile struct {
	ID    uuid.UUID `db:"id"`
	Ended bool      `db:"ended"`
}

// KeptFiles lists the imports whose files are still there, by id.
func (s *Store) KeptFiles(ctx context.Context, after uuid.UUID, limit int) (files []KeptFile, err error) {
	defer translate(&err, "list kept files")
	return files, s.db.SelectContext(ctx, &files, `
		SELECT id, finished_at IS NOT NULL AS ended FROM imports
		 WHERE purged_at IS NULL AND id > $1 ORDER BY id LIMIT $2`, after, limit)
}

// PurgeFile removes the file of an import that has ended and the values of its
// errors before their time, in small steps. ErrWrongState if it has not ended.
func (s *Store) PurgeFile(ctx context.Context, id uuid.UUID) (err error) {
	defer translate(&err, "purge the file of import %s", id)
	for purged := false; !purged; {
		err := s.transact(ctx, func(tx *sqlx.Tx) error {
			var ended bool
			if err := tx.QueryRowxContext(ctx, `
				SELECT finished_at IS NOT NULL, purged_at IS NOT NULL FROM imports WHERE id = $1 FOR UPDATE`, id).Scan(&ended, &purged); err != nil || purged {
				return err
			}
			if !ended {
				return ErrWrongState
			}
			return purgeStep(ctx, tx, id)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// EraseUser removes a user and what else the database holds of the person, but
// for the files of imports: see [Store.PurgeFile]. What the person did stays in
// the audit log and on the imports, under the label given, a keyed hash. mark is
// that hash alone, for the entry about the erasure. [ErrLastAdmin] if no active
// administrator would be left.
func (s *Store) EraseUser(ctx context.Context, p Person, mark string, by Entry) (err error) {
	defer translate(&err, "erase user %s", p.UserID)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := removeUser(ctx, tx, p.UserID); err != nil {
			return err
		}
		label := "erased:" + mark
		written, err := inJSON(p.Email)
		if err != nil {
			return err
		}
		for _, step := range []struct {
			query string
			args  []any
		}{
			{`DELETE FROM password_resets WHERE email_key = $1`, []any{p.EmailKey}},
			{`UPDATE api_tokens SET created_by = $2 WHERE created_by = $1`, []any{p.Email, label}},
			{`UPDATE settings SET updated_by = $2 WHERE updated_by = $1`, []any{p.Email, label}},
			{`UPDATE webhooks SET actor = $2 WHERE actor_kind = 'user' AND actor_id = $1`, []any{p.UserID, label}},
			// As it was sent, or is still to be: the events of the imports the
			// person started name who started them.
			{`UPDATE webhook_deliveries d SET body = convert_to(replace(convert_from(d.body, 'UTF8'), $2, $3), 'UTF8')
			    FROM imports i WHERE i.id = d.import_id AND i.actor_kind = 'user' AND i.actor_id = $1`, []any{p.UserID, written, label}},
			{`UPDATE imports SET actor = $2, revision = revision + 1 WHERE actor_kind = 'user' AND actor_id = $1`, []any{p.UserID, label}},
			// The pages that showed them are others now.
			{`WITH erased AS (
			  UPDATE import_errors SET email = NULL, value = NULL, also = (SELECT jsonb_agg(a - 'value') FROM jsonb_array_elements(also) a)
			   WHERE strpos(lower(email), $1) > 0 OR strpos(lower(email), $2) > 0
			      OR strpos(lower(value), $1) > 0 OR strpos(lower(value), $2) > 0 OR value = $3
			      OR EXISTS (SELECT FROM jsonb_array_elements(also) a
			                  WHERE strpos(lower(a->>'value'), $1) > 0 OR strpos(lower(a->>'value'), $2) > 0 OR a->>'value' = $3)
			  RETURNING import_id)
			  UPDATE imports SET revision = revision + 1 WHERE id IN (SELECT import_id FROM erased)`,
				[]any{strings.ToLower(p.Email), p.EmailKey, p.Name}},
			{`SELECT audit_forget($1, $2)`, []any{p.UserID, label}},
		} {
			if _, err := tx.ExecContext(ctx, step.query, step.args...); err != nil {
				return err
			}
		}
		if by.Actor.Kind == roster.ActorUser && by.Actor.ID == p.UserID {
			by.Actor.Label, by.Address = label, "" // one's own erasure
		}
		return audit(ctx, tx, by.on("user.erase", "user", p.UserID).with(map[string]any{"person": mark}))
	})
}

// removeUser deletes a user with invitation and sessions, and keeps the counters
// of the import right.
func removeUser(ctx context.Context, tx *sqlx.Tx, id uuid.UUID) error {
	if err := lockImportsOf(ctx, tx, oneUUID(id)); err != nil {
		return err
	}
	admins, err := lockActiveAdmins(ctx, tx)
	if err != nil {
		return err
	}
	var was changeable
	if err := tx.GetContext(ctx, &was, `
		SELECT name, department, role, status, password_hash IS NOT NULL AS has_password FROM users WHERE id = $1 FOR UPDATE`, id); err != nil {
		return err
	}
	if was.activeAdmin() && admins == 1 {
		return ErrLastAdmin
	}
	var gone []moved
	if err := tx.SelectContext(ctx, &gone, `
		WITH gone AS (DELETE FROM invitations WHERE user_id = $1 RETURNING import_id, status)
		SELECT import_id, status AS old, '' AS new, 1 AS n FROM gone WHERE import_id IS NOT NULL`, id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM users WHERE id = $1`, id); err != nil {
		return err
	}
	return countMoves(ctx, tx, gone)
}

// inJSON is how a text stands within a JSON document of ours, without its quotes.
func inJSON(s string) (string, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	return string(raw[1 : len(raw)-1]), nil
}
