package storage

import (
	"context"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// mailWorkerMisses is how many looks in a row may find no heartbeat of a worker
// before its claims are free.
const mailWorkerMisses = 5

// unclaimed is true of an invitation i that no worker is sending: never claimed, for
// too long, or by a worker that is gone. The workers are read once, not for each
// invitation: otherwise PostgreSQL might read all invitations instead.
const unclaimed = `
		(i.claimed_until IS NULL OR i.claimed_until <= now() OR i.claimed_by IS NOT NULL AND i.claimed_by <> ALL (ARRAY(SELECT w.id FROM mail_workers w)))`

// AddMailWorker makes claims of this worker count.
func (s *Store) AddMailWorker(ctx context.Context, id uuid.UUID) (err error) {
	defer translate(&err, "add mail worker")
	_, err = s.db.ExecContext(ctx, `INSERT INTO mail_workers (id) VALUES ($1) ON CONFLICT DO NOTHING`, id)
	return err
}

// BeatMailWorker tells that the worker is alive. It returns false if the worker was
// given up: its claims are others' now.
func (s *Store) BeatMailWorker(ctx context.Context, id uuid.UUID) (alive bool, err error) {
	defer translate(&err, "renew mail worker")
	result, err := s.db.ExecContext(ctx, `UPDATE mail_workers SET beat = beat + 1 WHERE id = $1`, id)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// RemoveMailWorker frees what the worker has claimed.
func (s *Store) RemoveMailWorker(ctx context.Context, id uuid.UUID) (err error) {
	defer translate(&err, "remove mail worker")
	_, err = s.db.ExecContext(ctx, `DELETE FROM mail_workers WHERE id = $1`, id)
	return err
}

// RemoveDeadMailWorkers looks for heartbeats, and frees the claims of workers without
// any at this look and four before. It returns how many they are.
func (s *Store) RemoveDeadMailWorkers(ctx context.Context) (dead int64, err error) {
	defer translate(&err, "remove dead mail workers")
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, `
			UPDATE mail_workers SET missed = CASE WHEN beat = seen_beat THEN missed + 1 ELSE 0 END, seen_beat = beat`); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `DELETE FROM mail_workers WHERE missed >= $1`, mailWorkerMisses)
		if err != nil {
			return err
		}
		dead, err = result.RowsAffected()
		return err
	})
	return dead, err
}
