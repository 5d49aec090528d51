package storage

import (
	"context"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

const (
	// requestsPerStep bounds one transaction of RequestReminders.
	requestsPerStep = 20_000
	// countedRemindable is how far Remindable counts.
	countedRemindable = 100_000
)

// ownLink is true if the user u has an invitation i with a link that works: the
// mail server took it, it neither bounced nor expired, and it was not used.
const ownLink = `i.status = 'sent' AND i.expires_at > now() AND u.status = 'invited'`

// remindedLately is true of those who are not to be reminded again so soon: a
// reminder waits, or was mailed within the hour.
const remindedLately = `(COALESCE(i.reminded_at > now() - interval '1 hour', false)
		OR EXISTS (SELECT FROM reminders r WHERE r.user_id = i.user_id AND r.generation = i.generation))`

// Remindable is how many of a list of users can be reminded.
type Remindable struct {
	N    int64
	More bool // more than N
	// Lately have a link that works, but a reminder is queued or was mailed within
	// the last hour.
	Lately int64
}

// Remindable counts them, up to a hundred thousand.
func (s *Store) Remindable(ctx context.Context, f UserFilter) (r Remindable, err error) {
	defer translate(&err, "count users to remind")
	where := f.where()
	where.with(ownLink)
	if err := s.db.QueryRowxContext(ctx, `
		SELECT count(*) FILTER (WHERE NOT lately), count(*) FILTER (WHERE lately)
		  FROM (SELECT `+remindedLately+` AS lately FROM users u JOIN invitations i ON i.user_id = u.id `+where.sql()+`
		         LIMIT `+where.arg(countedRemindable+1)+`) found`, where.args...).Scan(&r.N, &r.Lately); err != nil {
		return r, err
	}
	if r.N+r.Lately > countedRemindable {
		r.More = true
		r.N = min(r.N, countedRemindable)
	}
	return r, nil
}

// RequestReminders queues a reminder for the users that a filter lets through and
// whose link works, whatever ages are configured; not for those who have one in the
// queue, or got one within the last hour. It returns how many. It commits 20,000 at a
// time, each with an entry in the audit log: after an error, what was committed
// stays, and asking again goes on with the rest.
func (s *Store) RequestReminders(ctx context.Context, f UserFilter, by AuditEntry) (n int64, err error) {
	defer translate(&err, "request reminders")
	for after, first := uuid.Nil, true; first || after != uuid.Nil; first = false {
		var queued int64
		err := s.transact(ctx, func(tx *sqlx.Tx) (err error) {
			queued, after, err = requestReminders(ctx, tx, f, after)
			if err != nil || queued == 0 {
				return err
			}
			by := by.on("invitations.remind", "invitations", uuid.Nil)
			if f.ImportID != uuid.Nil {
				by = by.on("invitations.remind", "import", f.ImportID)
			}
			return audit(ctx, tx, by.with(map[string]any{"reminders": queued}))
		})
		if err != nil {
			return n, err
		}
		n += queued
	}
	return n, nil
}

// requestReminders queues reminders for the next users whose id follows after, and
// returns the last id, uuid.Nil when none are left. The invitations are locked before
// the reminders, as when reminders are settled.
func requestReminders(ctx context.Context, tx *sqlx.Tx, f UserFilter, after uuid.UUID) (queued int64, last uuid.UUID, err error) {
	where := f.where()
	where.with(ownLink)
	where.with("NOT " + remindedLately)
	where.add("u.id > ?", after)
	limit := where.arg(requestsPerStep)
	var row struct {
		Due    int64      `db:"due"`
		Last   *uuid.UUID `db:"last"`
		Queued int64      `db:"queued"`
	}
	if err := tx.GetContext(ctx, &row, `
		WITH due AS MATERIALIZED (
			SELECT i.user_id, i.generation FROM users u JOIN invitations i ON i.user_id = u.id `+where.sql()+`
			 ORDER BY u.id LIMIT `+limit+` FOR KEY SHARE OF i
		), queued AS (
			INSERT INTO reminders AS i (user_id, generation, requested)
			SELECT user_id, generation, true FROM due
			ON CONFLICT (user_id) DO UPDATE -- one of an earlier invitation, which would be dropped
			   SET generation = EXCLUDED.generation, requested = true, dispatch = i.dispatch + 1, due_at = now(), attempts = 0, ambiguous_sends = 0
			 WHERE i.generation <> EXCLUDED.generation AND `+unclaimed+`
			RETURNING 1
		)
		SELECT (SELECT count(*) FROM due) AS due, (SELECT user_id FROM due ORDER BY user_id DESC LIMIT 1) AS last,
		       (SELECT count(*) FROM queued) AS queued`, where.args...); err != nil {
		return 0, uuid.Nil, err
	}
	if row.Due == requestsPerStep {
		last = *row.Last
	}
	return row.Queued, last, nil
}
