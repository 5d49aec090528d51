package storage

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// SendResult is how an attempt to send ended.
type SendResult struct {
	UserID     uuid.UUID
	ReminderID uuid.UUID // uuid.Nil: of the invitation itself
	Worker     uuid.UUID // as claimed
	Dispatch   int32
	Generation int32
	Status     roster.InvitationStatus // sent, failed, or pending: to be tried again after Wait
	Wait       time.Duration
	Unknown    bool   // the mail may have arrived
	Spared     bool   // not the recipient's fault: the attempt does not count
	Error      string // the mail server's words, "" if none; with Spared, "" leaves those of the attempt before
	Refusal    string // the reply code if the server refused the mail for good, such as "550 5.7.1"; see mail_refusals.go
	Systemic   bool   // with Refusal: the reply is usually about all mail
}

// RecordOutcomes settles attempts, many in one transaction. An outcome whose
// invitation has moved on (sent afresh, accepted, revoked) changes nothing. Each
// raises dispatch: the attempt's task is out of date from now on, and an outcome
// recorded twice, because the answer to a commit was lost, counts once. A worker
// that was given up for dead can still say that it has sent a mail; nothing else it
// says may take the mail from who has claimed it since.
func (s *Store) RecordOutcomes(ctx context.Context, outcomes []SendResult) (err error) {
	defer translate(&err, "record %d outcomes", len(outcomes))
	// In one order everywhere, so that two recorders wait instead of deadlocking.
	outcomes = slices.SortedFunc(slices.Values(outcomes), func(a, b SendResult) int {
		return bytes.Compare(a.UserID[:], b.UserID[:])
	})
	return s.transact(ctx, func(tx *sqlx.Tx) error { return recordOutcomes(ctx, tx, outcomes) })
}

func recordOutcomes(ctx context.Context, tx *sqlx.Tx, outcomes []SendResult) error {
	if err := forceIndexScan(ctx, tx); err != nil {
		return err
	}
	watched, err := watchRefusals(ctx, tx, outcomes)
	if err != nil {
		return err
	}
	outcomes = slices.Clone(outcomes) // the transaction may be repeated
	refused, err := readRefusals(ctx, tx, outcomes)
	if err != nil {
		return err
	}
	touched := refused.others
	for _, o := range outcomes {
		touched = append(touched, o.UserID)
	}
	if err := lockImportsOf(ctx, tx, uuids(touched, itsID)); err != nil {
		return err
	}
	if err := settle(ctx, tx, outcomes); err != nil {
		return err
	}
	if watched && slices.ContainsFunc(outcomes, wasSent) {
		if err := clearRefusals(ctx, tx); err != nil {
			return err
		}
	}
	if len(refused.all) == 0 {
		return nil
	}
	if err := refused.note(ctx, tx); err != nil {
		return err
	}
	return refused.judge(ctx, tx)
}

// settle writes outcomes into the outboxes and counts them. The imports are locked.
func settle(ctx context.Context, tx *sqlx.Tx, outcomes []SendResult) error {
	outcomes, reminders := splitReminders(outcomes)
	if len(outcomes) == 0 {
		return settleReminders(ctx, tx, reminders)
	}
	var moves []statusChange
	if err := tx.SelectContext(ctx, &moves, settleInvitations,
		uuids(outcomes, outcomeUser),
		bigints(outcomes, func(o *SendResult) int64 { return int64(o.Dispatch) }),
		texts(outcomes, func(o *SendResult) string { return string(o.Status) }),
		bigints(outcomes, func(o *SendResult) int64 { return o.Wait.Microseconds() }),
		bigints(outcomes, func(o *SendResult) int64 { return count(o.Unknown) }),
		bigints(outcomes, func(o *SendResult) int64 { return count(o.Spared) }),
		texts(outcomes, func(o *SendResult) string { return roster.TruncateValue(o.Error) }),
		bigints(outcomes, func(o *SendResult) int64 { return int64(o.Generation) }),
		uuids(outcomes, outcomeWorker)); err != nil {
		return err
	}
	if err := countMoves(ctx, tx, moves); err != nil {
		return err
	}
	return settleReminders(ctx, tx, reminders)
}

func outcomeUser(o *SendResult) uuid.UUID   { return o.UserID }
func outcomeWorker(o *SendResult) uuid.UUID { return o.Worker }

// settles is true if an outcome o counts for the outbox's entry i, whose dispatch it
// has: its claim is the last one, or the mail is out.
const settles = `
		(o.status = 'sent' OR i.claimed_by IS NOT DISTINCT FROM NULLIF(o.worker, '00000000-0000-0000-0000-000000000000'))`

// settleInvitations looks up each by its user; see [takeInvitations]. An invitation
// that never began to live was claimed in commits that a failover has lost: it is
// sent again.
const settleInvitations = `
		WITH settled AS (
			UPDATE invitations i
			   SET status = o.status, dispatch = i.dispatch + 1, claimed_until = NULL,
			       due_at = now() + o.wait * interval '1 microsecond',
			       sent_at = CASE WHEN o.status = 'sent' THEN now() END,
			       attempts = i.attempts - o.spared, ambiguous_sends = i.ambiguous_sends + o.unknown,
			       last_error = CASE WHEN o.spared > 0 AND o.words = '' THEN i.last_error ELSE NULLIF(o.words, '') END,
			       updated_at = now()
			  FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[], $9::uuid[])
			    AS o (user_id, dispatch, status, wait, unknown, spared, words, generation, worker)
			 WHERE i.user_id = o.user_id AND CASE i.status WHEN 'pending' THEN i.dispatch = o.dispatch AND ` + settles + `
			       AND (o.status <> 'sent' OR i.expires_at IS NOT NULL) END
			RETURNING i.user_id, o.generation, i.import_id, i.status
		), unmarked AS (
			DELETE FROM invitation_handoffs h USING settled
			 WHERE h.user_id = settled.user_id AND h.generation = settled.generation
		)
		SELECT import_id, 'pending' AS old, status AS new, count(*) AS n
		  FROM settled WHERE import_id IS NOT NULL AND status <> 'pending' GROUP BY import_id, status`

func count(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
