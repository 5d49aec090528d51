package cli

import (
	"cmp"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rollcall/config"
	"rollcall/internal/humanize"
	"rollcall/migrations"
	"rollcall/storage"
)

func newMigrate(console Console) *cobra.Command {
	migrate := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database schema up to date",
		Long: `Applies pending migrations to the database in DATABASE_URL, each in its own
transaction. It is safe to start several at once: one works, the others wait for it
for up to five minutes. A current database is not changed.

If api and worker connect as a role that does not own the tables, name it in
ROLLCALL_APP_ROLE: each run grants it exactly the privileges they need.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return migrateUp(cmd, console) },
	}
	migrate.AddCommand(&cobra.Command{
		Use:   "status",
		Short: "List the migrations and when each was applied",
		Long: `Lists all migrations and when each was applied. Changes nothing. Exit code 0: all are
applied; 1: some are pending, or the database is not available.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return migrateStatus(cmd, console) },
	})
	return migrate
}

// migrationLock is how long a migration waits for a lock before it gives up and
// is retried, because all other sessions wait behind it. It is below
// PostgreSQL's deadlock_timeout of one second, so that in a deadlock the
// migration fails and not the import.
const migrationLock = 500 * time.Millisecond

func migrateUp(cmd *cobra.Command, console Console) error {
	cfg, err := settings(console, config.LoadMigrate)
	if err != nil {
		return err
	}
	url := cmp.Or(cfg.DatabaseListenURL.Reveal(), cfg.DatabaseURL.Reveal())
	store, err := storage.Open(url, storage.Options{MaxConns: 2, Application: "rollcall", LockTimeout: migrationLock})
	if err != nil {
		return err
	}
	defer store.Close()
	if err := store.CheckServer(cmd.Context()); err != nil {
		return err
	}
	if store.Pooled() {
		return errors.New("migrations need a connection past the pooler: set DATABASE_LISTEN_URL to the server's own address")
	}
	names, err := migrations.Up(cmd.Context(), store.DB())
	if err != nil {
		return err
	}
	for _, name := range names {
		fmt.Fprintln(console.Stdout, "Applied "+name)
	}
	if cfg.AppRole != "" {
		if err := migrations.Grant(cmd.Context(), store.DB(), cfg.AppRole); err != nil {
			return err
		}
		fmt.Fprintf(console.Stdout, "Granted role %s the privileges that api and worker need.\n", cfg.AppRole)
	}
	fmt.Fprintln(console.Stdout, "The schema is up to date.")
	return nil
}

func migrateStatus(cmd *cobra.Command, console Console) error {
	cfg, err := settings(console, config.LoadMigrate)
	if err != nil {
		return err
	}
	store, err := connect(cfg)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := store.Ping(cmd.Context()); err != nil {
		return err
	}
	all, err := migrations.Status(cmd.Context(), store.DB())
	if err != nil {
		return err
	}
	pending := 0
	table := tabwriter.NewWriter(console.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MIGRATION\tAPPLIED")
	for _, m := range all {
		applied := "pending"
		if m.AppliedAt.IsZero() {
			pending++
		} else {
			applied = moment(m.AppliedAt)
		}
		fmt.Fprintf(table, "%s\t%s\n", m.Name, applied)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if pending > 0 {
		fmt.Fprintln(console.Stderr, humanize.Count(int64(pending), "migration", "migrations")+" pending: run 'rollcall migrate'.")
		return exitFailed
	}
	return nil
}
