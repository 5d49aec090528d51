package report

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"rollcall/intake"
	"rollcall/roster"
	"rollcall/storage"
)

// Verdict is what an import does, or has done, with a row.
type Verdict string

// The verdicts on a row.
const (
	Import Verdict = "import" // creates a user
	Update Verdict = "update" // sets an existing user right
	Fail   Verdict = "failed" // is skipped, for its problems
)

// Row is a row of the file as people look at it.
type Row struct {
	// Row and Line number the row as [roster.Refusal] does.
	Row, Line int64
	// Values are what the import makes of the row, of the columns that the
	// file has: trimmed, and a blank role is "user". Of a row whose cells
	// cannot be told apart there is at most the address.
	Values map[roster.Column]string
	// Cells are all cells of the row in the order of the file, as they stand.
	Cells   []string
	Verdict Verdict
	// Problems are why the verdict is Fail, in the order found; else empty.
	Problems []roster.Problem
}

// Rows lists the rows of an import's file behind row after, in order, at most
// limit (at least 1); onlyErrors leaves out those that are not refused. next is
// the last row listed, to go on after, or 0 if there are no more. A file that
// cannot be used has no rows.
//
// The error is [ErrNotEnded] until the file is checked, [storage.ErrPurged] or
// [storage.ErrNotFound].
func (r *Reports) Rows(ctx context.Context, id uuid.UUID, after int64, limit int, onlyErrors bool) (rows []Row, next int64, err error) {
	defer wrap(&err, "rows", id)
	i, err := r.find(ctx, id, checked)
	if err != nil {
		return nil, 0, err
	}
	p := pager{reports: r, i: i}
	if p.sheet, err = r.open(ctx, i); err != nil {
		if errors.As(err, new(*intake.FileError)) {
			return nil, 0, nil
		}
		return nil, 0, err
	}
	// One more than asked for tells whether there are more.
	refusals, err := r.store.Refusals(ctx, id, after, limit+1)
	if err != nil {
		return nil, 0, err
	}
	var more bool
	if onlyErrors {
		more = len(refusals) > limit
		rows, err = p.refused(ctx, refusals[:min(limit, len(refusals))])
	} else {
		rows, more, err = p.all(ctx, after, limit, refusals)
	}
	if err != nil {
		return nil, 0, err
	}
	if more {
		next = rows[len(rows)-1].Row
	}
	return rows, next, nil
}

// checked reports whether every row of an import in this state is judged, or
// none will be any more.
func checked(s roster.Status) bool { return settled(s) || s == roster.Importing }

// pager gathers rows of one file.
type pager struct {
	reports *Reports
	i       *roster.Import
	sheet   *intake.Sheet
	at      int64 // the last row read, 0 if none
}

// all returns the rows behind after, and whether there are more. refusals are
// the first of those rows that are refused.
func (p *pager) all(ctx context.Context, after int64, limit int, refusals []roster.Refusal) (rows []Row, more bool, err error) {
	if err := p.near(ctx, after+1); err != nil {
		return nil, false, err
	}
	var keys []string // the address of each row as compared, "" if it is not good
	for {
		row, err := p.sheet.Next()
		if err == io.EOF {
			return rows, false, p.findUpdates(ctx, rows, keys)
		}
		if err != nil {
			return nil, false, err
		}
		if row.Row <= after {
			continue
		}
		if len(rows) == limit {
			return rows, true, p.findUpdates(ctx, rows, keys)
		}
		problems := row.Problems // all there is if the check did not come this far
		if len(refusals) > 0 && refusals[0].Row == row.Row {
			problems, refusals = refusals[0].Problems, refusals[1:]
		}
		rows = append(rows, p.row(row, problems))
		keys = append(keys, row.Person.EmailKey)
	}
}

// refused returns the rows of the refusals.
func (p *pager) refused(ctx context.Context, refusals []roster.Refusal) ([]Row, error) {
	rows := make([]Row, 0, len(refusals))
	for _, refusal := range refusals {
		if err := p.near(ctx, refusal.Row); err != nil {
			return nil, err
		}
		row, err := seek(p.sheet, refusal.Row)
		if err != nil {
			return nil, err
		}
		p.at = refusal.Row
		rows = append(rows, p.row(row, refusal.Problems))
	}
	return rows, nil
}

// seek reads on to a row.
func seek(sheet *intake.Sheet, row int64) (*intake.Row, error) {
	for {
		switch r, err := sheet.Next(); {
		case err == io.EOF, err == nil && r.Row > row:
			return nil, fmt.Errorf("row %d is not in the file", row)
		case err != nil:
			return nil, err
		case r.Row == row:
			return r, nil
		}
	}
}

// farAhead is how many rows are sooner read than a mark behind them is looked
// up and gone to.
const farAhead = 1000

// near goes to the last mark before a row, if that saves reading.
func (p *pager) near(ctx context.Context, row int64) error {
	if row-p.at <= farAhead {
		return nil
	}
	store, id := p.reports.store, p.i.ID
	mark, err := store.MarkBefore(ctx, id, row)
	// Row 1 is the header at the earliest, so no row is skipped.
	if err != nil || mark.Row <= max(p.at, 1) {
		return err
	}
	p.sheet, err = intake.Resume(store.OpenUpload(ctx, id, mark.Offset), p.sheet.Format(), p.sheet.Header(), p.i.Options.Mapping, mark)
	return err
}

func (p *pager) row(row *intake.Row, problems []roster.Problem) Row {
	v := Row{Row: row.Row, Line: row.Line, Values: p.values(row, problems), Cells: p.sheet.Values(row), Verdict: Import, Problems: problems}
	if len(problems) > 0 {
		v.Verdict = Fail
	}
	return v
}

// values are what the rules made of the row's cells.
func (p *pager) values(row *intake.Row, problems []roster.Problem) map[roster.Column]string {
	values := make(map[roster.Column]string, len(roster.Columns))
	for column, value := range map[roster.Column]string{
		roster.ColumnEmail:      row.Person.Email,
		roster.ColumnName:       row.Person.Name,
		roster.ColumnRole:       string(row.Person.Role),
		roster.ColumnDepartment: row.Person.Department,
	} {
		if p.sheet.Has(column) {
			values[column] = value
		}
	}
	for _, problem := range problems {
		if problem.Field == roster.ColumnRole {
			values[roster.ColumnRole] = problem.Value // what could not be made a role
		}
	}
	return values
}

// findUpdates turns the verdict on rows whose user is already there, unless it
// was this import that created the user.
func (p *pager) findUpdates(ctx context.Context, rows []Row, keys []string) error {
	if p.i.Options.OnDuplicate != roster.UpdateDuplicates || len(rows) == 0 {
		return nil
	}
	found, err := p.reports.store.UserIDs(ctx, keys)
	if err != nil {
		return err
	}
	for i := range rows {
		user, there := found[keys[i]]
		if there && rows[i].Verdict == Import && !createdBy(user, p.i.ID) {
			rows[i].Verdict = Update
		}
	}
	return nil
}

// createdBy reports whether it was this import that created the user.
func createdBy(user storage.Found, id uuid.UUID) bool {
	return user.ImportID != nil && *user.ImportID == id
}
