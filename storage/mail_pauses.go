package storage

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"
)

// MailPause says why all sending pauses. Pauses in a row wait twice as long
// each, from First up to Most.
type MailPause struct {
	Reason        string // shown to administrators
	First, Most   time.Duration
	Configuration bool // only an administrator can fix it
	// Rate is how many mails a second were sent when the server asked for
	// fewer: afterwards half as many are. 0: it did not ask.
	Rate float64
}

// slowedTo is the rate that the mail server puts up with, in mails a second: it
// doubles every five minutes, and is forgotten when it no longer matters. 0: no
// limit.
const slowedTo = `
	COALESCE(CASE WHEN slowed_at > now() - interval '2 hours'
	              THEN NULLIF(LEAST(slowed_rate * power(2, EXTRACT(EPOCH FROM now() - slowed_at)::float8 / 300), 10000), 10000) END, 0)`

const pauseMail = `
	UPDATE mail_state
	   SET paused_until = now() + make_interval(secs => LEAST($2::float8 * 2 ^ LEAST(pauses, 20), $3::float8)),
	       pauses = pauses + 1, pause_reason = $1, configuration = $4,
	       slowed_rate = CASE WHEN $5::float8 > 0
	           THEN GREATEST(0.1, LEAST($5::float8, COALESCE(NULLIF(` + slowedTo + `, 0), $5::float8)) / 2) ELSE slowed_rate END,
	       slowed_at = CASE WHEN $5::float8 > 0 THEN now() ELSE slowed_at END
	 WHERE paused_until IS NULL OR paused_until <= now()`

// PauseMail stops all sending for a while: the server is away, refuses us as a
// whole, or asks for fewer mails. Of several calls during one pause only the
// first counts.
func (s *Store) PauseMail(ctx context.Context, p MailPause) (err error) {
	defer translate(&err, "pause mail")
	_, err = s.db.ExecContext(ctx, pauseMail, pauseReason(p.Reason), seconds(p.First), seconds(p.Most), p.Configuration, p.Rate)
	return err
}

// MailState tells whether sending is paused or slowed, and why.
type MailState struct {
	PausedUntil   *time.Time `db:"paused_until"` // nil: it is not
	Reason        string     `db:"pause_reason"`
	Configuration bool       `db:"configuration"` // only an administrator can fix it
	SlowedTo      float64    `db:"slowed"`        // mails a second, since the server asked for fewer; 0: it did not
}

// MailState reads the state of sending; PausedUntil is nil while mail flows.
func (s *Store) MailState(ctx context.Context) (m MailState, err error) {
	defer translate(&err, "read mail state")
	return m, s.db.GetContext(ctx, &m, selectMailState)
}

const selectMailState = `
	SELECT CASE WHEN pauses > 0 THEN paused_until END AS paused_until, pause_reason, pauses > 0 AND configuration AS configuration,
	       ` + slowedTo + ` AS slowed
	  FROM mail_state`

// ResumeMail ends a pause at once: the settings changed. What was refused before
// says nothing about the new ones.
func (s *Store) ResumeMail(ctx context.Context) (err error) {
	defer translate(&err, "resume mail")
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, `
			UPDATE mail_state SET pauses = 0, paused_until = NULL, pause_reason = '', configuration = false, slowed_rate = NULL, slowed_at = NULL`); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM mail_refusals`); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
			UPDATE invitations SET due_at = now()
			 WHERE status = 'pending' AND claimed_until IS NULL AND attempts = 0 AND due_at > now()`)
		return err
	})
}
