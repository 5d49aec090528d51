package report

import (
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/google/uuid"

	"rollcall/intake"
	"rollcall/roster"
)

// Outcome is what became of one row.
type Outcome string

// The outcomes of a row.
const (
	Imported    Outcome = "imported"    // a user was created
	Updated     Outcome = "updated"     // a user was there and has been set right
	Refused     Outcome = "failed"      // the row has problems
	Unprocessed Outcome = "unprocessed" // the import did not come to this row
)

// resultsHeader are the columns of the results.
var resultsHeader = [...]string{"row", "line", "email", "status", "user_id", "error_code"}

// resultsBatch is how many rows are looked up at once, and in memory at a time.
const resultsBatch = 5000

// WriteResults writes what became of every row of an import's file: row, line,
// email, status (an [Outcome]), user_id and error_code. It is UTF-8 without a
// byte order mark, with commas, each cell through [tabular.Guard]. Blank lines
// are no rows. Of an import that failed, or is not confirmed, no row is imported
// or updated; if the file cannot be read at all there is only the header.
//
// What is told is what can be known now. A user who is gone, by an undo or
// otherwise, leaves the row imported without a user_id.
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
	unusable := errors.As(err, new(*intake.FileError))
	if err != nil && !unusable {
		return err
	}
	out := newSheetWriter(w, ",")
	if err := writeRecord(out, resultsHeader[:]); err != nil {
		return err
	}
	if err := out.flush(); err != nil || unusable {
		return err
	}
	results := results{reports: r, i: i, sheet: sheet, refused: refused{store: r.store, id: id}, progress: progress}
	for {
		batch, readErr := results.read(ctx)
		if err := writeResults(out, batch); err != nil {
			return err
		}
		if readErr == io.EOF {
			return results.refused.end(ctx)
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
	key       string // of a row whose user is to be found, else ""
	outcome   Outcome
	user      uuid.UUID // zero: none
	code      roster.Code
}

func writeResults(out *sheetWriter, batch []result) error {
	for _, r := range batch {
		out.cell(strconv.FormatInt(r.row, 10))
		out.cell(strconv.FormatInt(r.line, 10))
		out.cell(r.email)
		out.cell(string(r.outcome))
		if r.user == uuid.Nil {
			out.cell("")
		} else {
			out.cell(r.user.String())
		}
		out.cell(string(r.code))
		if err := out.end(); err != nil {
			return err
		}
	}
	return out.flush()
}

// results goes through the rows of a file and finds what became of them.
type results struct {
	reports  *Reports
	i        *roster.Import
	sheet    *intake.Sheet
	refused  refused
	progress int64 // the first row that the import did not come to
	batch    []result
}

// read returns the next rows, which are valid until the next call. The error is
// io.EOF with the last of them.
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

// of tells what became of a row, but for its user.
func (r *results) of(ctx context.Context, row *intake.Row) (result, error) {
	res := result{row: row.Row, line: row.Line, email: row.Person.Email}
	refusal, err := r.refused.of(ctx, row.Row)
	switch {
	case err != nil:
		return res, err
	case refusal != nil:
		res.outcome, res.code = Refused, refusal.Reason()
	case row.Row >= r.progress:
		res.outcome = Unprocessed
	default:
		res.outcome, res.key = Imported, row.Person.EmailKey
	}
	return res, nil
}

// findUsers looks up the users of the batch and settles whether their rows
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
	for i := range r.batch {
		res := &r.batch[i]
		user, there := found[res.key]
		switch {
		case !there:
		case createdBy(user, r.i.ID):
			res.user = user.ID
		case r.i.Options.OnDuplicate == roster.UpdateDuplicates:
			res.outcome, res.user = Updated, user.ID
		default:
			// The user this row created is gone, and the address taken again.
		}
	}
	return nil
}
