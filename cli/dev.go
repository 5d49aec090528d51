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

	"rollcall/app/api"
	"rollcall/app/worker"
	"rollcall/client"
	"rollcall/config"
	"rollcall/internal/humanize"
)

func newDev(console Console) *cobra.Command {
	expose := false
	cmd := &cobra.Command{
		Use:   "dev [FILE]",
		Short: "Run a private instance to try Rollcall: database, queue, mailbox, API, admin panel and worker",
		Long: `Starts a private instance of Rollcall: its own PostgreSQL (from the binaries on this
machine), an in-process Redis, a mailbox that captures all email, the API, the admin
panel and a worker. Prints all URLs, the sign-in, an API token and a curl command.
With FILE, imports that file. Runs until Ctrl-C; the data is kept for the next start.

Data is stored in ROLLCALL_DATA_DIR. ROLLCALL_LISTEN is the listen address; to let
other machines connect, set it and add --expose. If this machine has no PostgreSQL, the
database in DATABASE_URL is used.`,
		Example: "  rollcall dev\n  rollcall dev examples/users.csv",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{cmd.CommandPath(), fmt.Sprintf("unexpected argument %q", args[1])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			file := ""
			if len(args) == 1 {
				file = args[0]
			}
			return dev(cmd.Context(), console, file, expose)
		},
	}
	cmd.Flags().BoolVar(&expose, "expose", false, "allow ROLLCALL_LISTEN and ROLLCALL_METRICS_LISTEN beyond this machine")
	return cmd
}

// dev runs a private instance until ctx ends. Everything below is production
// code with a Config that is filled in here.
func dev(ctx context.Context, console Console, path string, expose bool) (err error) {
	cfg, err := config.LoadDev(console.Environ)
	if err != nil {
		return err
	}
	if err := refuseExposed(cfg); err != nil && !expose {
		return err
	}
	var file *source
	if path != "" { // before anything starts, so that a wrong name fails early
		if file, err = openSource(path, console.Stdin); err != nil {
			return err
		}
		defer file.Close()
	}
	fmt.Fprintln(console.Stderr, "Starting a private instance …")
	yard, err := startDevStack(ctx, console, &cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, yard.stop()) }()
	running, stopAll := context.WithCancel(ctx)
	defer stopAll()
	group, running := errgroup.WithContext(running)
	listens := make(chan net.Addr, 1)
	group.Go(func() error {
		return api.Serve(running, cfg, api.DevOptions{Mailbox: mailbox{yard.mail}, OnListen: func(a net.Addr) { listens <- a }}, yard.log)
	})
	group.Go(func() error {
		workerConfig := cfg
		workerConfig.MetricsListen = "" // the API's port serves both
		return worker.Run(running, workerConfig, yard.log)
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
		fmt.Fprintln(console.Stderr, "Stopped. The data is kept in "+cfg.DataDir+".")
		return nil
	}
	return err
}

// refuseExposed returns an error if other machines could connect: a private
// instance shows its credentials and has production safeguards turned off.
func refuseExposed(cfg config.Config) error {
	for _, listener := range []struct{ variable, address string }{
		{"ROLLCALL_LISTEN", cfg.Listen}, {"ROLLCALL_METRICS_LISTEN", cfg.MetricsListen},
	} {
		if listener.address != "" && !loopback(listener.address) {
			return fmt.Errorf("%s=%s lets other machines connect, and rollcall dev is meant for this machine only: add --expose if you want that", listener.variable, listener.address)
		}
	}
	return nil
}

// loopback reports whether only this machine can connect to a listen address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// banner lists every address and credential, and a curl command to paste.
func banner(cfg config.Config, y *devStack) string {
	token := cfg.AdminAPIToken.Reveal()
	var b strings.Builder
	line := func(label, value string) { fmt.Fprintf(&b, "  %-13s %s\n", label, value) }
	reach := "Only this machine can connect."
	if refuseExposed(cfg) != nil {
		reach = "Other machines can connect (--expose): keep the credentials below to yourself."
	}
	fmt.Fprintf(&b, "\n%s is running. %s\n\n", cfg.Brand, reach)
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

// mailsWithin is how long dev waits for the invitations of the imported file
// before it reports on them.
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
		return fmt.Errorf("create directory for error reports: %w", err)
	}
	o := importOptions{Report: filepath.Join(reports, strings.TrimSuffix(file.name, filepath.Ext(file.name))+"-errors.csv")}
	i, err := runImport(ctx, api, file, o, progress, output{console.Stdout, console.Stderr})
	if err != nil || i.Imported == 0 {
		return err
	}
	return tellMails(ctx, console.Stdout, cfg, api, i)
}

// tellMails waits until the invitations are sent.
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
	fmt.Fprintf(out, "Mailbox: %s captured, see %s/dev/mail\n\n", humanize.Count(sent, "invitation", "invitations"), cfg.PublicURL)
	return nil
}

// openLog opens the instance's log; the terminal is kept for messages to the user.
func openLog(cfg config.Config, path string) (*slog.Logger, *os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open log: %w", err)
	}
	return cfg.Logger(file, true), file, nil
}
