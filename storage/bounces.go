package storage

import (
	"bytes"
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// bounced is true of an invitation i whose mail came back. It is a kind of failed, so
// that programs of the version before this one count and resend it as one: counters
// stay exact while both run.
const (
	bounced    = `(i.status = 'failed' AND i.bounced_generation = i.generation)`
	notBounced = `(i.status <> 'failed' OR i.bounced_generation IS DISTINCT FROM i.generation)`
)

// Bounce is a mail that came back, or is late.
type Bounce struct {
	UserID     uuid.UUID
	Generation int32  // of the invitation that was mailed
	Permanent  bool   // it will never arrive; false: the mail server goes on trying
	Reason     string // the words of the mail server that returned it
}

// BounceResult is what became of a [Bounce].
type BounceResult string

// The results of a [Bounce].
const (
	BounceRecorded BounceResult = "bounced" // the invitation is bounced now
	BounceDelayed  BounceResult = "delayed" // not permanent: noted
	BounceIgnored  BounceResult = "ignored" // repeated, or the invitation has moved on: accepted, sent afresh, revoked
	// BounceEarly: a worker is still recording that it sent the mail. The report has to
	// be delivered again, some seconds later.
	BounceEarly BounceResult = "early"
)

// RecordBounces records mails that came back, in one transaction, and returns what
// became of each. Only an invitation that waits for its person changes: one that was
// accepted meanwhile shows that its mail arrived.
func (s *Store) RecordBounces(ctx context.Context, bounces []Bounce) (results []BounceResult, err error) {
	defer translate(&err, "record %d bounces", len(bounces))
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		results, err = recordBounces(ctx, tx, bounces)
		return err
	})
	return results, err
}

// mailedInvitation is what decides about a bounce.
type mailedInvitation struct {
	UserID     uuid.UUID               `db:"user_id"`
	Status     roster.InvitationStatus `db:"status"`
	Generation int32                   `db:"generation"`
	Sending    bool                    `db:"sending"`
}

func recordBounces(ctx context.Context, tx *sqlx.Tx, bounces []Bounce) ([]BounceResult, error) {
	ids := uuids(bounces, func(b *Bounce) uuid.UUID { return b.UserID })
	if err := lockImportsOf(ctx, tx, ids); err != nil {
		return nil, err
	}
	var mailed []mailedInvitation
	if err := tx.SelectContext(ctx, &mailed, `
		SELECT i.user_id, i.status, i.generation, i.status = 'pending' AND NOT `+unclaimed+` AS sending
		  FROM invitations i WHERE i.user_id = ANY($1::uuid[]) ORDER BY i.user_id FOR UPDATE`, ids); err != nil {
		return nil, err
	}
	byUser := map[uuid.UUID]*mailedInvitation{}
	for i := range mailed {
		byUser[mailed[i].UserID] = &mailed[i]
	}
	results := make([]BounceResult, len(bounces))
	var changes []Bounce
	for k, b := range bounces {
		results[k] = byUser[b.UserID].bounce(b)
		if results[k] == BounceRecorded || results[k] == BounceDelayed {
			changes = append(changes, b)
		}
	}
	if len(changes) == 0 {
		return results, nil
	}
	return results, writeBounces(ctx, tx, changes)
}

// bounce decides about one bounce, and keeps in mind that the next one of the same
// mail finds the invitation changed.
func (m *mailedInvitation) bounce(b Bounce) BounceResult {
	switch {
	case m == nil || m.Generation != b.Generation:
		return BounceIgnored
	case m.Sending:
		return BounceEarly
	case m.Status != roster.InvitationSent && m.Status != roster.InvitationPending:
		return BounceIgnored
	case b.Permanent:
		m.Status = roster.InvitationFailed
		return BounceRecorded
	default:
		return BounceDelayed
	}
}

// writeBounces writes the last change of each user. A pending invitation can bounce
// too: its mail was sent by a worker that never came to record it. It must not be sent
// again, so its task goes out of date.
func writeBounces(ctx context.Context, tx *sqlx.Tx, changes []Bounce) error {
	slices.SortStableFunc(changes, func(a, b Bounce) int { return bytes.Compare(a.UserID[:], b.UserID[:]) })
	last := changes[:0]
	for k, b := range changes {
		if k+1 == len(changes) || changes[k+1].UserID != b.UserID {
			last = append(last, b)
		}
	}
	var moves []statusChange
	if err := tx.SelectContext(ctx, &moves, `
		WITH old AS (
			SELECT i.user_id, i.status, b.permanent, b.reason
			  FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS b (user_id, permanent, reason)
			  JOIN invitations i ON i.user_id = b.user_id
		), written AS (
			UPDATE invitations i
			   SET status = CASE WHEN old.permanent > 0 THEN 'failed' ELSE i.status END,
			       bounced_generation = CASE WHEN old.permanent > 0 THEN i.generation ELSE i.bounced_generation END,
			       sent_at = CASE WHEN old.permanent > 0 THEN COALESCE(i.sent_at, now()) ELSE i.sent_at END,
			       claimed_until = CASE WHEN old.permanent > 0 THEN NULL ELSE i.claimed_until END,
			       dispatch = i.dispatch + old.permanent::integer, last_error = NULLIF(old.reason, ''), updated_at = now()
			  FROM old WHERE i.user_id = old.user_id
			RETURNING i.import_id, old.status AS old, i.status AS new
		)
		SELECT import_id, old, new, count(*) AS n FROM written WHERE import_id IS NOT NULL AND old <> new GROUP BY import_id, old, new`,
		uuids(last, func(b *Bounce) uuid.UUID { return b.UserID }),
		bigints(last, func(b *Bounce) int64 { return count(b.Permanent) }),
		texts(last, func(b *Bounce) string { return roster.TruncateValue(b.Reason) })); err != nil {
		return err
	}
	return countMoves(ctx, tx, moves)
}
