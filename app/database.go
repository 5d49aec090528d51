package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"rollcall/config"
	"rollcall/migrations"
	"rollcall/storage"
)

// databaseWait is how long a program waits at its start for a database that is
// itself starting.
const databaseWait = 30 * time.Second

// openStore connects and insists on a current schema. A database that does not
// answer is waited for. One that refuses us is not, nor one without the schema:
// somebody has to mend the configuration, or run `rollcall migrate`.
func openStore(ctx context.Context, cfg config.Config, application string, conns int, log *slog.Logger) (*storage.Store, error) {
	store, err := storage.Open(cfg.DatabaseURL.Reveal(), storage.Options{MaxConns: conns, Application: application})
	if err != nil {
		return nil, err
	}
	if err := awaitSchema(ctx, store, log); err != nil {
		store.Close()
		return nil, err
	}
	return store, nil
}

func awaitSchema(ctx context.Context, store *storage.Store, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, databaseWait)
	defer cancel()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := store.Ping(ctx)
		if err == nil {
			err = migrations.Check(ctx, store.DB())
		}
		if err == nil || errors.Is(err, migrations.ErrNotCurrent) || errors.Is(err, storage.ErrRefused) {
			return err
		}
		log.Warn("the database does not answer yet", "error", err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("the database did not answer: %w", err)
		case <-time.After(wait):
		}
	}
}
