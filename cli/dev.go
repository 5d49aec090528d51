package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"rollcall/app"
	"rollcall/client"
	"rollcall/config"
)

func newDev(console Console) *cobra.Command {
	return &cobra.Command{
		Use:   "dev [FILE]",
		Short: "Run everything here, to try it: database, queue, mailbox, API, panel and worker",
		Long: `Starts a private instance of Rollcall: a PostgreSQL of its own (from the binaries on
this machine), an in-process Redis, a mailbox that captures what is sent, the API, the
admin panel and a worker. Prints every address, the sign-in, an API token and a curl to
paste. With FILE it imports that file at once. It runs until Ctrl-C; what was imported
is there again at the next start.

ROLLCALL_DATA_DIR says where it keeps its data, ROLLCALL_LISTEN where it listens. If
this machine has no PostgreSQL, the database in DATABASE_URL is used.`,
		Example: "  rollcall dev\n  rollcall dev examples/users.csv",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{cmd.CommandPath(), "dev takes one file at most"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			file := ""
			if len(args) == 1 {
				file = args[0]
			}
			return dev(cmd.Context(), console, file)
		},
	}
}

// dev runs a private instance until ctx ends. Below this everything is the
// production code with a Config that was filled in here.
func dev(ctx context.Context, console Console, path string) (err error) {
	cfg, err := config.LoadDev(console.Environ)
	if err != nil {
		return err
	}
	var file *source
	if path != "" { // before anything starts: a wrong name needs no database
		if file, err = openSource(path, console.Stdin); err != nil {
			return err
		}
		defer file.Close()
	}
	fmt.Fprintln(console.Stderr, "Starting a private instance …")
	yard, err := startYard(ctx, console, &cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, yard.stop()) }()
	running, stopAll := context.WithCancel(ctx)
	defer stopAll()
	group, running := errgroup.WithContext(running)
	listens := make(chan net.Addr, 1)
	group.Go(func() error {
		return app.ServeAPI(running, cfg, app.Extras{Mailbox: mailbox{yard.mail}, OnListen: func(a net.Addr) { listens <- a }}, yard.log)
	})
	group.Go(func() error {
		worker := cfg
		worker.MetricsListen = "" // the API's port tells both
		return app.RunWorker(running, worker, yard.log)
	})
	group.Go(func() error { return yard.watch(running) })
	select {
	case <-listens:
		fmt.Fprint(console.Stdout, banner(cfg, yard))
		if file != nil {
			if err := tryFile(running, console, cfg, file); err != nil && running.Err() == nil {
				explain(console.Stderr, err)
			}
		}
		fmt.Fprintln(console.Stdout, "Running until Ctrl-C.")
	case <-running.Done():
	}
	err = group.Wait()
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		fmt.Fprintln(console.Stderr, "Stopped. What was imported is kept in "+cfg.DataDir+".")
		return nil
	}
	return err
}

// banner is every address and credential, and a curl to paste.
func banner(cfg config.Config, y *yard) string {
	token := cfg.AdminAPIToken.Reveal()
	var b strings.Builder
	line := func(label, value string) { fmt.Fprintf(&b, "  %-13s %s\n", label, value) }
	fmt.Fprintf(&b, "\n%s is running. Everything is on this machine only.\n\n", cfg.Brand)
	line("Admin panel", cfg.PublicURL+"/admin/users")
	line("Import page", cfg.PublicURL+"/admin/users/import")
	line("Sign-in", cfg.DevAdminEmail+"  "+cfg.DevAdminPassword.Reveal())
	line("Mailbox", cfg.PublicURL+"/dev/mail")
	line("API", cfg.PublicURL+"/api/admin/users/import")
	line("API docs", cfg.PublicURL+"/docs")
	line("API token", token)
	if cfg.MetricsListen != "" {
		line("Metrics", "http://"+cfg.MetricsListen+"/metrics")
	}
	line("PostgreSQL", y.databaseURL)
	line("Data and log", cfg.DataDir+", "+y.logPath)
	fmt.Fprintf(&b, `
Import a file from another terminal:

  curl -X POST %s/api/admin/users/import \
    -H "Authorization: Bearer %s" \
    -H "Content-Type: multipart/form-data" \
    -F "file=@examples/users.csv"

`, cfg.PublicURL, token)
	return b.String()
}

// mailsWithin is how long dev waits for the invitations of the file it was
// given, to tell that they are there.
const mailsWithin = 20 * time.Second

// tryFile imports the file as `rollcall import` would.
func tryFile(ctx context.Context, console Console, cfg config.Config, file *source) error {
	progress := startProgress(console.Stderr)
	defer progress.stop()
	api, err := client.New(cfg.PublicURL, cfg.AdminAPIToken.Reveal(), client.Config{UserAgent: userAgent(), Retrying: progress.retrying})
	if err != nil {
		return err
	}
	defer api.Close()
	reports := filepath.Join(cfg.DataDir, "reports")
	if err := os.MkdirAll(reports, 0o700); err != nil {
		return fmt.Errorf("make directory for error reports: %w", err)
	}
	o := importOptions{Report: filepath.Join(reports, strings.TrimSuffix(file.name, filepath.Ext(file.name))+"-errors.csv")}
	i, err := runImport(ctx, api, file, o, progress, screen{console.Stdout, console.Stderr})
	if err != nil || i.Imported == 0 {
		return err
	}
	return tellMails(ctx, console.Stdout, cfg, api, i)
}

// tellMails waits until the invitations are out.
func tellMails(ctx context.Context, out io.Writer, cfg config.Config, api *client.Client, i *client.Import) error {
	until := time.Now().Add(mailsWithin)
	for i.Invitations.Pending > 0 && time.Now().Before(until) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		var err error
		if i, err = api.Import(ctx, i.ID); err != nil {
			return err
		}
	}
	sent := i.Invitations.Sent + i.Invitations.Accepted
	fmt.Fprintf(out, "Mails: %s captured: %s/dev/mail\n\n", counted(sent, "invitation", "invitations"), cfg.PublicURL)
	return nil
}

// openLog begins to append to the instance's log: the terminal is for people.
func openLog(cfg config.Config, path string) (*slog.Logger, *os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open log: %w", err)
	}
	return cfg.Logger(file, true), file, nil
}
