package cli

import (
	"context"
	"time"

	"rollcall/app"
	"rollcall/config"
	"rollcall/migrations"
	"rollcall/roster"
	"rollcall/storage"
)

// databaseTimeout bounds a command that asks the database for something small.
const databaseTimeout = 30 * time.Second

// operator is who the audit log names for what a command changes: somebody with
// the database's password.
func operator() storage.Entry {
	return storage.Entry{Actor: roster.Actor{Kind: roster.ActorSystem, Label: "command line"}}
}

// settings reads the environment of a command and warns of links that others
// could read.
func settings(console Console, load func(environ []string) (config.Config, error)) (config.Config, error) {
	cfg, err := load(console.Environ)
	if err == nil {
		cfg.WarnExposed(cfg.Logger(console.Stderr, app.IsTerminal(console.Stderr)))
	}
	return cfg, err
}

// connect makes a store; it does not ask whether the database is there.
func connect(cfg config.Config) (*storage.Store, error) {
	return storage.Open(cfg.DatabaseURL.Reveal(), storage.Options{MaxConns: 2, Application: "rollcall"})
}

// withStore does one small thing on a database whose schema is current.
func withStore(ctx context.Context, cfg config.Config, do func(context.Context, *storage.Store) error) error {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	store, err := connect(cfg)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := store.Ping(ctx); err != nil {
		return err
	}
	if err := migrations.Check(ctx, store.DB()); err != nil {
		return err
	}
	return do(ctx, store)
}

// moment writes a time as the operator's clock has it.
func moment(t time.Time) string { return t.Local().Format("2006-01-02 15:04 MST") }

// momentOr writes a time, or a word where there is none.
func momentOr(t *time.Time, none string) string {
	if t == nil {
		return none
	}
	return moment(*t)
}
