package storage

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// enrollmentTTL is how long a second factor may take to be set up.
const enrollmentTTL = 15 * time.Minute

// MaxFailedCodes is how many codes of an app may be wrong in a row, over all
// browsers and however long it takes, before the app's codes are no longer
// accepted (NIST SP 800-63B-4 §3.2.2). A recovery code ends that.
const MaxFailedCodes = 100

// SecondFactor is the authenticator app of a user.
type SecondFactor struct {
	UserID      uuid.UUID  `db:"user_id"`
	ID          uuid.UUID  `db:"id"`
	Secret      string     `db:"secret"`       // sealed; see auth.TOTPContext
	Since       *time.Time `db:"confirmed_at"` // nil: it is being set up
	FailedCodes int        `db:"failed_codes"` // since the last right one
	CodesLeft   int        `db:"codes_left"`   // recovery codes not yet used
	Now         time.Time  `db:"now"`          // by the database's clock, which codes are held against
}

// Locked reports whether codes of the app are no longer accepted.
func (f SecondFactor) Locked() bool { return f.FailedCodes >= MaxFailedCodes }

// SecondFactorOf reads the second factor of a user, or the one that is being set
// up. ErrNotFound if there is neither.
func (s *Store) SecondFactorOf(ctx context.Context, userID uuid.UUID) (f SecondFactor, err error) {
	defer translate(&err, "read second factor of user %s", userID)
	return f, s.db.GetContext(ctx, &f, `
		SELECT user_id, id, secret, confirmed_at, failed_codes, clock_timestamp() AS now,
		       (SELECT count(*) FROM recovery_codes r WHERE r.user_id = f.user_id) AS codes_left
		  FROM second_factors f
		 WHERE user_id = $1 AND (confirmed_at IS NOT NULL OR created_at > now() - make_interval(secs => $2))`, userID, seconds(enrollmentTTL))
}

// BeginSecondFactor keeps the secret of an app that is to be set up, in the place
// of one that was not finished. [ErrAlreadyExists] if the user has a second factor.
func (s *Store) BeginSecondFactor(ctx context.Context, userID uuid.UUID, sealed string) (err error) {
	defer translate(&err, "begin second factor of user %s", userID)
	r, err := s.db.ExecContext(ctx, `
		INSERT INTO second_factors AS f (user_id, id, secret) VALUES ($1, gen_random_uuid(), $2)
		ON CONFLICT (user_id) DO UPDATE SET id = EXCLUDED.id, secret = EXCLUDED.secret, created_at = now(), failed_codes = 0
		 WHERE f.confirmed_at IS NULL`, userID, sealed)
	if err != nil {
		return err
	}
	return affectedOne(r, ErrAlreadyExists)
}

// CountCode counts a code of the app as wrong before it is checked, so that no
// number of requests at once gets past the limit; a right one resets the count when
// its [Proof] is taken. [ErrCodeUsed] if the limit is reached, or the factor is
// another one by now.
func (s *Store) CountCode(ctx context.Context, f SecondFactor) (err error) {
	defer translate(&err, "count a code of user %s", f.UserID)
	r, err := s.db.ExecContext(ctx, `
		UPDATE second_factors SET failed_codes = failed_codes + 1
		 WHERE user_id = $1 AND id = $2 AND failed_codes < $3`, f.UserID, f.ID, MaxFailedCodes)
	if err != nil {
		return err
	}
	return affectedOne(r, ErrCodeUsed)
}

// Proof is what somebody showed of a second factor: a code by its time step, or
// the hash of a recovery code. The zero value is none.
type Proof struct {
	Factor   uuid.UUID
	Step     int64
	Recovery *[32]byte
}

// take uses a proof up. [ErrCodeUsed] if it is, or if the factor is another one by
// now.
func (p Proof) take(ctx context.Context, tx *sqlx.Tx, userID uuid.UUID) error {
	if p.Recovery != nil {
		r, err := tx.ExecContext(ctx, `DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2`, userID, p.Recovery[:])
		if err != nil {
			return err
		}
		if err := affectedOne(r, ErrCodeUsed); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE second_factors SET failed_codes = 0 WHERE user_id = $1`, userID)
		return err
	}
	r, err := tx.ExecContext(ctx, `
		UPDATE second_factors SET last_step = $3, failed_codes = 0
		 WHERE user_id = $1 AND id = $2 AND confirmed_at IS NOT NULL AND last_step < $3`, userID, p.Factor, p.Step)
	if err != nil {
		return err
	}
	return affectedOne(r, ErrCodeUsed)
}

// told is what the audit log says of how somebody signed in; nil where the
// password was all.
func (p Proof) told() map[string]any {
	switch {
	case p == Proof{}:
		return nil
	case p.Recovery != nil:
		return map[string]any{"second_factor": "recovery code"}
	}
	return map[string]any{"second_factor": "code"}
}

// FactorChange is a change of one's own second factor by who is signed in.
type FactorChange struct {
	UserID  uuid.UUID
	Proof   Proof      // taken; to confirm, of the factor that is being set up
	Codes   [][32]byte // hashes of the new recovery codes; none where the factor is removed
	Current [32]byte   // the session that asks
	Renewed [32]byte   // takes its place, and all others end
}

// ConfirmSecondFactor ends the setting up: from now on a sign-in needs a code.
// [ErrWrongState] if nothing is being set up any more, [ErrCodeUsed] for a recovery
// code, and ErrNotFound if the session is over.
func (s *Store) ConfirmSecondFactor(ctx context.Context, c FactorChange, by AuditEntry) (err error) {
	defer translate(&err, "confirm second factor of user %s", c.UserID)
	return s.changeFactor(ctx, c, by.on("second_factor.set", "user", c.UserID), func(tx *sqlx.Tx) error {
		if c.Proof.Recovery != nil {
			return ErrCodeUsed // there are none yet
		}
		r, err := tx.ExecContext(ctx, `
			UPDATE second_factors SET confirmed_at = now(), last_step = $3, failed_codes = 0
			 WHERE user_id = $1 AND id = $2 AND confirmed_at IS NULL AND created_at > now() - make_interval(secs => $4)`,
			c.UserID, c.Proof.Factor, c.Proof.Step, seconds(enrollmentTTL))
		if err != nil {
			return err
		}
		if err := affectedOne(r, ErrWrongState); err != nil {
			return err
		}
		return noticeSecondFactor(ctx, tx, c.UserID, FactorSet, by)
	})
}

// RenewRecoveryCodes replaces the recovery codes, those that were used and those
// that were not. [ErrCodeUsed] if the proof is, and ErrNotFound if the session is
// over.
func (s *Store) RenewRecoveryCodes(ctx context.Context, c FactorChange, by AuditEntry) (err error) {
	defer translate(&err, "renew recovery codes of user %s", c.UserID)
	return s.changeFactor(ctx, c, by.on("second_factor.codes", "user", c.UserID), func(tx *sqlx.Tx) error {
		return c.Proof.take(ctx, tx, c.UserID)
	})
}

// RemoveSecondFactor leaves the password as the only factor. [ErrCodeUsed] if the
// proof is, and ErrNotFound if the session is over.
func (s *Store) RemoveSecondFactor(ctx context.Context, c FactorChange, by AuditEntry) (err error) {
	defer translate(&err, "remove second factor of user %s", c.UserID)
	return s.changeFactor(ctx, c, by.on("second_factor.remove", "user", c.UserID), func(tx *sqlx.Tx) error {
		if err := c.Proof.take(ctx, tx, c.UserID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM second_factors WHERE user_id = $1`, c.UserID); err != nil {
			return err
		}
		return noticeSecondFactor(ctx, tx, c.UserID, FactorRemoved, by)
	})
}

// changeFactor does what all changes have in common. The lock has a sign-in that
// verified a password and a code wait for the change, or the change for the
// session of that sign-in, which it then ends.
func (s *Store) changeFactor(ctx context.Context, c FactorChange, entry AuditEntry, change func(tx *sqlx.Tx) error) error {
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := lockUser(ctx, tx, c.UserID); err != nil {
			return err
		}
		if err := change(tx); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM recovery_codes WHERE user_id = $1`, c.UserID); err != nil {
			return err
		}
		var hashes pq.ByteaArray
		for _, code := range c.Codes {
			hashes = append(hashes, code[:])
		}
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO recovery_codes (user_id, code_hash) SELECT $1::uuid, unnest($2::bytea[])`, c.UserID, hashes); err != nil {
			return err
		}
		if err := renewSession(ctx, tx, c.UserID, c.Current, c.Renewed); err != nil {
			return err
		}
		return audit(ctx, tx, entry)
	})
}

// ResetSecondFactor removes the second factor of somebody who has lost it, and
// ends all of their sessions. ErrNotFound if there is none.
func (s *Store) ResetSecondFactor(ctx context.Context, userID uuid.UUID, by AuditEntry) (err error) {
	defer translate(&err, "reset second factor of user %s", userID)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := lockUser(ctx, tx, userID); err != nil {
			return err
		}
		r, err := tx.ExecContext(ctx, `DELETE FROM second_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL`, userID)
		if err != nil {
			return err
		}
		if err := affectedOne(r, ErrNotFound); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE user_id = $1`, userID); err != nil {
			return err
		}
		if err := noticeSecondFactor(ctx, tx, userID, FactorReset, by); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("second_factor.reset", "user", userID))
	})
}

// lockUser keeps sign-ins of a user out until the transaction ends. ErrNotFound if
// there is no such user.
func lockUser(ctx context.Context, tx *sqlx.Tx, id uuid.UUID) error {
	return tx.GetContext(ctx, &id, `SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE`, id)
}

// SealedFactor is the secret of a second factor as it is kept.
type SealedFactor struct {
	UserID uuid.UUID `db:"user_id"`
	Secret string    `db:"secret"`
}

// SecondFactorSecrets reads the secrets of all second factors, a page at a time.
// After is the last user of the page before; zero: from the first.
func (s *Store) SecondFactorSecrets(ctx context.Context, after uuid.UUID, limit int) (all []SealedFactor, err error) {
	defer translate(&err, "read secrets of second factors")
	return all, s.db.SelectContext(ctx, &all, `
		SELECT user_id, secret FROM second_factors WHERE user_id > $1 ORDER BY user_id LIMIT $2`, after, limit)
}

// ReencryptSecondFactor keeps the same secret under another seal. It changes nothing
// if another has been set up since it was read.
func (s *Store) ReencryptSecondFactor(ctx context.Context, old SealedFactor, fresh string) (err error) {
	defer translate(&err, "reseal second factor of user %s", old.UserID)
	_, err = s.db.ExecContext(ctx, `
		UPDATE second_factors SET secret = $3 WHERE user_id = $1 AND secret = $2`, old.UserID, old.Secret, fresh)
	return err
}

// PurgeEnrollments removes second factors that nobody finished setting up.
func (s *Store) PurgeEnrollments(ctx context.Context) (err error) {
	defer translate(&err, "remove unfinished second factors")
	_, err = s.db.ExecContext(ctx, `
		DELETE FROM second_factors WHERE confirmed_at IS NULL AND created_at <= now() - make_interval(secs => $1)`, seconds(enrollmentTTL))
	return err
}
