package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/client"
	"rollcall/config"
	"rollcall/roster"
)

// importOptions are the wishes of one import from the command line.
type importOptions struct {
	client.Options
	Report   string // where the error report goes; "": NAME-errors.csv in the current directory
	JSON     bool   // the import as JSON on standard output, and nothing else
	Anew     bool   // even if the same file was imported with the same options before
	NoWait   bool   // return once the file is committed
	anewHint string // how to make a new one all the same
	server   string // --url
	token    string // --token
	mapping  []string
}

// screen is where an import is shown.
type screen struct {
	Stdout io.Writer // the outcome
	Stderr io.Writer // the progress, and notes
}

func newImport(console Console) *cobra.Command {
	o := importOptions{anewHint: " --again makes a new one."}
	wait := true
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Import users from a CSV file through the API",
		Long: `Uploads a CSV file to the API, follows the import to its end and says what became
of it. The rows left out are saved as an error report: the file's own columns, and
what is wrong. Mend the cells and import the report itself.

FILE is a path, or - for standard input (which is kept in a temporary file until it
is sent). The same command can be repeated at any time: the same file with the same
options leads to the same import, never to a second one, and after an interruption
the command goes on following where the import is. Only what left nothing behind is
done again: a dry run, an import that failed, and one that was undone since. One that
was canceled is not: somebody meant it to stop. --again makes a new import in any
case.

The address of the API is ROLLCALL_URL or --url. The token is ADMIN_API_TOKEN, or
in the file that ADMIN_API_TOKEN_FILE names, or --token, which every user of this
machine can see in the list of processes.

Exit code: 0 every row is in (with --dry-run: is valid), 2 some rows are not,
1 the import failed, was canceled or could not be made. With --wait=false 0 means
that the file is committed.`,
		Example: `  rollcall import users.csv
  rollcall import users.csv --dry-run
  rollcall import --mapping email="E-Mail Address" --mapping name="Full name" staff.csv
  cat users.csv | rollcall import - --json | jq .imported`,
		Args: takes("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.NoWait = !wait
			if err := o.settle(); err != nil {
				return usageError{cmd.CommandPath(), err.Error()}
			}
			return importFile(cmd.Context(), console, args[0], o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.server, "url", "", "address of the API (default ROLLCALL_URL, else http://localhost:8080)")
	flags.StringVar(&o.token, "token", "", "API token (better: ADMIN_API_TOKEN_FILE)")
	flags.BoolVar(&o.DryRun, "dry-run", false, "only check every row; write nothing")
	flags.StringVar(&o.OnDuplicate, "on-duplicate", "", "what to do with addresses that have a user: skip or update (default skip)")
	flags.BoolVar(&o.NoInvitations, "no-invitations", false, "hold the invitations back until they are resent")
	flags.StringVar(&o.Encoding, "encoding", "", "encoding of the file, such as windows-1252, or auto (default UTF-8)")
	flags.StringVar(&o.Delimiter, "delimiter", "", "one of , ; tab | (default: found in the file)")
	flags.StringArrayVar(&o.mapping, "mapping", nil, "COLUMN=HEADER: which header holds the column; repeat it for more")
	flags.StringVar(&o.Report, "errors", "", "where to save the error report, replacing what is there (default NAME-errors.csv here, numbered if taken)")
	flags.BoolVar(&o.JSON, "json", false, "print the import as JSON and nothing else on standard output")
	flags.BoolVar(&wait, "wait", true, "wait for the end of the import")
	flags.BoolVar(&o.Anew, "again", false, "make a new import even if this file was imported with these options before")
	complete(cmd, "on-duplicate", string(roster.SkipDuplicates), string(roster.UpdateDuplicates))
	complete(cmd, "delimiter", ",", ";", "tab", "|")
	complete(cmd, "encoding", "utf-8", "utf-16", "windows-1252", "iso-8859-1", "macintosh", "auto")
	return cmd
}

// complete lets the shell offer the words of a flag.
func complete(cmd *cobra.Command, flag string, words ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic("cli: " + err.Error()) // the flag is misspelt above
	}
}

// settle checks what can be checked here and reads the mapping.
func (o *importOptions) settle() error {
	if _, ok := roster.ParseOnDuplicate(o.OnDuplicate); !ok {
		return errors.New("--on-duplicate must be skip or update")
	}
	if o.Report == "-" {
		return errors.New("--errors must be the path of a file")
	}
	for _, pair := range o.mapping {
		column, header, ok := strings.Cut(pair, "=")
		if column = strings.ToLower(strings.TrimSpace(column)); !ok || header == "" || !slices.Contains(roster.Columns[:], roster.Column(column)) {
			return errors.New(`--mapping must be COLUMN=HEADER, such as email="E-Mail Address"; columns are email, name, role and department`)
		}
		if _, twice := o.Mapping[column]; twice {
			return fmt.Errorf("--mapping names the column %s twice", column)
		}
		if o.Mapping == nil {
			o.Mapping = map[string]string{}
		}
		o.Mapping[column] = header
	}
	return nil
}

// importFile is the import command.
func importFile(ctx context.Context, console Console, path string, o importOptions) error {
	cfg, err := config.LoadImport(console.Environ)
	if err != nil {
		return err
	}
	if o.server == "" {
		o.server = cfg.ServerURL
	}
	if o.token == "" {
		o.token = cfg.AdminAPIToken.Reveal()
	}
	if o.token == "" {
		return errors.New("there is no API token: set ADMIN_API_TOKEN or ADMIN_API_TOKEN_FILE, or give --token")
	}
	source, err := openSource(path, console.Stdin)
	if err != nil {
		return err
	}
	defer source.Close()
	out := screen{console.Stdout, console.Stderr}
	progress := startProgress(out.Stderr)
	defer progress.stop()
	api, err := client.New(o.server, o.token, client.Config{UserAgent: userAgent(), Retrying: progress.retrying})
	if err != nil {
		return err
	}
	defer api.Close()
	if clear := inTheClear(api.Address()); clear && cfg.RequiresTLS() {
		return errors.New(api.Address() + " is not encrypted, and ROLLCALL_REQUIRE_TLS=yes wants that it is: begin ROLLCALL_URL or --url with https://")
	} else if clear {
		progress.note("Warning: " + api.Address() + " is not encrypted: the token and the file can be read on the way.")
	}
	i, err := runImport(ctx, api, source, o, progress, out)
	if err != nil {
		return err
	}
	return verdict(i)
}

// verdict is the exit code of an import.
func verdict(i *client.Import) error {
	switch {
	case i.Status == client.Failed || i.Status == client.Canceled:
		return exitFailed
	case i.Failed > 0 && i.Status.Settled():
		return exitRowsFailed
	default:
		return nil
	}
}

// runImport sends a file, follows the import to its end, shows how it goes and
// what became of it, and saves the error report. An import that ended badly is
// no error.
func runImport(ctx context.Context, api *client.Client, file *source, o importOptions, p *progress, out screen) (*client.Import, error) {
	i, err := send(ctx, api, file, o, p)
	if err != nil {
		return nil, err
	}
	if !o.NoWait {
		id := i.ID
		p.follow(i)
		if i, err = api.Follow(ctx, i, p.follow); err != nil {
			p.stop()
			fmt.Fprintf(out.Stderr, "The import goes on without this command: %s\n", pageOf(api, id))
			return nil, err
		}
	}
	p.stop()
	var saved report
	if i.Failed > 0 && i.Status.Settled() {
		saved = saveReport(ctx, api, i, o.Report, file)
	}
	if o.JSON {
		if saved.err != nil {
			fmt.Fprintln(out.Stderr, saved.sentence())
		}
		_, err := fmt.Fprintf(out.Stdout, "%s\n", strings.TrimSpace(string(i.Raw)))
		return i, err
	}
	_, err = io.WriteString(out.Stdout, summary(i, summaryFacts{
		file: file.name, report: saved.sentence(), page: pageOf(api, i.ID),
	}))
	return i, err
}

// send uploads the file under a key of its content, or finds the import that it
// has led to before.
func send(ctx context.Context, api *client.Client, file *source, o importOptions, p *progress) (*client.Import, error) {
	salt := ""
	if o.Anew {
		salt = time.Now().Format(time.RFC3339Nano)
	}
	content, err := file.open()
	if err != nil {
		return nil, err
	}
	key, err := api.Key(content, o.Options, salt)
	if err != nil {
		return nil, err
	}
	for {
		earlier, err := api.Find(ctx, key)
		if err != nil {
			return nil, err
		}
		if earlier == nil {
			break
		}
		on := "The import of this file on " + moment(earlier.CreatedAt)
		switch {
		case o.DryRun && earlier.Status.Settled():
			p.note("This file was checked before, on " + moment(earlier.CreatedAt) + ": it is checked again, against the users of now.")
		case earlier.Status == client.Failed:
			p.note(on + " failed: it is tried again.")
		case earlier.Undo != nil:
			p.note(on + " was undone: it is made again.")
			if earlier, err = api.FollowUndo(ctx, earlier); err != nil {
				return nil, err
			}
		default:
			p.note("This file was sent with these options before, on " + moment(earlier.CreatedAt) + ": this is that import." + o.anewHint)
			return earlier, nil
		}
		key = client.KeyAfter(key, earlier)
	}
	return api.Upload(ctx, client.Upload{
		Filename: file.name, Options: o.Options, Open: file.open, Size: file.size, Key: key,
		Sent: func(bytes int64) { p.sent(bytes, file.size) },
	})
}

// pageOf is where the admin panel shows an import.
func pageOf(api *client.Client, id string) string {
	return api.Address() + "/admin/imports/" + url.PathEscape(id)
}

// inTheClear reports whether what is sent there can be read on the way.
func inTheClear(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
}

// userAgent names the program and its version.
func userAgent() string {
	name, rest, _ := strings.Cut(version(), " ")
	v, _, _ := strings.Cut(rest, " ")
	return name + "/" + strings.Trim(v, "()")
}
