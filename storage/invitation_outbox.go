package storage

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// ErrMailPaused: the mail server is away or refuses us; nothing is sent now.
var ErrMailPaused = errors.New("mail paused")

// DueInvitation is an invitation or a reminder handed to a task. A task whose
// Dispatch is no longer theirs is out of date and does nothing.
type DueInvitation struct {
	UserID     uuid.UUID `db:"user_id"` // of an invitation
	Dispatch   int32     `db:"dispatch"`
	ReminderID uuid.UUID `db:"reminder_id"` // uuid.Nil: an invitation
}

// DispatchLimit says how many invitations may go out.
type DispatchLimit struct {
	Limit int     // at most so many at once
	Rate  float64 // a second over all workers; 0: no limit
	// Again is when an invitation comes due once more if its task is lost.
	Again time.Duration
}

// window is how much idle time counts towards the rate, in seconds: one second,
// or what a single invitation takes at a rate below one a second.
func (r DispatchLimit) window() float64 { return max(1, 1/r.Rate) }

// InvitationsDue reports whether DispatchInvitations may find any: one statement,
// which locks nothing, since most looks find none. It reads the first entry of
// each index of what is due, whatever the planner thinks of the tables.
func (s *Store) InvitationsDue(ctx context.Context) (due bool, err error) {
	defer translate(&err, "look for due invitations")
	err = s.db.GetContext(ctx, &due, `
		SELECT COALESCE((SELECT due_at FROM invitations WHERE status = 'pending' ORDER BY due_at LIMIT 1) <= now(), false)
		    OR COALESCE((SELECT due_at FROM reminders ORDER BY due_at LIMIT 1) <= now(), false)`)
	return due, err
}

// DispatchInvitations takes due invitations, oldest first, to be handed to tasks,
// and then due reminders.
// It returns none while mail is paused, and after a pause one at a time until one
// has gone out. Callers on several workers take turns, so they ask
// [Store.InvitationsDue] first.
func (s *Store) DispatchInvitations(ctx context.Context, r DispatchLimit) (due []DueInvitation, err error) {
	defer translate(&err, "dispatch invitations")
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		due = nil
		if err := forceIndexOrder(ctx, tx); err != nil {
			return err
		}
		limit, err := allowance(ctx, tx, &r)
		if err != nil || limit == 0 {
			return err
		}
		if err := tx.SelectContext(ctx, &due, `
			WITH due AS MATERIALIZED ( -- asked once, whatever the plan: a second asking would find others
				SELECT user_id FROM invitations i
				 WHERE status = 'pending' AND due_at <= now() AND `+unclaimed+`
				 ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
			)
			UPDATE invitations i SET dispatch = i.dispatch + 1, due_at = now() + make_interval(secs => $2)
			  FROM due WHERE i.user_id = due.user_id
			RETURNING i.user_id, i.dispatch`, limit, seconds(r.Again)); err != nil {
			return err
		}
		reminders, err := dispatchReminders(ctx, tx, limit-len(due), r.Again)
		if err != nil {
			return err
		}
		due = append(due, reminders...)
		if r.Rate == 0 || len(due) == 0 {
			return nil
		}
		_, err = tx.ExecContext(ctx, `
			UPDATE mail_state SET released_at = GREATEST(released_at, now() - make_interval(secs => $2)) + make_interval(secs => $1)`,
			float64(len(due))/r.Rate, r.window())
		return err
	})
	return due, err
}

// allowance is how many invitations may be released now: at most a window's
// worth of the rate, counted since the last release. It locks the one row of
// mail_state, which is how callers take turns. It lowers the rate of r to what
// the mail server puts up with.
func allowance(ctx context.Context, tx *sqlx.Tx, r *DispatchLimit) (int, error) {
	var state struct {
		Paused  bool    `db:"paused"`
		Pauses  int     `db:"pauses"`
		Elapsed float64 `db:"elapsed"`
		Slowed  float64 `db:"slowed"`
	}
	if err := tx.GetContext(ctx, &state, `
		SELECT COALESCE(paused_until > now(), false) AS paused, pauses,
		       EXTRACT(EPOCH FROM now() - released_at)::float8 AS elapsed, `+slowedTo+` AS slowed
		  FROM mail_state FOR UPDATE`); err != nil {
		return 0, err
	}
	if state.Slowed > 0 && (r.Rate == 0 || state.Slowed < r.Rate) {
		r.Rate = state.Slowed
	}
	limit := r.Limit
	if state.Paused {
		return 0, nil
	}
	if state.Pauses > 0 {
		limit = min(limit, 1)
	}
	if r.Rate > 0 {
		limit = min(limit, int(min(state.Elapsed, r.window())*r.Rate+1e-9))
	}
	return max(limit, 0), nil
}

// InvitationMail is what is needed to write one invitation or reminder.
type InvitationMail struct {
	UserID     uuid.UUID `db:"user_id"`
	ReminderID uuid.UUID `db:"reminder_id"` // uuid.Nil: the invitation itself
	Worker     uuid.UUID `db:"worker"`      // who has claimed it; uuid.Nil: a claim for the whole of its lease
	Dispatch   int32     `db:"dispatch"`
	Generation int32     `db:"generation"`
	Email      string    `db:"email"`
	Name       string    `db:"name"`
	ExpiresAt  time.Time `db:"expires_at"`
	Attempts   int       `db:"attempts"` // this one included
	Unknowns   int       `db:"ambiguous_sends"`
	// HandedOff: the mail server has taken it from a worker that did not live
	// to record that.
	HandedOff bool `db:"handed_off"`
	// SettingsAt is when Settings > Email last changed; nil: never saved. No
	// attempt may be made by older ones.
	SettingsAt *time.Time `db:"settings_at"`
	// TextsAt is when Settings > Invitation last changed; nil: never saved.
	TextsAt *time.Time `db:"texts_at"`
	Locale  string     `db:"locale"`  // the user's, "" for the default
	Renewed bool       `db:"renewed"` // the user asked for it in place of an expired one
}

// ClaimResult is what became of the claim of one invitation.
type ClaimResult struct {
	InvitationMail
	Err error // ErrNotClaimable, ErrMailPaused or nil
}

// ClaimInvitation takes one invitation for sending; see [Store.ClaimInvitations].
func (s *Store) ClaimInvitation(ctx context.Context, d DueInvitation, lease, ttl time.Duration) (InvitationMail, error) {
	claimed, err := s.ClaimInvitations(ctx, []DueInvitation{d}, uuid.Nil, lease, ttl)
	if err != nil {
		return InvitationMail{}, err
	}
	return claimed[0].InvitationMail, claimed[0].Err
}

// ClaimInvitations takes invitations for sending, for lease or until the worker is
// gone from the mail workers if it is not uuid.Nil, and starts their time of life,
// ttl, anew. No indexed column changes, so that PostgreSQL writes
// to the table alone; what is claimed is not dispatched, though it be due. It
// tells of each, in the order asked for:
// [ErrNotClaimable] if the task is out of date or somebody is sending it;
// [ErrMailPaused] if it has to wait.
func (s *Store) ClaimInvitations(ctx context.Context, due []DueInvitation, worker uuid.UUID, lease, ttl time.Duration) (claimed []ClaimResult, err error) {
	defer translate(&err, "claim %d invitations", len(due))
	// In one order everywhere, so that two who claim wait instead of deadlocking.
	sorted := slices.SortedFunc(slices.Values(due), func(a, b DueInvitation) int {
		return bytes.Compare(a.UserID[:], b.UserID[:])
	})
	var taken []InvitationMail
	var waiting []DueInvitation
	err = s.transact(ctx, func(tx *sqlx.Tx) (err error) {
		taken = nil
		err = tx.SelectContext(ctx, &taken, takeInvitations,
			uuids(sorted, dueUser), bigints(sorted, dueDispatch), seconds(lease), seconds(ttl), emailSettings, worker, invitationSettings)
		if err != nil || len(taken) == len(due) {
			return err
		}
		if waiting, err = putBackPaused(ctx, tx, sorted); err != nil {
			return err
		}
		return postponeMailedEnough(ctx, tx, sorted)
	})
	if err != nil {
		return nil, err
	}
	// What was asked for twice at once is told to one of the two.
	outgoing, paused := map[DueInvitation]InvitationMail{}, map[DueInvitation]bool{}
	for _, o := range taken {
		outgoing[DueInvitation{UserID: o.UserID, Dispatch: o.Dispatch}] = o
	}
	for _, d := range waiting {
		paused[d] = true
	}
	for _, d := range due {
		c := ClaimResult{Err: ErrNotClaimable}
		if o, ok := outgoing[d]; ok {
			c = ClaimResult{InvitationMail: o}
			delete(outgoing, d)
		} else if paused[d] {
			c.Err = ErrMailPaused
		}
		claimed = append(claimed, c)
	}
	return claimed, nil
}

func dueUser(d *DueInvitation) uuid.UUID { return d.UserID }
func dueDispatch(d *DueInvitation) int64 { return int64(d.Dispatch) }

// takeInvitations looks up each by its user. The rest of the condition stands in
// a CASE, or PostgreSQL might think of the index of all that are pending: right
// after an import it takes the many there are for none, and would go through them
// for every claim.
const takeInvitations = `
		UPDATE invitations i
		   SET claimed_until = now() + make_interval(secs => $3),
		       claimed_by = NULLIF($6::uuid, '00000000-0000-0000-0000-000000000000'), attempts = attempts + 1,
		       expires_at = now() + make_interval(secs => $4)
		  FROM unnest($1::uuid[], $2::bigint[]) AS d (user_id, dispatch), users u
		 WHERE i.user_id = d.user_id AND u.id = i.user_id
		   AND CASE i.status WHEN 'pending' THEN i.dispatch = d.dispatch AND ` + unclaimed + ` END
		   AND NOT EXISTS (SELECT FROM mail_state WHERE paused_until > now())
		   AND (NOT EXISTS (SELECT FROM replaced_invitations) OR NOT ` + mailedEnough + `)
		RETURNING i.user_id, $6::uuid AS worker, i.dispatch, i.generation, i.expires_at, i.attempts, i.ambiguous_sends, u.email, u.name,
		          CASE WHEN i.attempts > 1 THEN EXISTS (
		              SELECT FROM invitation_handoffs h WHERE h.user_id = i.user_id AND h.generation = i.generation) ELSE false END AS handed_off,
		          (SELECT updated_at FROM settings WHERE name = $5) AS settings_at,
		          (SELECT updated_at FROM settings WHERE name = $7) AS texts_at,
		          COALESCE(u.locale, '') AS locale, i.renewed_generation IS NOT DISTINCT FROM i.generation AS renewed`

// putBackPaused gives back those that only a pause keeps from being sent: due at
// once, since the pause alone holds them back and may end early. Not while a
// worker is sending one: with another number its outcome would count for nothing,
// and the mail go out once more after the pause.
func putBackPaused(ctx context.Context, tx *sqlx.Tx, due []DueInvitation) (waiting []DueInvitation, err error) {
	err = tx.SelectContext(ctx, &waiting, `
		UPDATE invitations i SET dispatch = i.dispatch + 1, due_at = now()
		  FROM unnest($1::uuid[], $2::bigint[]) AS d (user_id, dispatch), mail_state
		 WHERE i.user_id = d.user_id AND paused_until > now()
		   AND CASE i.status WHEN 'pending' THEN i.dispatch = d.dispatch AND `+unclaimed+` END
		RETURNING i.user_id, i.dispatch - 1 AS dispatch`, uuids(due, dueUser), bigints(due, dueDispatch))
	return waiting, err
}

// mailedEnough tells whether the user u is at an address that has got three
// invitations within the last hour, by whatever imports. See [noteReplaced].
const mailedEnough = `(
		       SELECT count(*) >= 3 FROM replaced_invitations r
		        WHERE r.address = sha256(convert_to(u.email_key, 'UTF8')) AND r.sent_at > now() - interval '1 hour')`

// postponeMailedEnough has invitations wait until their address may get mail again.
func postponeMailedEnough(ctx context.Context, tx *sqlx.Tx, due []DueInvitation) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE invitations i
		   SET dispatch = i.dispatch + 1, last_error = 'This address got three emails within an hour; this one is sent later.',
		       due_at = interval '1 hour' + (
		           SELECT r.sent_at FROM replaced_invitations r WHERE r.address = sha256(convert_to(u.email_key, 'UTF8'))
		            ORDER BY r.sent_at DESC OFFSET 2 LIMIT 1)
		  FROM unnest($1::uuid[], $2::bigint[]) AS d (user_id, dispatch), users u
		 WHERE i.user_id = d.user_id AND u.id = i.user_id
		   AND CASE i.status WHEN 'pending' THEN i.dispatch = d.dispatch AND `+unclaimed+` END
		   AND EXISTS (SELECT FROM replaced_invitations) AND `+mailedEnough, uuids(due, dueUser), bigints(due, dueDispatch))
	return err
}

// noteReplaced keeps count of mails that have gone out, or may be going out, to
// users whose invitations are about to be removed or replaced. Without it an
// import, its undo and the import again would fill a mailbox. It follows on a
// condition over invitations i.
const noteReplaced = `
		INSERT INTO replaced_invitations (address, sent_at)
		SELECT sha256(convert_to(u.email_key, 'UTF8')), COALESCE(i.sent_at, now())
		  FROM invitations i JOIN users u ON u.id = i.user_id
		 WHERE (i.sent_at > now() - interval '1 hour' OR i.claimed_until > now() OR i.ambiguous_sends > 0) AND `

// PurgeReplaced forgets the mails that count no longer.
func (s *Store) PurgeReplaced(ctx context.Context) (err error) {
	defer translate(&err, "remove old counts of mails")
	_, err = s.db.ExecContext(ctx, `DELETE FROM replaced_invitations WHERE sent_at <= now() - interval '1 hour'`)
	return err
}
