package storage

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// UploadBudget is what is left of the bytes that a caller may store on a day.
type UploadBudget struct {
	Left  int64         // 0 or more
	Reset time.Duration // until the day is over, by the database's clock
}

// UploadBudget reads what a caller may still store today, of daily bytes in all.
func (s *Store) UploadBudget(ctx context.Context, who roster.Actor, daily int64) (b UploadBudget, err error) {
	defer translate(&err, "read the upload budget of %s", who.Key())
	var used, seconds int64
	err = s.db.QueryRowxContext(ctx, `
		SELECT COALESCE((SELECT bytes FROM upload_budgets
		                  WHERE actor_kind = $1 AND actor_id = $2 AND day = (clock_timestamp() AT TIME ZONE 'UTC')::date), 0),
		       86400 - extract(epoch FROM clock_timestamp())::bigint % 86400`, who.Kind, who.ID).Scan(&used, &seconds)
	if err != nil {
		return b, err
	}
	return UploadBudget{Left: max(0, daily-used), Reset: time.Duration(seconds) * time.Second}, nil
}

// spendBudget counts the bytes of a file. [ErrBudget] if that makes more than
// daily, unless that is 0.
func spendBudget(ctx context.Context, tx *sqlx.Tx, who roster.Actor, bytes, daily int64) error {
	r, err := tx.ExecContext(ctx, `
		INSERT INTO upload_budgets AS b (actor_kind, actor_id, day, bytes)
		SELECT $1, $2, (clock_timestamp() AT TIME ZONE 'UTC')::date, $3::bigint WHERE $4::bigint = 0 OR $3::bigint <= $4::bigint
		ON CONFLICT (actor_kind, actor_id, day) DO UPDATE SET bytes = b.bytes + EXCLUDED.bytes
		 WHERE $4::bigint = 0 OR b.bytes + EXCLUDED.bytes <= $4::bigint`, who.Kind, who.ID, bytes, daily)
	if err != nil {
		return err
	}
	return affectedOne(r, ErrBudget)
}

// PurgeUploadBudgets removes the counts of days that are over.
func (s *Store) PurgeUploadBudgets(ctx context.Context) (err error) {
	defer translate(&err, "remove upload budgets of the past")
	_, err = s.db.ExecContext(ctx, `DELETE FROM upload_budgets WHERE day < (clock_timestamp() AT TIME ZONE 'UTC')::date - 1`)
	return err
}
