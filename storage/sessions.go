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

// MaxSessions is how many sessions a user has at a time. One more ends the one that
// has been idle longest.
const MaxSessions = 20

// SignIn is somebody who has just proved who they are, and the session that
// comes of it.
type SignIn struct {
	UserID       uuid.UUID
	PasswordHash string        // that the password was held against
	Proof        Proof         // of the second factor, if there is one
	Session      [32]byte      // hash of the session's secret
	Replaces     []byte        // hash of the session the browser had before, which ends; nil: none
	Browser      string        // what the person is told about where it was begun
	Life         time.Duration // of the session, at most
}

// CreateSession signs a user in, from by's network address. [ErrWrongState] if
// the password is no longer the one that was verified or the user is no longer
// active, or if a second factor is set up and there is no proof of it; [ErrCodeUsed]
// if the proof is used up. Verifying takes a while, in which all of that may
// change. The lock has a change wait for the session, which it then ends, or the
// session for the change.
func (s *Store) CreateSession(ctx context.Context, in SignIn, by AuditEntry) (err error) {
	defer translate(&err, "create session of user %s", in.UserID)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := verifyStill(ctx, tx, in.UserID, in.PasswordHash, in.Proof); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO sessions (token_hash, user_id, address, browser, expires_at)
			VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))`,
			in.Session[:], in.UserID, by.Address, in.Browser, seconds(in.Life)); err != nil {
			return err
		}
		if err := endOldSessions(ctx, tx, in); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("session.create", "user", in.UserID).with(in.Proof.told()))
	})
}

// endOldSessions ends the session that a new one replaces, and those beyond
// [MaxSessions].
func endOldSessions(ctx context.Context, tx *sqlx.Tx, in SignIn) error {
	_, err := tx.ExecContext(ctx, `
		DELETE FROM sessions
		 WHERE token_hash = $2 OR token_hash IN (
			SELECT token_hash FROM sessions WHERE user_id = $1 AND token_hash <> $3 AND token_hash IS DISTINCT FROM $2
			 ORDER BY last_seen_at DESC, id OFFSET $4)`, in.UserID, in.Replaces, in.Session[:], MaxSessions-1)
	return err
}

// verifyStill makes sure that a user is active with the password that was
// verified, and uses up the proof of a second factor or finds that none is needed.
func verifyStill(ctx context.Context, tx *sqlx.Tx, userID uuid.UUID, passwordHash string, proof Proof) error {
	var still bool
	err := tx.GetContext(ctx, &still, `
		SELECT password_hash = $2 AND status = 'active' FROM users WHERE id = $1 AND password_hash IS NOT NULL FOR SHARE`, userID, passwordHash)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !still {
		return ErrWrongState
	}
	if err != nil {
		return err
	}
	if proof != (Proof{}) {
		return proof.take(ctx, tx, userID)
	}
	var needed bool
	if err := tx.GetContext(ctx, &needed, `
		SELECT EXISTS (SELECT FROM second_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL)`, userID); err != nil {
		return err
	}
	if needed {
		return ErrWrongState
	}
	return nil
}

// SessionUser finds who is signed in with this session. ErrNotFound if nobody
// is: unknown, over, idle too long, or the user is no longer active.
func (s *Store) SessionUser(ctx context.Context, tokenHash [32]byte, idle time.Duration) (_ *roster.User, err error) {
	defer translate(&err, "read session")
	var id uuid.UUID
	if err := s.db.GetContext(ctx, &id, `
		SELECT s.user_id FROM sessions s JOIN users u ON u.id = s.user_id
		 WHERE s.token_hash = $1 AND s.expires_at > now() AND u.status = 'active'
		   AND s.last_seen_at > now() - make_interval(secs => $2)`, tokenHash[:], seconds(idle)); err != nil {
		return nil, err
	}
	// At most once a minute: a page must not cost a write.
	if _, err := s.db.ExecContext(ctx, `
		UPDATE sessions SET last_seen_at = now() WHERE token_hash = $1 AND last_seen_at < now() - interval '1 minute'`, tokenHash[:]); err != nil {
		return nil, err
	}
	return s.User(ctx, id)
}

// Session is a signed-in browser, as its owner sees it.
type Session struct {
	ID         uuid.UUID `db:"id"`
	CreatedAt  time.Time `db:"created_at"`
	LastSeenAt time.Time `db:"last_seen_at"` // to the minute
	Address    string    `db:"address"`      // of the sign-in, "" if it is not known
	Browser    string    `db:"browser"`      // in words, "" if it is not known
	Current    bool      `db:"current"`      // the one that asks
}

// Sessions lists where a user is signed in: first the session that asks, then
// by when they were last seen. Limit bounds them.
func (s *Store) Sessions(ctx context.Context, userID uuid.UUID, current [32]byte, idle time.Duration, limit int) (sessions []Session, err error) {
	defer translate(&err, "list sessions of user %s", userID)
	return sessions, s.db.SelectContext(ctx, &sessions, `
		SELECT id, created_at, last_seen_at, address, browser, token_hash = $2 AS current FROM sessions
		 WHERE user_id = $1 AND expires_at > now() AND last_seen_at > now() - make_interval(secs => $3)
		 ORDER BY token_hash = $2 DESC, last_seen_at DESC, id LIMIT $4`, userID, current[:], seconds(idle), limit)
}

// EndSession signs a browser out, from a network address. Ending a session that is
// over is no error, and no deed.
func (s *Store) EndSession(ctx context.Context, tokenHash [32]byte, address string) (err error) {
	defer translate(&err, "end session")
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		var user struct {
			ID    uuid.UUID `db:"id"`
			Email string    `db:"email"`
		}
		err := tx.GetContext(ctx, &user, `
			WITH ended AS (DELETE FROM sessions WHERE token_hash = $1 RETURNING user_id)
			SELECT u.id, u.email FROM users u JOIN ended e ON e.user_id = u.id`, tokenHash[:])
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		by := AuditEntry{Actor: roster.Actor{Kind: roster.ActorUser, ID: user.ID, Label: user.Email}, Address: address}
		return audit(ctx, tx, by.on("session.sign_out", "user", user.ID))
	})
}

// EndSessionOf signs one browser of a user out. ErrNotFound if the user has no
// such session, or no more.
func (s *Store) EndSessionOf(ctx context.Context, userID, id uuid.UUID, by AuditEntry) (err error) {
	defer translate(&err, "end session %s of user %s", id, userID)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		r, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE user_id = $1 AND id = $2`, userID, id)
		if err != nil {
			return err
		}
		if err := affectedOne(r, ErrNotFound); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("session.end", "user", userID).with(map[string]any{"sessions": 1}))
	})
}

// EndSessions signs a user out everywhere but in the session kept; nil keeps
// none. It returns how many it ended; to end none is no deed.
func (s *Store) EndSessions(ctx context.Context, userID uuid.UUID, kept []byte, by AuditEntry) (ended int64, err error) {
	defer translate(&err, "end sessions of user %s", userID)
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		r, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE user_id = $1 AND token_hash IS DISTINCT FROM $2`, userID, kept)
		if err != nil {
			return err
		}
		if ended, err = r.RowsAffected(); ended == 0 || err != nil {
			return err
		}
		return audit(ctx, tx, by.on("session.end", "user", userID).with(map[string]any{"sessions": ended}))
	})
	return ended, err
}

// PasswordChange is a new password, set by who is signed in and knows the old.
type PasswordChange struct {
	UserID   uuid.UUID
	Old, New string   // hashes
	Current  [32]byte // the session that asks
	Renewed  [32]byte // takes its place: who proved anew who they are gets a new secret
}

// ChangePassword sets a new password, ends all other sessions and every link to
// a new password. [ErrWrongState] if the old password is no longer that, and
// ErrNotFound if the session is over.
func (s *Store) ChangePassword(ctx context.Context, c PasswordChange, by AuditEntry) (err error) {
	defer translate(&err, "change password of user %s", c.UserID)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		r, err := tx.ExecContext(ctx, `
			UPDATE users SET password_hash = $3, reset_count = reset_count + 1, updated_at = now()
			 WHERE id = $1 AND password_hash = $2 AND status = 'active'`, c.UserID, c.Old, c.New)
		if err != nil {
			return err
		}
		if err := affectedOne(r, ErrWrongState); err != nil {
			return err
		}
		if err := renewSession(ctx, tx, c.UserID, c.Current, c.Renewed); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("password.change", "user", c.UserID))
	})
}

// renewSession gives a session a new secret, for its owner has proved anew who
// they are, and ends all others of the user. ErrNotFound if it is over.
func renewSession(ctx context.Context, tx *sqlx.Tx, userID uuid.UUID, current, renewed [32]byte) error {
	r, err := tx.ExecContext(ctx, `
		UPDATE sessions SET token_hash = $3, authenticated_at = now() WHERE user_id = $1 AND token_hash = $2`, userID, current[:], renewed[:])
	if err != nil {
		return err
	}
	if err := affectedOne(r, ErrNotFound); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM sessions WHERE user_id = $1 AND token_hash <> $2`, userID, renewed[:])
	return err
}
