package storage

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// UserChange is what an administrator changes of a user; nil leaves as it is.
type UserChange struct {
	Name       *string
	Department *string
	Role       *roster.Role
	Disabled   *bool // false: back to active, or to invited without a password
}

// ChangeUser edits a user. A change of role and a disabling end the user's
// sessions; a disabling revokes an invitation under way. [ErrLastAdmin] if no
// active administrator would be left. A change that changes nothing is no edit.
func (s *Store) ChangeUser(ctx context.Context, id uuid.UUID, change UserChange, by Entry) (_ *roster.User, err error) {
	defer translate(&err, "change user %s", id)
	err = s.transact(ctx, func(tx *sqlx.Tx) error { return changeUser(ctx, tx, id, change, by) })
	if err != nil {
		return nil, err
	}
	return s.User(ctx, id)
}

func changeUser(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, change UserChange, by Entry) error {
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
	now := was.with(change)
	if now == was {
		return nil
	}
	if was.activeAdmin() && !now.activeAdmin() && admins == 1 {
		return ErrLastAdmin
	}
	if _, err := tx.ExecContext(ctx, `
		UPDATE users SET name = $2, department = $3, role = $4, status = $5, edits = edits + 1, updated_at = now() WHERE id = $1`,
		id, now.Name, now.Department, now.Role, now.Status); err != nil {
		return err
	}
	if now.Role != was.Role || now.Status == roster.Disabled {
		if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE user_id = $1`, id); err != nil {
			return err
		}
	}
	if now.Status == roster.Disabled && was.Status != roster.Disabled {
		if err := revokeIfOpen(ctx, tx, id); err != nil {
			return err
		}
	}
	return audit(ctx, tx, by.on("user.change", "user", id).with(toldChange(was, now)))
}

// changeable is what of a user can be changed.
type changeable struct {
	Name        string            `db:"name"`
	Department  string            `db:"department"`
	Role        roster.Role       `db:"role"`
	Status      roster.UserStatus `db:"status"`
	HasPassword bool              `db:"has_password"`
}

func (u changeable) activeAdmin() bool {
	return u.Role == roster.RoleAdmin && u.Status == roster.Active
}

// toldChange is a change as the audit log tells it. Name and department are told
// where they have changed; audit_forget takes them out when the person is
// erased, and knows their names.
func toldChange(was, now changeable) map[string]any {
	before, after := map[string]any{"role": was.Role, "status": was.Status}, map[string]any{"role": now.Role, "status": now.Status}
	if was.Name != now.Name {
		before["name"], after["name"] = was.Name, now.Name
	}
	if was.Department != now.Department {
		before["department"], after["department"] = was.Department, now.Department
	}
	return map[string]any{"before": before, "after": after}
}

func (u changeable) with(c UserChange) changeable {
	if c.Name != nil {
		u.Name = *c.Name
	}
	if c.Department != nil {
		u.Department = *c.Department
	}
	if c.Role != nil {
		u.Role = *c.Role
	}
	switch {
	case c.Disabled == nil:
	case *c.Disabled:
		u.Status = roster.Disabled
	case u.Status == roster.Disabled && u.HasPassword:
		u.Status = roster.Active
	case u.Status == roster.Disabled:
		u.Status = roster.Invited
	}
	return u
}

// revokeIfOpen withdraws an invitation that was not used, if there is one.
func revokeIfOpen(ctx context.Context, tx *sqlx.Tx, userID uuid.UUID) error {
	var moves []moved
	if err := tx.SelectContext(ctx, &moves, `
		WITH old AS (
			SELECT user_id, status FROM invitations
			 WHERE user_id = $1 AND status NOT IN ('accepted', 'revoked') FOR UPDATE
		), revoked AS (
			UPDATE invitations i SET status = 'revoked', claimed_until = NULL, dispatch = i.dispatch + 1, updated_at = now()
			  FROM old WHERE i.user_id = old.user_id
			RETURNING i.import_id, old.status AS old
		)
		SELECT import_id, old, 'revoked' AS new, 1 AS n FROM revoked WHERE import_id IS NOT NULL`, userID); err != nil {
		return err
	}
	return countMoves(ctx, tx, moves)
}

// Resetter is a user who may set a new password by mail.
type Resetter struct {
	UserID  uuid.UUID `db:"id"`
	Email   string    `db:"email"`
	Name    string    `db:"name"`
	Counter int       `db:"reset_count"` // part of the link
}

// Resetter finds an active user by address key. ErrNotFound for anybody else.
func (s *Store) Resetter(ctx context.Context, emailKey string) (r Resetter, err error) {
	defer translate(&err, "find user to reset")
	return r, s.db.GetContext(ctx, &r, `
		SELECT id, email, name, reset_count FROM users WHERE email_key = $1 AND status = 'active'`, emailKey)
}

// ResetPassword sets a new password under the counter that was in the link,
// once, and ends all of the user's sessions. [ErrLinkUsed] if the counter has
// moved on.
func (s *Store) ResetPassword(ctx context.Context, userID uuid.UUID, counter int, passwordHash, address string) (err error) {
	defer translate(&err, "reset password of user %s", userID)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		var email string
		r := tx.QueryRowxContext(ctx, `
			UPDATE users SET password_hash = $3, reset_count = reset_count + 1, updated_at = now()
			 WHERE id = $1 AND reset_count = $2 AND status = 'active' RETURNING email`, userID, counter, passwordHash)
		if err := r.Scan(&email); errors.Is(err, sql.ErrNoRows) {
			return ErrLinkUsed
		} else if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE user_id = $1`, userID); err != nil {
			return err
		}
		by := Entry{Actor: roster.Actor{Kind: roster.ActorUser, ID: userID, Label: email}, Address: address}
		return audit(ctx, tx, by.on("password.reset", "user", userID))
	})
}

// AuditFilter narrows the audit log. The zero value lists all.
type AuditFilter struct {
	Actor    string    // part of the actor's name, any case
	Action   string    // exact, or all that begin with it when it ends in "."
	TargetID uuid.UUID // what was acted on
	After    uuid.UUID // the last id of the page before
	Limit    int       // at least 1
}

// AuditLine is one line of the audit log.
type AuditLine struct {
	ID        uuid.UUID        `db:"id"`
	At        time.Time        `db:"at"`
	ActorKind roster.ActorKind `db:"actor_kind"`
	Actor     string           `db:"actor"`
	Action    string           `db:"action"`
	Target    string           `db:"target"`
	TargetID  *uuid.UUID       `db:"target_id"`
	Detail    []byte           `db:"detail"` // JSON
	Address   string           `db:"address"`
}

// Audit lists the audit log, newest first.
func (s *Store) Audit(ctx context.Context, f AuditFilter) (lines []AuditLine, err error) {
	defer translate(&err, "list audit log")
	where := &conditions{}
	if f.Actor != "" {
		where.add("strpos(lower(actor), lower(?)) > 0", f.Actor)
	}
	if f.Action != "" {
		where.add("(action = ? OR right(?, 1) = '.' AND starts_with(action, ?))", f.Action)
	}
	if f.TargetID != uuid.Nil {
		where.add("target_id = ?", f.TargetID)
	}
	if f.After != uuid.Nil {
		where.add("id < ?", f.After)
	}
	err = s.db.SelectContext(ctx, &lines, `
		SELECT id, at, actor_kind, actor, action, target, target_id, detail, address
		  FROM audit_log `+where.sql()+` ORDER BY id DESC LIMIT `+where.arg(f.Limit), where.args...)
	return lines, err
}
