package storage

import (
	"context"
	"time"

	"rollcall/roster"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// DueReset is a password reset somebody asked for, claimed to be mailed.
type DueReset struct {
	EmailKey string    `db:"email_key"`
	Attempts int       `db:"attempts"` // this one included
	AskedAt  time.Time `db:"asked_at"`
	Now      time.Time `db:"now"` // by the database's clock
}

// RequestReset notes that a new password is wanted for an address, whether anybody
// has it or not, so that asking takes the same time for all. Asked again within
// again it changes nothing.
func (s *Store) RequestReset(ctx context.Context, emailKey string, again time.Duration) (err error) {
	defer translate(&err, "ask for a password reset")
	_, err = s.db.ExecContext(ctx, `
		INSERT INTO password_resets AS r (email_key) VALUES ($1)
		ON CONFLICT (email_key) DO UPDATE SET asked_at = now(), due_at = now(), attempts = 0
		 WHERE r.asked_at < now() - make_interval(secs => $2)`, emailKey, seconds(again))
	return err
}

// ClaimReset takes the reset that has been due longest; it comes due again after
// lease unless finished. ErrNotFound if none is due.
func (s *Store) ClaimReset(ctx context.Context, lease time.Duration) (d DueReset, err error) {
	defer translate(&err, "claim a password reset")
	return d, s.db.GetContext(ctx, &d, `
		UPDATE password_resets SET due_at = now() + make_interval(secs => $1), attempts = attempts + 1
		 WHERE email_key = (
			SELECT email_key FROM password_resets WHERE due_at <= now() ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
		RETURNING email_key, attempts, asked_at, now() AS now`, seconds(lease))
}

// FinishReset ends a claimed reset: mailed, or not to be.
func (s *Store) FinishReset(ctx context.Context, d DueReset) (err error) {
	defer translate(&err, "finish a password reset")
	// Asked for anew meanwhile, it is another one.
	_, err = s.db.ExecContext(ctx, `
		UPDATE password_resets SET due_at = NULL WHERE email_key = $1 AND asked_at = $2`, d.EmailKey, d.AskedAt)
	return err
}

// AuditResetMail notes that a link to a new password was mailed to a user, as somebody
// had asked for.
func (s *Store) AuditResetMail(ctx context.Context, userID uuid.UUID) (err error) {
	defer translate(&err, "audit reset mail of user %s", userID)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		by := AuditEntry{Actor: roster.Actor{Kind: roster.ActorSystem, Label: "rollcall"}}
		return audit(ctx, tx, by.on("password.reset_link", "user", userID))
	})
}

// PostponeReset tries a claimed reset again after wait.
func (s *Store) PostponeReset(ctx context.Context, d DueReset, wait time.Duration) (err error) {
	defer translate(&err, "postpone a password reset")
	_, err = s.db.ExecContext(ctx, `
		UPDATE password_resets SET due_at = now() + make_interval(secs => $3) WHERE email_key = $1 AND asked_at = $2`,
		d.EmailKey, d.AskedAt, seconds(wait))
	return err
}

// PurgeResets forgets who asked longer than age ago.
func (s *Store) PurgeResets(ctx context.Context, age time.Duration) (err error) {
	defer translate(&err, "purge password resets")
	_, err = s.db.ExecContext(ctx, `DELETE FROM password_resets WHERE asked_at < now() - make_interval(secs => $1)`, seconds(age))
	return err
}

// ResetTargetByID finds an active user by id. ErrNotFound for anybody else.
func (s *Store) ResetTargetByID(ctx context.Context, userID uuid.UUID) (r ResetTarget, err error) {
	defer translate(&err, "find user %s to reset", userID)
	return r, s.db.GetContext(ctx, &r, `
		SELECT id, email, name, reset_count, COALESCE(locale, '') AS locale FROM users WHERE id = $1 AND status = 'active'`, userID)
}
