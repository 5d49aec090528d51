package storage

import (
	"context"
	"regexp"
	"slices"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// When refusals count as a fault of the server or of our settings: this many
// recipients in this many domains, all with the same reply and no mail accepted
// in between. Of a reply that is usually about all mail the domains don't matter,
// and one is enough unless that reply turned out to be about its recipient within
// the last hour.
const (
	refusedRecipients = 10
	refusedDomains    = 3
	refusalsRead      = 5000 // of the latest; bounds what one decision reads and changes

	refusalPause    = 5.0  // seconds, doubles
	refusalPauseMax = 60.0 // one probe a minute finds out soon that the server was fixed
)

// refused reports whether the server refused this mail for good.
func (o *SendResult) refused() bool { return o.Refusal != "" }

// watchRefusals locks the state of mail if these outcomes may change what is known
// about refusals: before any import, which is the lock order.
func watchRefusals(ctx context.Context, tx *sqlx.Tx, outcomes []SendResult) (watched bool, err error) {
	watched = slices.ContainsFunc(outcomes, func(o SendResult) bool { return o.refused() })
	if !watched && slices.ContainsFunc(outcomes, wasSent) {
		if err := tx.GetContext(ctx, &watched, `
			SELECT pauses > 0 OR EXISTS (SELECT FROM mail_refusals WHERE cleared_at IS NULL) FROM mail_state`); err != nil {
			return false, err
		}
	}
	if watched {
		_, err = tx.ExecContext(ctx, `SELECT FROM mail_state FOR UPDATE`)
	}
	return watched, err
}

func wasSent(o SendResult) bool { return o.Status == roster.InvitationSent }

// refusals are those of one batch of outcomes.
type refusals struct {
	all      []SendResult
	suspects map[string]bool        // replies that pause all mail at once
	others   []uuid.UUID            // recipients refused before, whose imports may change as well
	last     map[string]*SendResult // of each reply
}

// readRefusals finds those in outcomes and puts off the ones that pause all mail at
// once: their recipients stay pending.
func readRefusals(ctx context.Context, tx *sqlx.Tx, outcomes []SendResult) (r refusals, err error) {
	r.suspects, r.last = map[string]bool{}, map[string]*SendResult{}
	for i := range outcomes {
		if outcomes[i].refused() {
			r.all = append(r.all, outcomes[i])
			r.last[outcomes[i].Refusal] = &outcomes[i]
		}
	}
	if len(r.all) == 0 {
		return r, nil
	}
	if err := tx.SelectContext(ctx, &r.others, `
		SELECT user_id FROM mail_refusals WHERE cleared_at IS NULL ORDER BY at DESC LIMIT $1`, refusalsRead); err != nil {
		return r, err
	}
	var known []string // to be about single recipients
	if err := tx.SelectContext(ctx, &known, `
		SELECT DISTINCT reply FROM mail_refusals WHERE cleared_at > now() - interval '1 hour'`); err != nil {
		return r, err
	}
	var final []uuid.UUID // refused before, although the server works
	if err := tx.SelectContext(ctx, &final, `
		SELECT r.user_id FROM mail_refusals r
		  JOIN unnest($1::uuid[], $2::bigint[]) AS o (user_id, generation) ON r.user_id = o.user_id AND r.generation = o.generation
		 WHERE r.cleared_at IS NOT NULL`,
		uuids(r.all, outcomeUser), bigints(r.all, func(o *SendResult) int64 { return int64(o.Generation) })); err != nil {
		return r, err
	}
	for i := range outcomes {
		o := &outcomes[i]
		if o.refused() && o.Systemic && !slices.Contains(known, o.Refusal) && !slices.Contains(final, o.UserID) {
			r.suspects[o.Refusal] = true
			o.Status, o.Spared = roster.InvitationPending, true
		}
	}
	return r, nil
}

// note records refusals. One whose recipient was refused before and cleared since
// is final, and stays as it is.
func (r *refusals) note(ctx context.Context, tx *sqlx.Tx) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO mail_refusals (user_id, generation, reply, domain)
		SELECT DISTINCT ON (o.user_id) o.user_id, o.generation, o.reply, split_part(u.email_key, '@', 2)
		  FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS o (user_id, generation, reply)
		  JOIN users u ON u.id = o.user_id
		 ORDER BY o.user_id
		ON CONFLICT (user_id) DO UPDATE
		   SET generation = EXCLUDED.generation, reply = EXCLUDED.reply, domain = EXCLUDED.domain, at = now(), cleared_at = NULL
		 WHERE mail_refusals.cleared_at IS NULL OR mail_refusals.generation <> EXCLUDED.generation`,
		uuids(r.all, outcomeUser), bigints(r.all, func(o *SendResult) int64 { return int64(o.Generation) }),
		texts(r.all, func(o *SendResult) string { return o.Refusal }))
	return err
}

// judge pauses all mail, and makes refused recipients pending again, for each reply
// that has been given to so many that the server must be at fault.
func (r *refusals) judge(ctx context.Context, tx *sqlx.Tx) error {
	for reply, last := range r.last {
		at := r.suspects[reply]
		if !at {
			if err := tx.GetContext(ctx, &at, `
				SELECT count(*) >= $2 AND ($3 OR count(DISTINCT domain) >= $4)
				  FROM (SELECT reply, domain FROM mail_refusals WHERE cleared_at IS NULL ORDER BY at DESC LIMIT $5) latest
				 WHERE reply = $1`, reply, refusedRecipients, last.Systemic, refusedDomains, refusalsRead); err != nil {
				return err
			}
		}
		if !at {
			continue
		}
		if err := r.putBack(ctx, tx, reply); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, pauseMail, pauseReason(last.Error), refusalPause, refusalPauseMax, true, 0); err != nil {
			return err
		}
	}
	return nil
}

// putBack makes the refused recipients of a reply pending again.
func (r *refusals) putBack(ctx context.Context, tx *sqlx.Tx, reply string) error {
	var moves []statusChange
	if err := tx.SelectContext(ctx, &moves, `
		WITH latest AS (
			SELECT user_id, generation, reply FROM mail_refusals WHERE cleared_at IS NULL ORDER BY at DESC LIMIT $2
		), back AS (
			UPDATE invitations i
			   SET status = 'pending', dispatch = i.dispatch + 1, due_at = now(), attempts = GREATEST(i.attempts - 1, 0), updated_at = now()
			  FROM latest l
			 WHERE i.user_id = l.user_id AND i.generation = l.generation AND l.reply = $1 AND i.status = 'failed'
			RETURNING i.import_id
		)
		SELECT import_id, 'failed' AS old, 'pending' AS new, count(*) AS n FROM back WHERE import_id IS NOT NULL GROUP BY import_id`,
		reply, refusalsRead); err != nil {
		return err
	}
	return countMoves(ctx, tx, moves)
}

// clearRefusals ends a pause and the suspicion: the server has accepted a mail.
func clearRefusals(ctx context.Context, tx *sqlx.Tx) error {
	if _, err := tx.ExecContext(ctx, `
		UPDATE mail_state SET pauses = 0, paused_until = NULL, pause_reason = '', configuration = false WHERE pauses > 0`); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE mail_refusals SET cleared_at = now() WHERE cleared_at IS NULL`)
	return err
}

// PurgeRefusals removes refusals that decide nothing any more.
func (s *Store) PurgeRefusals(ctx context.Context) (err error) {
	defer translate(&err, "remove old refusals")
	_, err = s.db.ExecContext(ctx, `
		DELETE FROM mail_refusals WHERE at < now() - interval '1 day' AND (cleared_at IS NULL OR cleared_at < now() - interval '1 day')`)
	return err
}

// anAddress matches what may be an email address in a reply.
var anAddress = regexp.MustCompile(`\S*@\S*`)

// pauseReason is a server's reply without addresses, because the reason of a pause
// is shown everywhere and outlives its recipient.
func pauseReason(reply string) string {
	return roster.TruncateValue(anAddress.ReplaceAllString(reply, "…"))
}
