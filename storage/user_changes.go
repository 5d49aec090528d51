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
	Email      *string // with EmailKey
	EmailKey   string
	Name       *string
	Department *string
	Role       *roster.Role
	Locale     *string           // checked by the caller; "" is the default
	Attributes map[string]string // those to change, checked by the caller; "" removes one
	Disabled   *bool             // false: back to active, or to invited without a password
	ExternalID *string           // the key in Source; "" takes it away
	Source     string            // "" is the default source

	// Invite is what becomes of the invitation of a user who comes back without a
	// password: pending, held, or "" if it stays as it is.
	Invite roster.InvitationStatus
	// Check is called with the user as it is when nobody else can change it; its
	// error ends the change. Nil: no check.
	Check func(*roster.User) error
}

// ErrForbidden: the caller may not do that, or may not any more.
var ErrForbidden = errors.New("forbidden")

// ErrOwnAccount: callers do not change their own role or status.
var ErrOwnAccount = errors.New("own account")

// ErrExternalIDExists: another user has that key in the source.
var ErrExternalIDExists = errors.New("external id exists")

// ChangeUser edits a user, as an import does: a change of role, address or a
// disabling ends the user's sessions, a disabling revokes an invitation under way, a
// new address is told to both addresses and gets the invitation again. A change that
// changes nothing is no edit. [ErrLastAdmin] if no active administrator would be
// left, [ErrAlreadyExists] and [ErrExternalIDExists] for what another user has. A
// token, which may be revoked meanwhile, gets [ErrForbidden] without the scope
// admin, and [ErrOwnAccount] for role and status of its owner.
func (s *Store) ChangeUser(ctx context.Context, id uuid.UUID, change UserChange, by AuditEntry) (_ *roster.User, err error) {
	defer translate(&err, "change user %s", id)
	err = s.transact(ctx, func(tx *sqlx.Tx) error { return changeUser(ctx, tx, id, change, by) })
	if err != nil {
		return nil, err
	}
	return s.User(ctx, id)
}

func changeUser(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, change UserChange, by AuditEntry) error {
	if err := lockImportsOf(ctx, tx, oneUUID(id)); err != nil {
		return err
	}
	admins, err := lockActiveAdmins(ctx, tx)
	if err != nil {
		return err
	}
	if _, err := lockedUser(ctx, tx, id); err != nil {
		return err
	}
	entry, err := uuid.NewV7()
	if err != nil {
		return err
	}
	m := Matching{Source: change.Source}
	target := match{row: &UserRow{ID: entry}, user: &matchedUser{ID: id}}
	if err := readUsers(ctx, tx, m, []match{target}); err != nil {
		return err
	}
	if change.Check != nil {
		now, err := readUser(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := change.Check(now); err != nil {
			return err
		}
	}
	d := change.update(target)
	if d.now == d.user.userValues {
		return nil
	}
	if d.user.activeAdmin() && !d.now.activeAdmin() && admins == 1 {
		return ErrLastAdmin
	}
	if err := mayChangeUser(ctx, tx, d, by); err != nil {
		return err
	}
	if err := freeOfOthers(ctx, tx, m.source(), d); err != nil {
		return err
	}
	_, err = writeUpdates(ctx, tx, updateOrigin{by: by, invite: change.Invite}, m.source(), []userUpdate{d})
	return err
}

// lockedUser locks a user and tells whether it is an active administrator.
// sql.ErrNoRows if there is none.
func lockedUser(ctx context.Context, tx *sqlx.Tx, id uuid.UUID) (activeAdmin bool, err error) {
	return activeAdmin, tx.GetContext(ctx, &activeAdmin, `
		SELECT role = 'admin' AND status = 'active' FROM users WHERE id = $1 FOR UPDATE`, id)
}

// mayChangeUser returns nil if the caller may make this change at this moment. Pages
// ask their users before they get here; tokens are asked here.
func mayChangeUser(ctx context.Context, tx *sqlx.Tx, d userUpdate, by AuditEntry) error {
	if by.Actor.Kind != roster.ActorToken {
		return nil
	}
	rights, err := adminRightsOf(ctx, tx, by.Actor, AdminScopes())
	if err != nil {
		return err
	}
	if !rights.change {
		return ErrForbidden
	}
	if d.now.Role == d.user.Role && d.now.Status == d.user.Status {
		return nil
	}
	var own bool
	if err := tx.GetContext(ctx, &own, `SELECT EXISTS (SELECT FROM api_tokens WHERE id = $1 AND owner_id = $2)`, by.Actor.ID, d.user.ID); err != nil {
		return err
	}
	if own {
		return ErrOwnAccount
	}
	return nil
}

// freeOfOthers returns nil if no other user has the address and key that this one
// gets.
func freeOfOthers(ctx context.Context, tx *sqlx.Tx, source string, d userUpdate) error {
	if d.moves() {
		if taken, err := addressTaken(ctx, tx, d.row.EmailKey, d.user.ID); err != nil || taken {
			return errors.Join(err, ErrAlreadyExists)
		}
	}
	if d.now.Key != d.user.Key {
		if taken, err := keyTaken(ctx, tx, source, d.now.Key); err != nil || taken {
			return errors.Join(err, ErrExternalIDExists)
		}
	}
	return nil
}

func addressTaken(ctx context.Context, tx *sqlx.Tx, emailKey string, except uuid.UUID) (taken bool, err error) {
	return taken, tx.GetContext(ctx, &taken, `SELECT EXISTS (SELECT FROM users WHERE email_key = $1 AND id <> $2)`, emailKey, except)
}

func keyTaken(ctx context.Context, tx *sqlx.Tx, source, key string) (taken bool, err error) {
	return taken, tx.GetContext(ctx, &taken, `SELECT EXISTS (SELECT FROM external_ids WHERE source = $1 AND external_id = $2)`, source, key)
}

// update is what the change makes of a locked user.
func (c UserChange) update(f match) userUpdate {
	d := userUpdate{row: f.row, user: *f.user, now: f.user.userValues}
	if c.Email != nil {
		d.now.Email, d.row.EmailKey = *c.Email, c.EmailKey
	}
	if c.Name != nil {
		d.now.Name = *c.Name
	}
	if c.Department != nil {
		d.now.Department = *c.Department
	}
	if c.Locale != nil {
		d.now.Locale = *c.Locale
	}
	if c.Attributes != nil {
		d.now.Attributes = d.now.Attributes.With(c.Attributes)
	}
	if c.Role != nil {
		d.now.Role = *c.Role
	}
	if c.ExternalID != nil {
		d.now.Key = *c.ExternalID
	}
	switch {
	case c.Disabled == nil:
	case *c.Disabled:
		d.now.Status = roster.Disabled
	case f.user.Status == roster.Disabled && f.user.HasPassword:
		d.now.Status = roster.Active
	case f.user.Status == roster.Disabled:
		d.now.Status = roster.Invited
	}
	if d.now.Status == f.user.Status {
		d.missingFrom = f.user.MissingFrom
	}
	return d
}

// ResetTarget is a user who may set a new password by mail.
type ResetTarget struct {
	UserID  uuid.UUID `db:"id"`
	Email   string    `db:"email"`
	Name    string    `db:"name"`
	Counter int       `db:"reset_count"` // part of the link
	Locale  string    `db:"locale"`
}

// ResetTarget finds an active user by address key. ErrNotFound for anybody else.
func (s *Store) ResetTarget(ctx context.Context, emailKey string) (r ResetTarget, err error) {
	defer translate(&err, "find user to reset")
	return r, s.db.GetContext(ctx, &r, `
		SELECT id, email, name, reset_count, COALESCE(locale, '') AS locale FROM users WHERE email_key = $1 AND status = 'active'`, emailKey)
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
		by := AuditEntry{Actor: roster.Actor{Kind: roster.ActorUser, ID: userID, Label: email}, Address: address}
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
	where := &whereBuilder{}
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
