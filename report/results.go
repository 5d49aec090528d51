package report

import (
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/tabular"
	"rollcall/userfile"
)

// Outcome is the result of one row.
type Outcome string

// The outcomes of a row.
const (
	Imported    Outcome = "imported"    // a user was created
	Updated     Outcome = "updated"     // a user was there and has been changed
	Unchanged   Outcome = "unchanged"   // a user was there and was right already
	Failed      Outcome = "failed"      // the row has problems
	Unprocessed Outcome = "unprocessed" // the import did not get to this row
)

// resultsHeader are the columns of the results.
var resultsHeader = [...]string{"row", "line", "email", "status", "user_id", "error_code"}

// resultsBatch is how many rows are looked up at once, and in memory at a time.
const resultsBatch = 5000

// WriteResults writes the outcome of every row of an import's file: row, line,
// email, status (an [Outcome]), user_id and error_code. It is UTF-8 with a
// byte order mark, like the other files for spreadsheets, with commas, each cell through [tabular.EscapeFormula].
// Blank lines do not count as rows. If the import failed, or is not confirmed,
// no row is imported or updated; if the file cannot be read at all there is
// only the header.
//
// The results show what is known now. A row whose user was deleted, by an undo
// or otherwise, is imported without a user_id.
//
// Flushing and errors are as with [Reports.WriteErrors].
func (r *Reports) WriteResults(ctx context.Context, w io.Writer, id uuid.UUID) (err error) {
	defer wrap(&err, "results", id)
	i, err := r.find(ctx, id, settled)
	if err != nil {
		return err
	}
	progress, err := r.store.ImportProgress(ctx, id)
	if err != nil {
		return err
	}
	sheet, err := r.open(ctx, i)
	unusable := errors.As(err, new(*userfile.FileError))
	if err != nil && !unusable {
		return err
	}
	out := tabular.NewWriter(w, tabular.WriterOptions{Mark: true})
	if err := out.Write(resultsHeader[:]...); err != nil {
		return err
	}
	if err := out.Flush(); err != nil || unusable {
		return err
	}
	waiting, err := r.store.WaitingRows(ctx, id)
	if err != nil {
		return err
	}
	results := results{reports: r, i: i, sheet: sheet, rowErrors: rowErrorCursor{store: r.store, id: id}, progress: progress, waiting: waiting}
	for {
		batch, readErr := results.read(ctx)
		if err := writeResults(out, batch); err != nil {
			return err
		}
		if readErr == io.EOF {
			return results.rowErrors.end(ctx)
		}
		if readErr != nil {
			return readErr
		}
	}
}

// result is one line of the results.
type result struct {
	row, line int64
	email     string
	key       string // of a row whose user must be looked up, else ""
	outcome   Outcome
	user      uuid.UUID // zero: none
	code      roster.Code
}

func writeResults(out *tabular.Writer, batch []result) error {
	for _, r := range batch {
		var user string
		if r.user != uuid.Nil {
			user = r.user.String()
		}
		err := out.Write(strconv.FormatInt(r.row, 10), strconv.FormatInt(r.line, 10), r.email, string(r.outcome), user, string(r.code))
		if err != nil {
			return err
		}
	}
	return out.Flush()
}

// results iterates over the rows of a file and determines their outcomes.
type results struct {
	reports   *Reports
	i         *roster.Import
	sheet     *userfile.Reader
	rowErrors rowErrorCursor
	progress  int64          // the first row that the import did not get to
	waiting   map[int64]bool // rows before that one to which it did not get either
	batch     []result
}

// read returns the next rows, which are valid until the next call. It returns
// io.EOF together with the last rows.
func (r *results) read(ctx context.Context) ([]result, error) {
	r.batch = r.batch[:0]
	var end error
	for len(r.batch) < resultsBatch {
		row, err := r.sheet.Next()
		if err == io.EOF {
			end = io.EOF
			break
		}
		if err != nil {
			return nil, err
		}
		next, err := r.of(ctx, row)
		if err != nil {
			return nil, err
		}
		r.batch = append(r.batch, next)
	}
	if err := r.findUsers(ctx); err != nil {
		return nil, err
	}
	return r.batch, end
}

// of returns the result of a row, without its user.
func (r *results) of(ctx context.Context, row *userfile.Row) (result, error) {
	res := result{row: row.Row, line: row.Line, email: row.Person.Email}
	rowError, err := r.rowErrors.of(ctx, row.Row)
	switch {
	case err != nil:
		return res, err
	case rowError != nil:
		res.outcome, res.code = Failed, rowError.Reason()
	case row.Row >= r.progress, r.waiting[row.Row]:
		res.outcome = Unprocessed
	default:
		res.outcome, res.key = Imported, row.Person.EmailKey
	}
	return res, nil
}

// findUsers looks up the users of the batch and determines whether their rows
// created or updated them.
func (r *results) findUsers(ctx context.Context) error {
	var keys []string
	for i := range r.batch {
		if r.batch[i].key != "" {
			keys = append(keys, r.batch[i].key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	found, err := r.reports.store.UserIDs(ctx, keys)
	if err != nil {
		return err
	}
	updated, err := r.reports.store.UpdatedRows(ctx, r.i.ID, r.batch[0].row, r.batch[len(r.batch)-1].row)
	if err != nil {
		return err
	}
	for i := range r.batch {
		res := &r.batch[i]
		user, there := found[res.key]
		if changed, ok := updated[res.row]; ok && res.key != "" {
			res.outcome, res.user = Updated, changed
			continue
		}
		switch {
		case !there:
		case createdBy(user, r.i.ID):
			res.user = user.ID
		case r.i.Options.OnDuplicate == roster.UpdateDuplicates:
			res.outcome, res.user = Unchanged, user.ID
		default:
			// The user this row created was deleted, and the address was taken
			// again.
		}
	}
	return nil
}
