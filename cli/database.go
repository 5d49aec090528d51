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

// databaseTimeout bounds a command that makes a short query.
const databaseTimeout = 30 * time.Second

// operator is the actor in the audit log for changes by commands: a person with
// the database password.
func operator() storage.AuditEntry {
	return storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorSystem, Label: "command line"}}
}

// settings reads the environment of a command and warns about connections that are
// not encrypted.
func settings(console Console, load func(environ []string) (config.Config, error)) (config.Config, error) {
	cfg, err := load(console.Environ)
	if err == nil {
		cfg.WarnInsecureLinks(cfg.Logger(console.Stderr, app.IsTerminal(console.Stderr)))
	}
	return cfg, err
}

// connect makes a store without checking that the database responds.
func connect(cfg config.Config) (*storage.Store, error) {
	return storage.Open(cfg.DatabaseURL.Reveal(), storage.Options{MaxConns: 2, Application: "rollcall"})
}

// withStore runs a short operation on a database whose schema is current.
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

// moment formats a time in the operator's time zone.
func moment(t time.Time) string { return t.Local().Format("2006-01-02 15:04 MST") }

// momentOr formats a time, or returns a word if there is none.
func momentOr(t *time.Time, none string) string {
	if t == nil {
		return none
	}
	return moment(*t)
}
