package storage

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// remindersPerStep bounds one transaction of QueueReminders.
const remindersPerStep = 5000

// QueueReminders puts reminders into their outbox, for invitations that were sent
// an age of ages ago and whose link still works. ages are whole seconds, ascending
// and less than ttl, which is the life of a link. It returns how many invitations it
// has dealt with, at most 5,000; there may be more unless that is 0.
//
// Each age counts once for an invitation. If several have passed, one reminder is
// queued for all of them; none while an earlier one is still waiting, or was sent
// less than half the time between the two ages ago.
func (s *Store) QueueReminders(ctx context.Context, ages []time.Duration, ttl time.Duration) (n int64, err error) {
	defer translate(&err, "queue reminders")
	passed := time.Duration(0)
	for _, age := range ages {
		if n, err = s.queueReminders(ctx, passed, age, ages, ttl); err != nil || n > 0 {
			return n, err
		}
		passed = age
	}
	return 0, nil
}

// queueReminders deals with invitations whose reminders up to the age passed have
// been dealt with, and that have reached the next one.
func (s *Store) queueReminders(ctx context.Context, passed, next time.Duration, ages []time.Duration, ttl time.Duration) (n int64, err error) {
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := forceIndexOrder(ctx, tx); err != nil {
			return err
		}
		return tx.GetContext(ctx, &n, queueReminders,
			int64(passed.Seconds()), next.Seconds(), ttl.Seconds(), remindersPerStep, bigints(ages, func(d *time.Duration) int64 { return int64(d.Seconds()) }))
	})
	return n, err
}

// queueReminders reads a range of the index invitations_remindable. Whatever it finds
// leaves that range, even if no reminder is due for it. A link works for its life
// from the claim, which is before sent_at.
const queueReminders = `
		WITH due AS MATERIALIZED (
			SELECT user_id, generation, sent_at, expires_at, reminded_at FROM invitations
			 WHERE status = 'sent' AND reminder_age = $1
			   AND sent_at <= now() - make_interval(secs => $2) AND sent_at > now() - make_interval(secs => $3)
			 ORDER BY sent_at LIMIT $4 FOR UPDATE SKIP LOCKED
		), passed AS (
			UPDATE invitations i
			   SET reminder_age = (SELECT max(age) FROM unnest($5::bigint[]) AS age WHERE due.sent_at <= now() - make_interval(secs => age))
			  FROM due WHERE i.user_id = due.user_id
			RETURNING i.user_id
		), queued AS (
			INSERT INTO reminders (user_id, generation)
			SELECT user_id, generation FROM due
			 WHERE expires_at > now() AND (reminded_at IS NULL OR reminded_at <= now() - make_interval(secs => ($2 - $1) / 2))
			ON CONFLICT (user_id) DO NOTHING
		)
		SELECT count(*) FROM passed`

// dispatchReminders is DispatchInvitations for reminders.
func dispatchReminders(ctx context.Context, tx *sqlx.Tx, limit int, again time.Duration) (due []DueInvitation, err error) {
	if limit <= 0 {
		return nil, nil
	}
	err = tx.SelectContext(ctx, &due, `
		WITH due AS MATERIALIZED (
			SELECT id FROM reminders i WHERE due_at <= now() AND `+unclaimed+`
			 ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
		)
		UPDATE reminders i SET dispatch = i.dispatch + 1, due_at = now() + make_interval(secs => $2)
		  FROM due WHERE i.id = due.id
		RETURNING i.id AS reminder_id, i.dispatch`, limit, seconds(again))
	return due, err
}

// remindable is true if a reminder i, of the invitation v of the user u, carries a
// link that works.
const remindable = `(v.user_id = i.user_id AND u.id = i.user_id AND v.generation = i.generation
		       AND v.status = 'sent' AND v.expires_at > now() AND u.status = 'invited')`

// remindedEnough is mailedEnough for reminders: the invitation counts as well.
const remindedEnough = `(
		       (SELECT count(*) FROM replaced_invitations r
		         WHERE r.address = sha256(convert_to(u.email_key, 'UTF8')) AND r.sent_at > now() - interval '1 hour')
		       + (v.sent_at > now() - interval '1 hour')::integer >= 3)`

// ClaimReminders takes reminders for sending, as ClaimInvitations does invitations,
// and returns those it took. Pointless ones are deleted.
func (s *Store) ClaimReminders(ctx context.Context, due []DueInvitation, worker uuid.UUID, lease time.Duration) (taken []InvitationMail, err error) {
	defer translate(&err, "claim %d reminders", len(due))
	if len(due) == 0 {
		return nil, nil
	}
	due = slices.SortedFunc(slices.Values(due), func(a, b DueInvitation) int { return bytes.Compare(a.ReminderID[:], b.ReminderID[:]) })
	ids, dispatches := uuids(due, dueReminder), bigints(due, dueDispatch)
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		taken = nil
		if err := tx.SelectContext(ctx, &taken, takeReminders, ids, dispatches, seconds(lease), worker, emailSettings, invitationSettings); err != nil || len(taken) == len(due) {
			return err
		}
		for _, putAside := range []string{dropPointlessReminders, putBackPausedReminders, postponeReminders} {
			if _, err := tx.ExecContext(ctx, putAside, ids, dispatches); err != nil {
				return err
			}
		}
		return nil
	})
	return taken, err
}

func dueReminder(d *DueInvitation) uuid.UUID { return d.ReminderID }

const takeReminders = `
		UPDATE reminders i
		   SET claimed_until = now() + make_interval(secs => $3),
		       claimed_by = NULLIF($4::uuid, '00000000-0000-0000-0000-000000000000'), attempts = i.attempts + 1
		  FROM unnest($1::uuid[], $2::bigint[]) AS d (id, dispatch), invitations v, users u
		 WHERE i.id = d.id AND i.dispatch = d.dispatch AND ` + unclaimed + ` AND ` + remindable + `
		   AND NOT EXISTS (SELECT FROM mail_state WHERE paused_until > now()) AND NOT ` + remindedEnough + `
		RETURNING i.id AS reminder_id, i.user_id, $4::uuid AS worker, i.dispatch, i.generation, v.expires_at, i.attempts, i.ambiguous_sends, u.email, u.name,
		          CASE WHEN i.attempts > 1 THEN EXISTS (SELECT FROM reminder_handoffs h WHERE h.reminder_id = i.id) ELSE false END AS handed_off,
		          (SELECT updated_at FROM settings WHERE name = $5) AS settings_at,
		          (SELECT updated_at FROM settings WHERE name = $6) AS texts_at, COALESCE(u.locale, '') AS locale`

const dropPointlessReminders = `
		DELETE FROM reminders i USING unnest($1::uuid[], $2::bigint[]) AS d (id, dispatch)
		 WHERE i.id = d.id AND i.dispatch = d.dispatch AND ` + unclaimed + `
		   AND NOT EXISTS (SELECT FROM invitations v, users u WHERE ` + remindable + `)`

// putBackPausedReminders: see putBackPaused.
const putBackPausedReminders = `
		UPDATE reminders i SET dispatch = i.dispatch + 1, due_at = now()
		  FROM unnest($1::uuid[], $2::bigint[]) AS d (id, dispatch), mail_state
		 WHERE i.id = d.id AND i.dispatch = d.dispatch AND ` + unclaimed + ` AND paused_until > now()`

// postponeReminders has those wait whose address has got three mails in an hour.
const postponeReminders = `
		UPDATE reminders i SET dispatch = i.dispatch + 1, due_at = now() + interval '15 minutes'
		  FROM unnest($1::uuid[], $2::bigint[]) AS d (id, dispatch), invitations v, users u
		 WHERE i.id = d.id AND i.dispatch = d.dispatch AND ` + unclaimed + ` AND ` + remindable + ` AND ` + remindedEnough

// settleReminders settles attempts to send reminders. The imports are locked. The
// invitations are locked before the reminders, as when users are deleted.
func settleReminders(ctx context.Context, tx *sqlx.Tx, outcomes []SendResult) error {
	if len(outcomes) == 0 {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `SELECT FROM invitations WHERE user_id = ANY($1::uuid[]) ORDER BY user_id FOR UPDATE`, uuids(outcomes, outcomeUser)); err != nil {
		return err
	}
	ids := uuids(outcomes, func(o *SendResult) uuid.UUID { return o.ReminderID })
	dispatches := bigints(outcomes, func(o *SendResult) int64 { return int64(o.Dispatch) })
	statuses := texts(outcomes, func(o *SendResult) string { return string(o.Status) })
	workers := uuids(outcomes, outcomeWorker)
	if _, err := tx.ExecContext(ctx, `
		DELETE FROM reminder_handoffs h
		 USING reminders i, unnest($1::uuid[], $2::bigint[], $3::text[], $4::uuid[]) AS o (id, dispatch, status, worker)
		 WHERE h.reminder_id = i.id AND i.id = o.id AND i.dispatch = o.dispatch AND `+settles, ids, dispatches, statuses, workers); err != nil {
		return err
	}
	var sent []struct {
		ImportID uuid.UUID `db:"import_id"`
		N        int64     `db:"n"`
	}
	if err := tx.SelectContext(ctx, &sent, `
		WITH ended AS (
			DELETE FROM reminders i USING unnest($1::uuid[], $2::bigint[], $3::text[], $4::uuid[]) AS o (id, dispatch, status, worker)
			 WHERE i.id = o.id AND i.dispatch = o.dispatch AND o.status <> 'pending' AND `+settles+`
			RETURNING i.user_id, o.status
		), counted AS (
			UPDATE invitations i SET reminders = i.reminders + 1, reminded_at = now()
			  FROM ended WHERE i.user_id = ended.user_id AND ended.status = 'sent'
			RETURNING i.user_id, i.import_id
		), noted AS (
			INSERT INTO replaced_invitations (address, sent_at)
			SELECT sha256(convert_to(u.email_key, 'UTF8')), now() FROM counted JOIN users u ON u.id = counted.user_id
		)
		SELECT import_id, count(*) AS n FROM counted WHERE import_id IS NOT NULL GROUP BY import_id`, ids, dispatches, statuses, workers); err != nil {
		return err
	}
	for _, s := range sent {
		if _, err := tx.ExecContext(ctx, `UPDATE imports SET invites_reminders = invites_reminders + $2 WHERE id = $1`, s.ImportID, s.N); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `
		UPDATE reminders i
		   SET dispatch = i.dispatch + 1, claimed_until = NULL, due_at = now() + o.wait * interval '1 microsecond',
		       attempts = i.attempts - o.spared, ambiguous_sends = i.ambiguous_sends + o.unknown
		  FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::uuid[]) AS o (id, dispatch, status, wait, unknown, spared, worker)
		 WHERE i.id = o.id AND i.dispatch = o.dispatch AND o.status = 'pending' AND `+settles, ids, dispatches, statuses,
		bigints(outcomes, func(o *SendResult) int64 { return o.Wait.Microseconds() }),
		bigints(outcomes, func(o *SendResult) int64 { return count(o.Unknown) }),
		bigints(outcomes, func(o *SendResult) int64 { return count(o.Spared) }), workers)
	return err
}

// splitReminders separates reminders from invitations.
func splitReminders(all []SendResult) (invitations, reminders []SendResult) {
	if !slices.ContainsFunc(all, func(o SendResult) bool { return o.ReminderID != uuid.Nil }) {
		return all, nil
	}
	for _, o := range all {
		if o.ReminderID == uuid.Nil {
			invitations = append(invitations, o)
		} else {
			reminders = append(reminders, o)
		}
	}
	return invitations, reminders
}

// RemoveReminders empties the outbox of reminders, but for those being sent and those
// that an administrator asked for.
func (s *Store) RemoveReminders(ctx context.Context) (err error) {
	defer translate(&err, "remove reminders")
	_, err = s.db.ExecContext(ctx, `DELETE FROM reminders i WHERE NOT requested AND `+unclaimed)
	return err
}
