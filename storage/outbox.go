package storage

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// ErrMailPaused: the mail server is away or refuses us; nothing is sent now.
var ErrMailPaused = errors.New("mail paused")

// DueInvitation is an invitation handed to a task. A task whose Dispatch is no
// longer the invitation's is out of date and does nothing.
type DueInvitation struct {
	UserID   uuid.UUID `db:"user_id"`
	Dispatch int32     `db:"dispatch"`
}

// Release says how many invitations may go out.
type Release struct {
	Limit int     // at most so many at once
	Rate  float64 // a second over all workers; 0: no limit
	// Again is when an invitation comes due once more if its task is lost.
	Again time.Duration
}

// window is how much idle time counts towards the rate, in seconds: one second,
// or what a single invitation takes at a rate below one a second.
func (r Release) window() float64 { return max(1, 1/r.Rate) }

// DispatchInvitations takes due invitations, oldest first, to be handed to tasks.
// It returns none while mail is paused, and after a pause one at a time until one
// has gone out. Callers on several workers take turns.
func (s *Store) DispatchInvitations(ctx context.Context, r Release) (due []DueInvitation, err error) {
	defer translate(&err, "dispatch invitations")
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		due = nil
		if err := inOrderOfIndex(ctx, tx); err != nil {
			return err
		}
		// Most looks find nothing. One that locks nothing waits for no disk.
		var any bool
		if err := tx.GetContext(ctx, &any, `SELECT EXISTS (SELECT FROM invitations WHERE status = 'pending' AND due_at <= now())`); err != nil || !any {
			return err
		}
		limit, err := allowance(ctx, tx, r)
		if err != nil || limit == 0 {
			return err
		}
		if err := tx.SelectContext(ctx, &due, `
			WITH due AS MATERIALIZED ( -- asked once, whatever the plan: a second asking would find others
				SELECT user_id FROM invitations
				 WHERE status = 'pending' AND due_at <= now() AND (claimed_until IS NULL OR claimed_until <= now())
				 ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
			)
			UPDATE invitations i SET dispatch = i.dispatch + 1, due_at = now() + make_interval(secs => $2)
			  FROM due WHERE i.user_id = due.user_id
			RETURNING i.user_id, i.dispatch`, limit, seconds(r.Again)); err != nil {
			return err
		}
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
// mail_state, which is how callers take turns.
func allowance(ctx context.Context, tx *sqlx.Tx, r Release) (int, error) {
	var state struct {
		Paused  bool    `db:"paused"`
		Pauses  int     `db:"pauses"`
		Elapsed float64 `db:"elapsed"`
	}
	if err := tx.GetContext(ctx, &state, `
		SELECT COALESCE(paused_until > now(), false) AS paused, pauses,
		       EXTRACT(EPOCH FROM now() - released_at)::float8 AS elapsed
		  FROM mail_state FOR UPDATE`); err != nil {
		return 0, err
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

// Outgoing is what is needed to write one invitation mail.
type Outgoing struct {
	UserID     uuid.UUID `db:"user_id"`
	Dispatch   int32     `db:"dispatch"`
	Generation int32     `db:"generation"`
	Email      string    `db:"email"`
	Name       string    `db:"name"`
	ExpiresAt  time.Time `db:"expires_at"`
	Attempts   int       `db:"attempts"` // this one included
	Unknowns   int       `db:"unknowns"`
	// HandedOver: the mail server has taken it from a worker that did not live
	// to record that.
	HandedOver bool `db:"handed_over"`
	// SettingsAt is when Settings > Email last changed; nil: nobody set any. No
	// attempt may be made by older ones.
	SettingsAt *time.Time `db:"settings_at"`
}

// Claimed is what became of the claim of one invitation.
type Claimed struct {
	Outgoing
	Err error // ErrNotClaimable, ErrMailPaused or nil
}

// ClaimInvitation takes one invitation for sending; see [Store.ClaimInvitations].
func (s *Store) ClaimInvitation(ctx context.Context, d DueInvitation, lease, ttl time.Duration) (Outgoing, error) {
	claimed, err := s.ClaimInvitations(ctx, []DueInvitation{d}, lease, ttl)
	if err != nil {
		return Outgoing{}, err
	}
	return claimed[0].Outgoing, claimed[0].Err
}

// ClaimInvitations takes invitations for sending, for lease, and starts their
// time of life, ttl, anew. No indexed column changes, so that PostgreSQL writes
// to the table alone; what is claimed is not dispatched, though it be due. It
// tells of each, in the order asked for:
// [ErrNotClaimable] if the task is out of date or somebody is sending it;
// [ErrMailPaused] if it has to wait.
func (s *Store) ClaimInvitations(ctx context.Context, due []DueInvitation, lease, ttl time.Duration) (claimed []Claimed, err error) {
	defer translate(&err, "claim %d invitations", len(due))
	// In one order everywhere, so that two who claim wait instead of deadlocking.
	sorted := slices.SortedFunc(slices.Values(due), func(a, b DueInvitation) int {
		return bytes.Compare(a.UserID[:], b.UserID[:])
	})
	take, err := s.statement(ctx, takeInvitations)
	if err != nil {
		return nil, err
	}
	var taken []Outgoing
	var waiting []DueInvitation
	err = s.transact(ctx, func(tx *sqlx.Tx) (err error) {
		taken = nil
		err = tx.StmtxContext(ctx, take).SelectContext(ctx, &taken,
			uuids(sorted, dueUser), bigints(sorted, dueDispatch), seconds(lease), seconds(ttl), emailSettings)
		if err != nil || len(taken) == len(due) {
			return err
		}
		waiting, err = putBackPaused(ctx, tx, sorted)
		return err
	})
	if err != nil {
		return nil, err
	}
	// What was asked for twice at once is told to one of the two.
	outgoing, paused := map[DueInvitation]Outgoing{}, map[DueInvitation]bool{}
	for _, o := range taken {
		outgoing[DueInvitation{o.UserID, o.Dispatch}] = o
	}
	for _, d := range waiting {
		paused[d] = true
	}
	for _, d := range due {
		c := Claimed{Err: ErrNotClaimable}
		if o, ok := outgoing[d]; ok {
			c = Claimed{Outgoing: o}
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
		   SET claimed_until = now() + make_interval(secs => $3), attempts = attempts + 1,
		       expires_at = now() + make_interval(secs => $4)
		  FROM unnest($1::uuid[], $2::bigint[]) AS d (user_id, dispatch), users u
		 WHERE i.user_id = d.user_id AND u.id = i.user_id
		   AND CASE i.status WHEN 'pending' THEN i.dispatch = d.dispatch AND (i.claimed_until IS NULL OR i.claimed_until <= now()) END
		   AND NOT EXISTS (SELECT FROM mail_state WHERE paused_until > now())
		RETURNING i.user_id, i.dispatch, i.generation, i.expires_at, i.attempts, i.unknowns, u.email, u.name,
		          CASE WHEN i.attempts > 1 THEN EXISTS (
		              SELECT FROM handed_over h WHERE h.user_id = i.user_id AND h.generation = i.generation) ELSE false END AS handed_over,
		          (SELECT updated_at FROM settings WHERE name = $5) AS settings_at`

// putBackPaused gives back those that only a pause keeps from being sent: due at
// once, since the pause alone holds them back and may end early. Not while a
// worker is sending one: with another number its outcome would count for nothing,
// and the mail go out once more after the pause.
func putBackPaused(ctx context.Context, tx *sqlx.Tx, due []DueInvitation) (waiting []DueInvitation, err error) {
	err = tx.SelectContext(ctx, &waiting, `
		UPDATE invitations i SET dispatch = i.dispatch + 1, due_at = now()
		  FROM unnest($1::uuid[], $2::bigint[]) AS d (user_id, dispatch), mail_state
		 WHERE i.user_id = d.user_id AND paused_until > now()
		   AND CASE i.status WHEN 'pending' THEN i.dispatch = d.dispatch AND (i.claimed_until IS NULL OR i.claimed_until <= now()) END
		RETURNING i.user_id, i.dispatch - 1 AS dispatch`, uuids(due, dueUser), bigints(due, dueDispatch))
	return waiting, err
}

// Outcome is how an attempt to send ended.
type Outcome struct {
	UserID     uuid.UUID
	Dispatch   int32
	Generation int32
	Status     roster.InvitationStatus // sent, failed, or pending: to be tried again after Wait
	Wait       time.Duration
	Unknown    bool   // the mail may have arrived
	Spared     bool   // not the recipient's fault: the attempt does not count
	Error      string // the mail server's words, "" if none; with Spared, "" leaves those of the attempt before
}

// MarkHandedOver notes of attempts that the mail server has taken the mail. It
// is quick, and does not wait for the disk; RecordOutcomes removes the mark.
func (s *Store) MarkHandedOver(ctx context.Context, sent []Outgoing) (err error) {
	defer translate(&err, "mark %d invitations as handed over", len(sent))
	insert, err := s.statement(ctx, `
		INSERT INTO handed_over (user_id, generation) SELECT * FROM unnest($1::uuid[], $2::bigint[]) ON CONFLICT DO NOTHING`)
	if err != nil {
		return err
	}
	_, err = insert.ExecContext(ctx,
		uuids(sent, func(o *Outgoing) uuid.UUID { return o.UserID }), bigints(sent, func(o *Outgoing) int64 { return int64(o.Generation) }))
	return err
}

// ForgetHandedOver removes marks that nobody will ask for: those of people who
// were removed meanwhile.
func (s *Store) ForgetHandedOver(ctx context.Context, age time.Duration) (err error) {
	defer translate(&err, "remove old marks of mails")
	_, err = s.db.ExecContext(ctx, `DELETE FROM handed_over WHERE at < now() - make_interval(secs => $1)`, seconds(age))
	return err
}

// RecordOutcomes settles attempts, many in one transaction. An outcome whose
// invitation has moved on (sent afresh, accepted, revoked) changes nothing. Each
// raises dispatch: the attempt's task is out of date from now on, and an outcome
// recorded twice, because the answer to a commit was lost, counts once.
func (s *Store) RecordOutcomes(ctx context.Context, outcomes []Outcome) (err error) {
	defer translate(&err, "record %d outcomes", len(outcomes))
	// In one order everywhere, so that two recorders wait instead of deadlocking.
	outcomes = slices.SortedFunc(slices.Values(outcomes), func(a, b Outcome) int {
		return bytes.Compare(a.UserID[:], b.UserID[:])
	})
	settle, err := s.statement(ctx, settleInvitations)
	if err != nil {
		return err
	}
	return s.transact(ctx, func(tx *sqlx.Tx) error { return recordOutcomes(ctx, tx, settle, outcomes) })
}

func recordOutcomes(ctx context.Context, tx *sqlx.Tx, settle *sqlx.Stmt, outcomes []Outcome) error {
	if err := byIndex(ctx, tx); err != nil {
		return err
	}
	if err := lockImportsOf(ctx, tx, uuids(outcomes, outcomeUser)); err != nil {
		return err
	}
	var moves []moved
	if err := tx.StmtxContext(ctx, settle).SelectContext(ctx, &moves,
		uuids(outcomes, outcomeUser),
		bigints(outcomes, func(o *Outcome) int64 { return int64(o.Dispatch) }),
		texts(outcomes, func(o *Outcome) string { return string(o.Status) }),
		bigints(outcomes, func(o *Outcome) int64 { return o.Wait.Microseconds() }),
		bigints(outcomes, func(o *Outcome) int64 { return count(o.Unknown) }),
		bigints(outcomes, func(o *Outcome) int64 { return count(o.Spared) }),
		texts(outcomes, func(o *Outcome) string { return roster.Shown(o.Error) }),
		bigints(outcomes, func(o *Outcome) int64 { return int64(o.Generation) })); err != nil {
		return err
	}
	if slices.ContainsFunc(outcomes, func(o Outcome) bool { return o.Status == roster.InvitationSent }) {
		if _, err := tx.ExecContext(ctx, `UPDATE mail_state SET pauses = 0, paused_until = NULL, pause_reason = '' WHERE pauses > 0`); err != nil {
			return err
		}
	}
	return countMoves(ctx, tx, moves)
}

func outcomeUser(o *Outcome) uuid.UUID { return o.UserID }

// settleInvitations looks up each by its user; see [takeInvitations].
const settleInvitations = `
		WITH settled AS (
			UPDATE invitations i
			   SET status = o.status, dispatch = i.dispatch + 1, claimed_until = NULL,
			       due_at = now() + o.wait * interval '1 microsecond',
			       sent_at = CASE WHEN o.status = 'sent' THEN now() END,
			       attempts = i.attempts - o.spared, unknowns = i.unknowns + o.unknown,
			       last_error = CASE WHEN o.spared > 0 AND o.words = '' THEN i.last_error ELSE NULLIF(o.words, '') END,
			       updated_at = now()
			  FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[])
			    AS o (user_id, dispatch, status, wait, unknown, spared, words)
			 WHERE i.user_id = o.user_id AND CASE i.status WHEN 'pending' THEN i.dispatch = o.dispatch END
			RETURNING i.import_id, i.status
		), unmarked AS (
			DELETE FROM handed_over h USING unnest($1::uuid[], $8::bigint[]) AS o (user_id, generation)
			 WHERE h.user_id = o.user_id AND h.generation = o.generation
		)
		SELECT import_id, 'pending' AS old, status AS new, count(*) AS n
		  FROM settled WHERE import_id IS NOT NULL AND status <> 'pending' GROUP BY import_id, status`

func count(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// PauseMail stops all sending for a while: the server is away or refuses us as
// a whole. Pauses in a row wait twice as long each, from first up to most. Of
// several calls during one pause only the first counts.
func (s *Store) PauseMail(ctx context.Context, reason string, first, most time.Duration) (err error) {
	defer translate(&err, "pause mail")
	_, err = s.db.ExecContext(ctx, `
		UPDATE mail_state
		   SET paused_until = now() + make_interval(secs => LEAST($2 * 2 ^ LEAST(pauses, 20), $3)),
		       pauses = pauses + 1, pause_reason = $1
		 WHERE paused_until IS NULL OR paused_until <= now()`, roster.Shown(reason), seconds(first), seconds(most))
	return err
}

// MailState tells whether sending is paused, and why.
type MailState struct {
	PausedUntil *time.Time `db:"paused_until"`
	Reason      string     `db:"pause_reason"`
}

// MailState reads the state of sending; PausedUntil is nil while mail flows.
func (s *Store) MailState(ctx context.Context) (m MailState, err error) {
	defer translate(&err, "read mail state")
	return m, s.db.GetContext(ctx, &m, `
		SELECT CASE WHEN pauses > 0 THEN paused_until END AS paused_until, pause_reason FROM mail_state`)
}

// ResumeMail ends a pause at once: the settings changed.
func (s *Store) ResumeMail(ctx context.Context) (err error) {
	defer translate(&err, "resume mail")
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE mail_state SET pauses = 0, paused_until = NULL, pause_reason = ''`); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
			UPDATE invitations SET due_at = now()
			 WHERE status = 'pending' AND claimed_until IS NULL AND attempts = 0 AND due_at > now()`)
		return err
	})
}
