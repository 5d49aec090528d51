package storage

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// Reauthentication is a signed-in user who has just entered the password again,
// and a code if there is a second factor.
type Reauthentication struct {
	UserID       uuid.UUID
	Session      [32]byte // hash of the session's secret
	PasswordHash string   // that the password was held against
	Proof        Proof    // of the second factor, if there is one
}

// Reauthenticate notes on the session that its user has just proved who they are.
// [ErrNotFound] if the session is over; [ErrWrongState] if the password is no
// longer the one that was verified or a second factor is set up and there is no
// proof of it; [ErrCodeUsed] if the proof is used up.
func (s *Store) Reauthenticate(ctx context.Context, r Reauthentication, by AuditEntry) (err error) {
	defer translate(&err, "reauthenticate user %s", r.UserID)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := verifyStill(ctx, tx, r.UserID, r.PasswordHash, r.Proof); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `
			UPDATE sessions SET authenticated_at = now() WHERE user_id = $1 AND token_hash = $2 AND expires_at > now()`, r.UserID, r.Session[:])
		if err != nil {
			return err
		}
		if err := affectedOne(result, ErrNotFound); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("session.confirm", "user", r.UserID).with(r.Proof.told()))
	})
}

// RecentlyAuthenticated reports whether the user of a session entered the password
// in it no longer than within ago, at the sign-in or since.
func (s *Store) RecentlyAuthenticated(ctx context.Context, session [32]byte, within time.Duration) (recent bool, err error) {
	defer translate(&err, "read session")
	return recent, s.db.GetContext(ctx, &recent, `
		SELECT EXISTS (SELECT FROM sessions WHERE token_hash = $1 AND authenticated_at > now() - make_interval(secs => $2))`,
		session[:], seconds(within))
}
