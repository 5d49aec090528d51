package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"rollcall/client"
	"rollcall/config"
	"rollcall/roster"
)

// importOptions are the options of one import from the command line.
type importOptions struct {
	client.Options
	Report   string // where the error report goes; "": NAME-errors.csv in the current directory
	JSON     bool   // the import as JSON on standard output, and nothing else
	ForceNew bool   // even if the same file was imported with the same options before
	NoWait   bool   // return once the file is uploaded
	newHint  string // how to start a new import anyway
	server   string // --url
	token    string // --token
	mapping  []string
	valueMap string // --value-map: a file, or JSON
}

// output is where the progress and the result of an import are written.
type output struct {
	Stdout io.Writer // the result
	Stderr io.Writer // the progress, and notes
}

func newImport(console Console) *cobra.Command {
	o := importOptions{newHint: " To import it again, add --force-new."}
	wait := true
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Import users from a CSV file or a workbook through the API",
		Long: `Uploads a CSV file or a workbook (.xlsx, .ods) to the API, waits for the import to finish and prints a summary.
Failed rows are saved as an error report: the columns of the file, plus what is wrong
with each row. Fix the values in the report and import it.

FILE is a path, or - for standard input. Repeating a command is safe: the same file
with the same options never starts a second import. If a command was interrupted,
run it again to continue following the same import. Only dry runs, failed imports and
undone imports start over. Canceled imports don't; --force-new always starts a new
import.

The API address comes from --url or ROLLCALL_URL. The token comes from
ADMIN_API_TOKEN, the file named in ADMIN_API_TOKEN_FILE, or --token, which other users
of this machine can see in the process list.

Exit code: 0 all rows were imported (with --dry-run: are valid), 2 some rows failed,
1 the import failed, was canceled or couldn't be started, 3 the import is held because it
would disable more users than the safety limit allows; an administrator has to approve
it. With --wait=false, 0 means
the file was uploaded.`,
		Example: `  rollcall import users.csv
  rollcall import users.csv --dry-run
  rollcall import staff.xlsx --sheet "New hires" --header-row 3
  rollcall import --mapping email="E-Mail Address" --mapping name="Full name" staff.csv
  rollcall import staff.csv --profile hr-nightly
  rollcall import staff.csv --value-map '{"role": {"Manager": "admin", "Staff": "user"}}'
  cat users.csv | rollcall import - --json | jq .imported`,
		Args: exactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.NoWait = !wait
			if err := o.validate(); err != nil {
				return usageError{cmd.CommandPath(), err.Error()}
			}
			return importFile(cmd.Context(), console, args[0], o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.server, "url", "", "API address (default ROLLCALL_URL or http://localhost:8080)")
	flags.StringVar(&o.token, "token", "", "API token (prefer ADMIN_API_TOKEN_FILE)")
	flags.BoolVar(&o.DryRun, "dry-run", false, "check every row without importing anything")
	flags.StringVar(&o.OnDuplicate, "on-duplicate", "", "what to do if a user with the email address exists: skip or update (default skip)")
	flags.StringVar(&o.Blank, "blank", "", "what a blank cell does to an existing user: keep or clear the value (default keep)")
	flags.StringVar(&o.Source, "source", "", "system whose external_id values the file contains (default: the token's source)")
	flags.StringVar(&o.Missing, "missing", "", "what to do with users of the source who are not in the file: keep or disable (default keep)")
	flags.StringVar(&o.MaxDisable, "max-disable", "", "how many users may be disabled without approval: a number or a percentage (default: the server's)")
	flags.BoolVar(&o.NoInvitations, "no-invitations", false, "don't send invitations yet; hold them until resent")
	flags.StringVar(&o.Encoding, "encoding", "", "file encoding, such as windows-1252, or auto (default UTF-8)")
	flags.StringVar(&o.Delimiter, "delimiter", "", "delimiter: , ; tab or | (default: detected)")
	flags.StringVar(&o.Sheet, "sheet", "", "sheet of a workbook (default: the first visible one with cells)")
	flags.Int64Var(&o.HeaderRow, "header-row", 0, "row with the names of the columns (default: the first that isn't blank)")
	flags.StringArrayVar(&o.mapping, "mapping", nil, "COLUMN=HEADER: header in the file that contains the column; repeat it for more columns, and for a name in two")
	flags.StringVar(&o.valueMap, "value-map", "", `what values in the file mean: JSON such as {"role": {"Manager": "admin"}}, or a file with it`)
	flags.StringVar(&o.Profile, "profile", "", "import profile on the server that sets the options not given here")
	flags.StringVar(&o.Report, "errors", "", "where to save the error report, overwriting an existing file; a workbook if it ends in .xlsx (default NAME-errors.csv, numbered if it exists)")
	flags.BoolVar(&o.JSON, "json", false, "print only the import as JSON on standard output")
	flags.BoolVar(&wait, "wait", true, "wait for the import to finish")
	flags.BoolVar(&o.ForceNew, "force-new", false, "start a new import even if this file was imported with these options before")
	flags.BoolVar(&o.ForceNew, "again", false, "former name of --force-new")
	if err := flags.MarkHidden("again"); err != nil {
		panic("cli: " + err.Error()) // the flag is misspelled above
	}
	complete(cmd, "on-duplicate", string(roster.SkipDuplicates), string(roster.UpdateDuplicates))
	complete(cmd, "missing", string(roster.MissingKeep), string(roster.MissingDisable))
	complete(cmd, "blank", string(roster.BlankKeep), string(roster.BlankClear))
	complete(cmd, "delimiter", ",", ";", "tab", "|")
	complete(cmd, "encoding", "utf-8", "utf-16", "windows-1252", "iso-8859-1", "macintosh", "auto")
	return cmd
}

// complete adds shell completion for the values of a flag.
func complete(cmd *cobra.Command, flag string, words ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic("cli: " + err.Error()) // the flag is misspelled above
	}
}

// validate checks the options that can be checked locally and parses the
// mapping.
func (o *importOptions) validate() error {
	if _, ok := roster.ParseOnDuplicate(o.OnDuplicate); !ok {
		return errors.New("--on-duplicate must be skip or update")
	}
	if _, ok := roster.ParseBlank(o.Blank); !ok {
		return errors.New("--blank must be keep or clear")
	}
	if missing, ok := roster.ParseMissing(o.Missing); !ok {
		return errors.New("--missing must be keep or disable")
	} else if missing == roster.MissingDisable && o.OnDuplicate != string(roster.UpdateDuplicates) && (o.Profile == "" || o.OnDuplicate != "") {
		return errors.New("--missing disable requires --on-duplicate update")
	}
	if o.MaxDisable != "" && !roster.ValidMaxDisable(o.MaxDisable) {
		return errors.New("--max-disable must be a whole number of users or a percentage, such as 20%")
	}
	if o.Source != "" && !roster.ValidSource(o.Source) {
		return errors.New("--source must have 1 to 64 letters, digits, dots, underscores or hyphens, and start with a letter or digit")
	}
	if o.Profile != "" && !roster.ValidProfileName(o.Profile) {
		return errors.New("--profile must have 1 to 64 letters, digits, dots, underscores or hyphens, and start with a letter or digit")
	}
	if err := o.readValueMap(); err != nil {
		return err
	}
	if o.HeaderRow < 0 || o.HeaderRow > roster.MaxHeaderRow {
		return fmt.Errorf("--header-row must be the number of a row, from 1 to %d", roster.MaxHeaderRow)
	}
	if o.Report == "-" {
		return errors.New("--errors must be a file path")
	}
	for _, pair := range o.mapping {
		column, header, ok := strings.Cut(pair, "=")
		if column = strings.ToLower(strings.TrimSpace(column)); !ok || header == "" || column == "" { // the server knows its declared attributes
			return errors.New(`--mapping must be COLUMN=HEADER, such as email="E-Mail Address"; the columns are email, name, role, department, external_id, status, locale and the server's declared attributes`)
		}
		if before, again := o.Mapping[column]; again {
			if column != string(roster.ColumnName) {
				return fmt.Errorf("--mapping contains the column %s twice", column)
			}
			header = string(roster.JoinHeaders(before, header)) // a name in several columns
		}
		if o.Mapping == nil {
			o.Mapping = map[string]string{}
		}
		o.Mapping[column] = header
	}
	return nil
}

// maxValueMap bounds the value map, in bytes; the server accepts no more.
const maxValueMap = 64 << 10

// readValueMap reads the value map from the flag itself or the file it names. What is
// in it the server judges.
func (o *importOptions) readValueMap() error {
	text := strings.TrimSpace(o.valueMap)
	if text == "" {
		return nil
	}
	if !strings.HasPrefix(text, "{") {
		file, err := os.Open(text)
		if err != nil {
			return fmt.Errorf("--value-map is neither a JSON object nor a file that can be read: %w", err)
		}
		defer file.Close()
		raw, err := io.ReadAll(io.LimitReader(file, maxValueMap+1))
		if err != nil {
			return fmt.Errorf("read --value-map: %w", err)
		}
		text = strings.TrimPrefix(string(raw), "\ufeff")
	}
	if len(text) > maxValueMap {
		return fmt.Errorf("--value-map is longer than %d bytes", maxValueMap)
	}
	var compact bytes.Buffer // the same map makes the same Idempotency-Key
	if err := json.Compact(&compact, []byte(text)); err != nil {
		return fmt.Errorf("--value-map is not JSON: %w", err)
	}
	o.ValueMap = compact.String()
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
		return errors.New("no API token: set ADMIN_API_TOKEN or ADMIN_API_TOKEN_FILE, or use --token")
	}
	source, err := openSource(path, console.Stdin)
	if err != nil {
		return err
	}
	defer source.Close()
	out := output{console.Stdout, console.Stderr}
	progress := startProgress(out.Stderr)
	defer progress.stop()
	api, err := client.New(o.server, o.token, client.Config{UserAgent: userAgent(), Retrying: progress.retrying})
	if err != nil {
		return err
	}
	defer api.Close()
	if clear := inTheClear(api.Address()); clear && cfg.RequiresTLS() {
		return errors.New("the connection to " + api.Address() + " is not encrypted, but ROLLCALL_REQUIRE_TLS=yes: use https:// in ROLLCALL_URL or --url")
	} else if clear {
		progress.note("Warning: the connection to " + api.Address() + " is not encrypted. Others on the network can read the token and the file.")
	}
	i, err := runImport(ctx, api, source, o, progress, out)
	if err != nil {
		return err
	}
	return exitCode(i)
}

// exitCode is the exit code of an import.
func exitCode(i *client.Import) error {
	switch {
	case i.Status == roster.Failed || i.Status == roster.Canceled:
		return exitFailed
	case i.Status == roster.Held:
		return exitHeld
	case i.Failed > 0 && i.Settled():
		return exitRowsFailed
	default:
		return nil
	}
}

// runImport uploads a file, follows the import to its end, shows progress and
// the result, and saves the error report. A failed import is not an error.
func runImport(ctx context.Context, api *client.Client, file *source, o importOptions, p *progress, out output) (*client.Import, error) {
	i, err := send(ctx, api, file, o, p)
	if err != nil {
		return nil, err
	}
	if !o.NoWait {
		id := i.ID
		p.follow(i)
		if i, err = api.Follow(ctx, i, p.follow); err != nil {
			p.stop()
			fmt.Fprintf(out.Stderr, "The import continues on the server: %s\n", pageOf(api, id))
			return nil, err
		}
	}
	p.stop()
	var saved report
	if i.Failed > 0 && i.Settled() {
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

// send uploads the file under a key made from its content, or finds the import
// that an earlier upload of it started.
func send(ctx context.Context, api *client.Client, file *source, o importOptions, p *progress) (*client.Import, error) {
	salt := ""
	if o.ForceNew {
		salt = time.Now().Format(time.RFC3339Nano)
	}
	if o.Profile != "" {
		tag, err := api.ProfileTag(ctx, o.Profile)
		if refused, ok := errors.AsType[*client.Problem](err); ok && refused.Status == http.StatusNotFound {
			return nil, fmt.Errorf("there is no import profile %q on the server", o.Profile)
		}
		if err != nil {
			return nil, err
		}
		o.ProfileTag = tag
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
		case o.DryRun && earlier.Settled():
			p.note("This file was already checked on " + moment(earlier.CreatedAt) + ". Checking it again against the current users.")
		case earlier.Status == roster.Failed:
			p.note(on + " failed. Trying again.")
		case earlier.Undo != nil:
			p.note(on + " was undone. Importing it again.")
			if earlier, err = api.FollowUndo(ctx, earlier); err != nil {
				return nil, err
			}
		default:
			p.note("This file was already uploaded with these options on " + moment(earlier.CreatedAt) + ". Showing that import." + o.newHint)
			return earlier, nil
		}
		key = client.NextKey(key, earlier)
	}
	return api.Upload(ctx, client.Upload{
		Filename: file.name, Options: o.Options, Open: file.open, Size: file.size, Key: key,
		Sent: func(bytes int64) { p.sent(bytes, file.size) },
	})
}

// pageOf is the URL of an import in the admin panel.
func pageOf(api *client.Client, id uuid.UUID) string {
	return api.Address() + "/admin/imports/" + id.String()
}

// inTheClear reports whether others on the network could read what is sent
// there.
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
