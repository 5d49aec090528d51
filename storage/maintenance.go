package storage

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// StalledImport is an import that should be in hand and is not.
type StalledImport struct {
	ID       uuid.UUID `db:"id"`
	Dispatch int64     `db:"dispatch"` // of its last task
}

// StalledImports lists imports that nobody holds although there is work, and
// whose last task was rung longer ago than after: the task may be lost.
func (s *Store) StalledImports(ctx context.Context, after time.Duration, limit int) (overdue []StalledImport, err error) {
	defer translate(&err, "list overdue imports")
	err = s.db.SelectContext(ctx, &overdue, `
		SELECT id, dispatch FROM imports
		 WHERE status IN ('queued', 'checking', 'importing')
		   AND (lease_until IS NULL OR lease_until <= clock_timestamp())
		   AND (enqueued_at IS NULL OR enqueued_at <= clock_timestamp() - make_interval(secs => $1))
		 ORDER BY id LIMIT $2`, seconds(after), limit)
	return overdue, err
}

// NextDispatch numbers a new task for an overdue import. [ErrNotClaimable] if
// another sweeper did so first.
func (s *Store) NextDispatch(ctx context.Context, o StalledImport) (dispatch int64, err error) {
	defer translate(&err, "ring import %s again", o.ID)
	r, err := s.db.ExecContext(ctx, `
		UPDATE imports SET dispatch = dispatch + 1, enqueued_at = clock_timestamp() WHERE id = $1 AND dispatch = $2`, o.ID, o.Dispatch)
	if err != nil {
		return 0, err
	}
	return o.Dispatch + 1, affectedOne(r, ErrNotClaimable)
}

// ClaimPeriod reports whether the caller is the one to do the named upkeep of this
// period: of all workers that ask, one is told true.
func (s *Store) ClaimPeriod(ctx context.Context, name string, period time.Duration) (mine bool, err error) {
	defer translate(&err, "take tick %s", name)
	// One statement: idle workers ask several times a second.
	err = s.db.GetContext(ctx, &mine, `
		WITH mine AS (
			INSERT INTO maintenance_runs (name, period_start) VALUES ($1, date_bin(make_interval(secs => $2), clock_timestamp(), 'epoch'))
			ON CONFLICT DO NOTHING RETURNING name
		), over AS (
			DELETE FROM maintenance_runs
			 WHERE name = $1 AND period_start < clock_timestamp() - 2 * make_interval(secs => $2) AND EXISTS (SELECT FROM mine)
		)
		SELECT EXISTS (SELECT FROM mine)`, name, seconds(period))
	return mine, err
}

// purgeChunks is how many chunks, or blocks of errors, one transaction of a purge
// deletes: small enough never to be in an import's way.
const purgeChunks = 64

// purgeUsers is how many users one transaction of a purge forgets the changes of.
const purgeUsers = 5_000

// unusedRetention is how long the file of an import is kept that was canceled or
// failed, unless retention is shorter: time enough to read it again.
const unusedRetention = 24 * time.Hour

// PurgeImport takes one step of retention: it removes a few chunks of one
// import that ended longer ago than retention, or longer ago than a day without
// being completed; or, once they are gone, its failed rows and what else came from
// the file: its name, header, mappings and values, and the words of warnings and failure.
// Counts stay. done is true when nothing is left to purge. Dry runs that were not
// confirmed in the time of retention are canceled first.
func (s *Store) PurgeImport(ctx context.Context, retention time.Duration) (done bool, err error) {
	defer translate(&err, "purge import")
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := cancelUnconfirmed(ctx, tx, retention); err != nil {
			return err
		}
		var ids []uuid.UUID
		if err := tx.SelectContext(ctx, &ids, `
			SELECT id FROM imports
			 WHERE purged_at IS NULL AND finished_at IS NOT NULL
			   AND (undo_requested_at IS NULL OR undo_finished_at IS NOT NULL)
			   AND finished_at <= now() - make_interval(secs => CASE WHEN status = 'completed' THEN $1::float8 ELSE $2::float8 END)
			 ORDER BY finished_at LIMIT 1 FOR UPDATE SKIP LOCKED`, seconds(retention), seconds(min(retention, unusedRetention))); err != nil {
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
		 WHERE status IN ('ready', 'held') AND created_at <= now() - make_interval(secs => $1)
		RETURNING id`, seconds(retention)); err != nil {
		return err
	}
	for _, id := range ids {
		if err := blankDeferred(ctx, tx, id); err != nil {
			return err
		}
		if err := announceEnd(ctx, tx, id); err != nil {
			return err
		}
	}
	return nil
}

// withoutDetails takes from an import what came from the file or its sender:
// codes and counts stay.
const withoutDetails = `
	filename = '(deleted)', header = NULL, mapping = NULL, value_map = NULL, role_values = NULL, sheet = '', workbook = NULL,
	failure = CASE WHEN failure IS NOT NULL THEN jsonb_build_object('code', failure->'code', 'message', 'The details were deleted.', 'fix', failure->'fix') END,
	warnings = (SELECT COALESCE(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
	                'code', w->'code', 'message', 'The details were deleted.', 'rows', w->'rows', 'encoding', w->'encoding'))), '[]')
	              FROM jsonb_array_elements(warnings) w)`

func purgeStep(ctx context.Context, tx *sqlx.Tx, id uuid.UUID) error {
	if done, err := deleteChunks(ctx, tx, id); err != nil || !done {
		return err // more next time
	}
	if done, err := deleteSheetChunks(ctx, tx, id); err != nil || !done {
		return err
	}
	if _, err := tx.ExecContext(ctx, `
		UPDATE imports SET error_counts = (
		       SELECT jsonb_object_agg(key, n)
		         FROM (SELECT c.key, sum(c.value::bigint) AS n FROM import_errors e, jsonb_each_text(e.counts) c WHERE e.import_id = $1 GROUP BY c.key) all_counts)
		 WHERE id = $1 AND error_counts IS NULL`, id); err != nil {
		return err
	}
	r, err := tx.ExecContext(ctx, `
		DELETE FROM import_errors WHERE import_id = $1
		   AND first_row IN (SELECT first_row FROM import_errors WHERE import_id = $1 ORDER BY first_row LIMIT $2)`, id, purgeChunks)
	if err != nil {
		return err
	}
	if n, _ := r.RowsAffected(); n == purgeChunks {
		return nil
	}
	for _, query := range []string{
		`DELETE FROM import_updates WHERE import_id = $1
		    AND row IN (SELECT row FROM import_updates WHERE import_id = $1 ORDER BY row LIMIT $2)`,
		`DELETE FROM import_missing WHERE import_id = $1
		    AND n IN (SELECT n FROM import_missing WHERE import_id = $1 ORDER BY n LIMIT $2)`,
	} {
		r, err := tx.ExecContext(ctx, query, id, purgeUsers)
		if err != nil {
			return err
		}
		if n, _ := r.RowsAffected(); n == purgeUsers {
			return nil
		}
	}
	for _, query := range []string{
		`DELETE FROM import_row_offsets WHERE import_id = $1`,
		`DELETE FROM import_actions WHERE import_id = $1`,
		`DELETE FROM import_row_keys WHERE import_id = $1`,
		`DELETE FROM import_edits WHERE import_id = $1`,
		`DELETE FROM import_deferred_rows WHERE import_id = $1`,
		`DELETE FROM idempotency_keys WHERE import_id = $1`,
		`UPDATE imports SET purged_at = now(), ` + withoutDetails + ` WHERE id = $1`,
	} {
		if _, err := tx.ExecContext(ctx, query, id); err != nil {
			return err
		}
	}
	return nil
}

// PurgeSessions removes sessions that are over.
func (s *Store) PurgeSessions(ctx context.Context) (err error) {
	defer translate(&err, "remove sessions that are over")
	_, err = s.db.ExecContext(ctx, `DELETE FROM sessions WHERE expires_at <= now()`)
	return err
}
