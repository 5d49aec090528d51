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

// databaseWait is how long a program waits at startup for a database that is
// itself starting.
const databaseWait = 30 * time.Second

// OpenStore connects and requires a current schema. It waits for a database
// that is not responding, but not for one that refuses the connection or has
// another schema: those need a configuration change or `rollcall migrate`.
func OpenStore(ctx context.Context, cfg config.Config, application string, conns int, log *slog.Logger) (*storage.Store, error) {
	store, err := storage.Open(cfg.DatabaseURL.Reveal(), storage.Options{MaxConns: conns, Application: application, ListenURL: cfg.DatabaseListenURL.Reveal()})
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
			err = store.CheckServer(ctx)
		}
		if err == nil {
			err = migrations.Check(ctx, store.DB())
		}
		if err == nil || errors.Is(err, migrations.ErrNotCurrent) || errors.Is(err, migrations.ErrPreRelease) || errors.Is(err, storage.ErrRefused) {
			return err
		}
		log.Warn("database not responding yet; retrying", "error", err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("the database did not answer: %w", err)
		case <-time.After(wait):
		}
	}
}
