package cli

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rollcall/config"
	"rollcall/migrations"
	"rollcall/storage"
)

func newMigrate(console Console) *cobra.Command {
	migrate := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database schema up to date",
		Long: `Applies the migrations the database of DATABASE_URL lacks, each in a transaction
of its own. Several can be started at once: one works, the others wait for it, up
to five minutes. A database that has them all is left as it is.

Where api and worker connect as a role that does not own the tables, name it in
ROLLCALL_APP_ROLE: it is granted what they need and no more, after each run anew.`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error { return migrateUp(cmd, console) },
	}
	migrate.AddCommand(&cobra.Command{
		Use:   "status",
		Short: "List the migrations and which of them are applied",
		Long: `Lists the migrations this program knows and when each was applied. The exit code
is 0 when all are, and 1 when some are not or the database cannot be asked. It
changes nothing.`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error { return migrateStatus(cmd, console) },
	})
	return migrate
}

// migrationLock is how long a migration waits for a lock before it gives way and
// is tried again: everybody else waits behind it. It is below PostgreSQL's
// deadlock_timeout of a second, so that of two who wait for each other it is not
// the import that has to go.
const migrationLock = 500 * time.Millisecond

func migrateUp(cmd *cobra.Command, console Console) error {
	cfg, err := settings(console, config.LoadMigrate)
	if err != nil {
		return err
	}
	store, err := storage.Open(cfg.DatabaseURL.Reveal(), storage.Options{MaxConns: 2, Application: "rollcall", LockTimeout: migrationLock})
	if err != nil {
		return err
	}
	defer store.Close()
	if err := store.Ping(cmd.Context()); err != nil {
		return err
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
		fmt.Fprintf(console.Stdout, "Role %s has what api and worker need.\n", cfg.AppRole)
	}
	fmt.Fprintln(console.Stdout, "The schema is current.")
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
		fmt.Fprintln(console.Stderr, counted(int64(pending), "migration", "migrations")+" pending: run 'rollcall migrate'.")
		return exitFailed
	}
	return nil
}
