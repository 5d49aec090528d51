package storage

import (
	"context"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// AddRowErrors stores failed rows and counts them.
func (s *Store) AddRowErrors(ctx context.Context, id uuid.UUID, rowErrors ...roster.RowError) error {
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := insertRowErrors(ctx, tx, id, rowErrors); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE imports SET failed = failed + $2 WHERE id = $1`, id, len(rowErrors))
		return err
	})
}

// StatsQueries are those a scrape asks, by name.
func StatsQueries() map[string]string {
	return map[string]string{"imports": selectImports, "single": selectSingle, "waiting": selectWaiting, "due": selectDue, "lag": selectWebhookLag}
}

// Translated is what a method returns where the driver returns err.
func Translated(err error) error {
	translate(&err, "ask")
	return err
}
