package storage

import (
	"context"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// retriesPerStep bounds one transaction of RetryFailedInvitations.
const retriesPerStep = 10_000

// RetriableInvitations tells which invitations there are to retry.
type RetriableInvitations struct {
	Failed  bool `db:"failed"`
	Bounced bool `db:"bounced"`
}

// RetriableInvitations reports whether there is anything to retry.
func (s *Store) RetriableInvitations(ctx context.Context) (r RetriableInvitations, err error) {
	defer translate(&err, "look for failed invitations")
	return r, s.db.GetContext(ctx, &r, `
		SELECT EXISTS (SELECT FROM invitations i WHERE status = 'failed' AND `+notBounced+`) AS failed,
		       EXISTS (SELECT FROM invitations i WHERE `+bounced+`) AS bounced`)
}

// RetryFailedInvitations sends fresh links to users of all imports whose
// invitation failed, and to those added by hand: to the next 10,000 whose id
// follows after. Those that bounced are left out unless bouncedToo: the next mail
// would come back as well. It returns how many, and the last id; uuid.Nil when none
// are left. Only the first call, after uuid.Nil, is audited, even if it finds none.
func (s *Store) RetryFailedInvitations(ctx context.Context, after uuid.UUID, bouncedToo bool, by AuditEntry) (n int64, last uuid.UUID, err error) {
	defer translate(&err, "retry failed invitations")
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		n, last = 0, uuid.Nil
		if after == uuid.Nil {
			if err := audit(ctx, tx, by.on("invitations.retry", "invitations", uuid.Nil)); err != nil {
				return err
			}
		}
		var users []uuid.UUID
		if err := tx.SelectContext(ctx, &users, `
			SELECT user_id FROM invitations i WHERE status = 'failed' AND user_id > $1 AND ($3 OR `+notBounced+`) ORDER BY user_id LIMIT $2`,
			after, retriesPerStep, bouncedToo); err != nil || len(users) == 0 {
			return err
		}
		if len(users) == retriesPerStep {
			last = users[len(users)-1]
		}
		ids := uuids(users, itsID)
		if err := lockImportsOf(ctx, tx, ids); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, noteReplaced+`i.user_id = ANY($1::uuid[]) AND i.status = 'failed'`, ids); err != nil {
			return err
		}
		var moves []statusChange
		if err := tx.SelectContext(ctx, &moves, `
			WITH old AS (
				SELECT user_id, status FROM invitations WHERE user_id = ANY($1::uuid[]) AND status = 'failed' ORDER BY user_id FOR UPDATE
			), fresh AS (`+refresh+`)
			SELECT COALESCE(import_id, '00000000-0000-0000-0000-000000000000') AS import_id, old, 'pending' AS new, count(*) AS n
			  FROM fresh GROUP BY import_id, old`, ids); err != nil {
			return err
		}
		kept := moves[:0]
		for _, m := range moves {
			if n += m.N; m.ImportID != uuid.Nil {
				kept = append(kept, m)
			}
		}
		return countMoves(ctx, tx, kept)
	})
	return n, last, err
}

// RetryAllFailedInvitations calls RetryFailedInvitations until none are left.
func (s *Store) RetryAllFailedInvitations(ctx context.Context, bouncedToo bool, by AuditEntry) (n int64, err error) {
	for after, more := uuid.Nil, true; more; more = after != uuid.Nil {
		var some int64
		if some, after, err = s.RetryFailedInvitations(ctx, after, bouncedToo, by); err != nil {
			return n, err
		}
		n += some
	}
	return n, nil
}
