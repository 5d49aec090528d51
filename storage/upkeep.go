package storage

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// Overdue is an import that should be in hand and is not.
type Overdue struct {
	ID       uuid.UUID `db:"id"`
	Dispatch int64     `db:"dispatch"` // of its last task
}

// OverdueImports lists imports that nobody holds although there is work, and
// whose last task was rung longer ago than after: the task may be lost.
func (s *Store) OverdueImports(ctx context.Context, after time.Duration, limit int) (overdue []Overdue, err error) {
	defer translate(&err, "list overdue imports")
	err = s.db.SelectContext(ctx, &overdue, `
		SELECT id, dispatch FROM imports
		 WHERE status IN ('queued', 'checking', 'importing')
		   AND (lease_until IS NULL OR lease_until <= clock_timestamp())
		   AND (rung_at IS NULL OR rung_at <= clock_timestamp() - make_interval(secs => $1))
		 ORDER BY id LIMIT $2`, seconds(after), limit)
	return overdue, err
}

// RingAgain numbers a new task for an overdue import. [ErrNotClaimable] if
// another sweeper did so first.
func (s *Store) RingAgain(ctx context.Context, o Overdue) (dispatch int64, err error) {
	defer translate(&err, "ring import %s again", o.ID)
	r, err := s.db.ExecContext(ctx, `
		UPDATE imports SET dispatch = dispatch + 1, rung_at = clock_timestamp() WHERE id = $1 AND dispatch = $2`, o.ID, o.Dispatch)
	if err != nil {
		return 0, err
	}
	return o.Dispatch + 1, affectedOne(r, ErrNotClaimable)
}

// Tick reports whether the caller is the one to do the named upkeep of this
// period: of all workers that ask, one is told true.
func (s *Store) Tick(ctx context.Context, name string, period time.Duration) (mine bool, err error) {
	defer translate(&err, "take tick %s", name)
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		r, err := tx.ExecContext(ctx, `
			INSERT INTO ticks (name, tick) VALUES ($1, date_bin(make_interval(secs => $2), clock_timestamp(), 'epoch'))
			ON CONFLICT DO NOTHING`, name, seconds(period))
		if err != nil {
			return err
		}
		n, err := r.RowsAffected()
		if mine = n == 1; !mine || err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			DELETE FROM ticks WHERE name = $1 AND tick < clock_timestamp() - 2 * make_interval(secs => $2)`, name, seconds(period))
		return err
	})
	return mine, err
}

// purgeChunks is how many chunks one transaction of a purge deletes: small
// enough never to be in an import's way.
const purgeChunks = 64

// PurgeImport takes one step of retention: it removes a few chunks of one
// import that ended longer ago than retention, or, once they are gone, the
// values of its errors. done is true when nothing is left to purge. Dry runs
// nobody confirmed in that time are canceled first.
func (s *Store) PurgeImport(ctx context.Context, retention time.Duration) (done bool, err error) {
	defer translate(&err, "purge import")
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := cancelUnconfirmed(ctx, tx, retention); err != nil {
			return err
		}
		var ids []uuid.UUID
		if err := tx.SelectContext(ctx, &ids, `
			SELECT id FROM imports
			 WHERE purged_at IS NULL AND finished_at <= now() - make_interval(secs => $1)
			 ORDER BY finished_at LIMIT 1 FOR UPDATE SKIP LOCKED`, seconds(retention)); err != nil {
			return err
		}
		if done = len(ids) == 0; done {
			return nil
		}
		return purgeStep(ctx, tx, ids[0])
	})
	return done, err
}

// cancelUnconfirmed ends dry runs that nobody confirmed in time.
func cancelUnconfirmed(ctx context.Context, tx *sqlx.Tx, retention time.Duration) error {
	var ids []uuid.UUID
	if err := tx.SelectContext(ctx, &ids, `
		UPDATE imports SET status = 'canceled', finished_at = now()
		 WHERE status = 'ready' AND created_at <= now() - make_interval(secs => $1)
		RETURNING id`, seconds(retention)); err != nil {
		return err
	}
	for _, id := range ids {
		if err := announceEnd(ctx, tx, id); err != nil {
			return err
		}
	}
	return nil
}

func purgeStep(ctx context.Context, tx *sqlx.Tx, id uuid.UUID) error {
	r, err := tx.ExecContext(ctx, `
		DELETE FROM import_chunks WHERE import_id = $1
		   AND seq IN (SELECT seq FROM import_chunks WHERE import_id = $1 ORDER BY seq LIMIT $2)`, id, purgeChunks)
	if err != nil {
		return err
	}
	if n, _ := r.RowsAffected(); n == purgeChunks {
		return nil // more next time
	}
	r, err = tx.ExecContext(ctx, `
		UPDATE import_errors SET email = NULL, value = NULL,
		       also = (SELECT jsonb_agg(a - 'value') FROM jsonb_array_elements(also) a)
		 WHERE import_id = $1 AND row IN (
		       SELECT row FROM import_errors WHERE import_id = $1 AND (email IS NOT NULL OR value IS NOT NULL) ORDER BY row LIMIT 5000)`, id)
	if err != nil {
		return err
	}
	if n, _ := r.RowsAffected(); n == 5000 {
		return nil
	}
	for _, query := range []string{
		`DELETE FROM import_marks WHERE import_id = $1`,
		`DELETE FROM idempotency_keys WHERE import_id = $1`,
		`UPDATE imports SET purged_at = now() WHERE id = $1`,
	} {
		if _, err := tx.ExecContext(ctx, query, id); err != nil {
			return err
		}
	}
	return nil
}

// ForgetSessions removes sessions that are over.
func (s *Store) ForgetSessions(ctx context.Context) (err error) {
	defer translate(&err, "remove sessions that are over")
	_, err = s.db.ExecContext(ctx, `DELETE FROM sessions WHERE expires_at <= now()`)
	return err
}
