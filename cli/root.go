// Package cli is the rollcall command, for administrators and operators. Each
// command reads the part of the environment it needs, reports what it did on
// standard output and errors, as one readable block, on standard error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/app"
)

// Console is a command's access to its environment and streams.
type Console struct {
	Environ        []string // as os.Environ returns it
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Main runs the command in args, which exclude the program's name, and returns
// the exit code: 0 success, 1 failure; see exit for others. The
// first SIGINT or SIGTERM cancels the command, the second exits at once.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := app.Signals(ctx)
	defer stop()
	return Run(ctx, args, Console{os.Environ(), stdin, stdout, stderr})
}

// Run is Main without the process around it: it takes the environment from the
// console and does not handle signals.
func Run(ctx context.Context, args []string, console Console) int {
	root := newRoot(console)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if code, ok := errors.AsType[exit](err); ok {
		return int(code)
	}
	if err != nil {
		explain(console.Stderr, err)
		return 1
	}
	return 0
}

// exit ends a command that has already printed its errors with this code.
type exit int

const (
	exitFailed     exit = 1 // not done
	exitRowsFailed exit = 2 // an import is done, but for some rows
	exitHeld       exit = 3 // an import waits for the approval of an administrator
)

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func newRoot(console Console) *cobra.Command {
	root := group(&cobra.Command{
		Use:   "rollcall",
		Short: "Bulk user import from CSV files",
		Long: `Rollcall creates users from a CSV file and invites them by email.

Every environment variable NAME can also be given as NAME_FILE, the path of a file
that contains the value.`,
		Version:       version(),
		SilenceErrors: true, // Run explains them
		SilenceUsage:  true,
	})
	root.SetIn(console.Stdin)
	root.SetOut(console.Stdout)
	root.SetErr(console.Stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError{cmd.CommandPath(), err.Error()} })
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(
		newBounce(console),
		newDev(console),
		newHealth(),
		newImport(console),
		newMan(console),
		newMigrate(console),
		newToken(console),
		newUser(console),
	)
	return root
}

// group makes a command that only has subcommands.
func group(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(commands...)
	cmd.Args = cobra.ArbitraryArgs
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		message := fmt.Sprintf("unknown command %q", args[0])
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			message += "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return usageError{cmd.CommandPath(), message}
	}
	return cmd
}

// usageError is an invalid command line.
type usageError struct {
	command string // whose help to suggest
	message string
}

func (e usageError) Error() string { return e.message }

// exactArgs requires exactly these arguments.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usageError{cmd.CommandPath(), "missing argument " + names[len(args)]}
		case len(args) > len(names):
			return usageError{cmd.CommandPath(), fmt.Sprintf("unexpected argument %q", args[len(names)])}
		}
		return nil
	}
}

// requireFlags requires flags that have no default.
func requireFlags(cmd *cobra.Command, flags ...string) error {
	for _, name := range flags {
		if !cmd.Flags().Changed(name) {
			return usageError{cmd.CommandPath(), "missing flag --" + name}
		}
	}
	return nil
}

// version describes the build of the program: the version it was released as, or
// else what Go knows.
func version() string {
	if app.Version != app.Unreleased {
		return "rollcall " + app.Version + " " + runtime.Version()
	}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "rollcall (unknown version)"
	}
	setting := map[string]string{}
	for _, s := range build.Settings {
		setting[s.Key] = s.Value
	}
	text := "rollcall " + build.Main.Version
	if revision := setting["vcs.revision"]; revision != "" && !strings.Contains(build.Main.Version, revision[:min(12, len(revision))]) {
		text += " " + revision[:min(12, len(revision))]
	}
	return text + " " + build.GoVersion
}
