package report

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/userfile"
)

// Verdict is what an import will do, or has done, with a row.
type Verdict string

// The possible verdicts.
const (
	Import Verdict = "import" // creates a user
	Update Verdict = "update" // updates an existing user
	Fail   Verdict = "failed" // is skipped because of its problems
)

// Row is a row of the file for display.
type Row struct {
	// Row and Line number the row as [roster.RowError] does.
	Row, Line int64
	// Values are the row's values as imported, by the columns that the file
	// has: trimmed, with a blank role as "user". A row that cannot be split
	// into cells has at most the address.
	Values map[roster.Column]string
	// Cells are all cells of the row in the order of the file, unchanged, except that
	// those that seem to hold passwords are empty.
	Cells   []string
	Verdict Verdict
	// Action is what the import does with the row, or did, and Changes what of
	// the user changes by it; nil unless Action is update. After the row has been
	// imported what it changed is not told: the user may have been changed since.
	Action  roster.Action
	Changes map[roster.Column]roster.FieldChange
	// Edits are the cells that were changed after the upload: what the file has, and
	// what they are now; nil for none.
	Edits map[roster.Column]roster.FieldChange
	// RoleGiven: the row says a role. Else an existing user keeps theirs.
	RoleGiven bool
	// Problems are the reasons for the verdict Fail, in the order found;
	// otherwise empty.
	Problems []roster.Problem
}

// pageBytes ends a page of rows, in bytes of text as they are held in memory.
const pageBytes = 4 << 20

// Rows lists the rows of an import's file behind row after, in order, at most
// limit (at least 1) and no more after some 4 MiB; onlyErrors leaves out those that are not failed. next is
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
		if errors.As(err, new(*userfile.FileError)) {
			return nil, 0, nil
		}
		return nil, 0, err
	}
	// One more than requested shows whether there are more.
	rowErrors, err := r.store.RowErrors(ctx, id, after, limit+1)
	if err != nil {
		return nil, 0, err
	}
	var more bool
	if onlyErrors {
		rows, err = p.failed(ctx, rowErrors[:min(limit, len(rowErrors))])
		more = len(rowErrors) > len(rows)
	} else {
		rows, more, err = p.all(ctx, after, limit, rowErrors)
	}
	if err != nil {
		return nil, 0, err
	}
	if more {
		next = rows[len(rows)-1].Row
	}
	return rows, next, nil
}

// checked reports whether every row of an import in this state has been
// validated, or will never be.
func checked(s roster.Status) bool { return settled(s) || s == roster.Importing }

// pager collects rows of one file.
type pager struct {
	reports *Reports
	i       *roster.Import
	sheet   *userfile.Reader
	at      int64 // the last row read, 0 if none
	size    int   // of the rows gathered, in bytes
}

// all returns the rows after after, and whether there are more. rowErrors are
// the first of those rows that failed.
func (p *pager) all(ctx context.Context, after int64, limit int, rowErrors []roster.RowError) (rows []Row, more bool, err error) {
	if err := p.near(ctx, after+1); err != nil {
		return nil, false, err
	}
	var people []storage.UserRow
	for {
		row, err := p.sheet.Next()
		if err == io.EOF {
			return rows, false, p.plan(ctx, rows, people)
		}
		if err != nil {
			return nil, false, err
		}
		if row.Row <= after {
			continue
		}
		if len(rows) == limit || p.size > pageBytes {
			return rows, true, p.plan(ctx, rows, people)
		}
		problems := row.Problems // all that is known if the check did not get this far
		if len(rowErrors) > 0 && rowErrors[0].Row == row.Row {
			problems, rowErrors = rowErrors[0].Problems, rowErrors[1:]
		}
		rows = append(rows, p.row(row, problems))
		people = append(people, storage.UserRow{Row: row.Row, UserFields: row.Person})
	}
}

// failed returns the rows with the given row errors.
func (p *pager) failed(ctx context.Context, rowErrors []roster.RowError) ([]Row, error) {
	rows := make([]Row, 0, len(rowErrors))
	for _, rowError := range rowErrors {
		if p.size > pageBytes {
			break
		}
		row, err := p.seekTo(ctx, rowError.Row)
		if err != nil {
			return nil, err
		}
		rows = append(rows, p.row(row, rowError.Problems))
	}
	return rows, nil
}

// RowsByAction is Rows for the rows for which the check planned one action. What
// it tells of a row is what the import would do now, which may be another action
// if users were changed since.
func (r *Reports) RowsByAction(ctx context.Context, id uuid.UUID, action roster.Action, after int64, limit int) (rows []Row, next int64, err error) {
	if action == roster.ActionFail {
		return r.Rows(ctx, id, after, limit, true)
	}
	defer wrap(&err, "rows by action", id)
	i, err := r.find(ctx, id, checked)
	if err != nil {
		return nil, 0, err
	}
	numbers, err := r.store.ActionRows(ctx, id, action, after, limit+1)
	if err != nil || len(numbers) == 0 {
		return nil, 0, err
	}
	p := pager{reports: r, i: i}
	if p.sheet, err = r.open(ctx, i); err != nil {
		return nil, 0, err
	}
	rows, people, err := p.numbered(ctx, numbers[:min(limit, len(numbers))])
	if err == nil {
		err = p.plan(ctx, rows, people)
	}
	if err != nil {
		return nil, 0, err
	}
	if len(rows) < len(numbers) {
		next = numbers[len(rows)-1]
	}
	return rows, next, nil
}

// RowsNumbered lists rows by their numbers, which ascend. Errors are those of Rows.
func (r *Reports) RowsNumbered(ctx context.Context, id uuid.UUID, numbers []int64) (rows []Row, err error) {
	defer wrap(&err, "rows by number", id)
	i, err := r.find(ctx, id, checked)
	if err != nil {
		return nil, err
	}
	verdicts, err := r.store.RowVerdicts(ctx, id, numbers)
	if err != nil {
		return nil, err
	}
	p := pager{reports: r, i: i}
	if p.sheet, err = r.open(ctx, i); err != nil {
		return nil, err
	}
	rows, people, err := p.numbered(ctx, numbers)
	if err != nil {
		return nil, err
	}
	for k := range rows {
		if failed := verdicts[rows[k].Row].Error; failed != nil {
			rows[k].fail(p.values(&userfile.Row{Person: people[k].UserFields}, failed.Problems), failed.Problems)
		}
	}
	return rows, p.plan(ctx, rows, people)
}

// fail makes a row one that failed.
func (r *Row) fail(values map[roster.Column]string, problems []roster.Problem) {
	r.Values, r.Problems, r.Verdict, r.Action = values, problems, Fail, roster.ActionFail
}

// numbered returns valid rows by their numbers, which ascend, and what is needed
// to plan them.
func (p *pager) numbered(ctx context.Context, numbers []int64) (rows []Row, people []storage.UserRow, err error) {
	for _, number := range numbers {
		if p.size > pageBytes {
			break
		}
		row, err := p.seekTo(ctx, number)
		if err != nil {
			return nil, nil, err
		}
		rows = append(rows, p.row(row, nil))
		people = append(people, storage.UserRow{Row: row.Row, UserFields: row.Person})
	}
	return rows, people, nil
}

// AdminRows lists the first rows of an import's file that make someone an
// administrator, and the first that make an administrator an ordinary user, at
// most 20 of each. Errors are those of Rows.
func (r *Reports) AdminRows(ctx context.Context, id uuid.UUID) (gained, lost []Row, err error) {
	defer wrap(&err, "administrators", id)
	i, err := r.find(ctx, id, checked)
	if err != nil {
		return nil, nil, err
	}
	gains, losses, err := r.store.AdminRows(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	for _, list := range []struct {
		numbers []int64
		into    *[]Row
	}{{gains, &gained}, {losses, &lost}} {
		if len(list.numbers) == 0 {
			continue
		}
		p := pager{reports: r, i: i}
		if p.sheet, err = r.open(ctx, i); err != nil {
			return nil, nil, err
		}
		if *list.into, _, err = p.numbered(ctx, list.numbers); err != nil {
			return nil, nil, err
		}
	}
	return gained, lost, nil
}

// seekTo reads a row behind those read so far.
func (p *pager) seekTo(ctx context.Context, number int64) (*userfile.Row, error) {
	if err := p.near(ctx, number); err != nil {
		return nil, err
	}
	row, err := seek(p.sheet, number)
	if err == nil {
		p.at = number
	}
	return row, err
}

// seek reads ahead to a row.
func seek(sheet *userfile.Reader, row int64) (*userfile.Row, error) {
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

// farAhead is the number of rows above which looking up a mark is faster than
// reading on.
const farAhead = 1000

// near seeks to the last mark before a row, if that saves reading.
func (p *pager) near(ctx context.Context, row int64) error {
	if row-p.at <= farAhead {
		return nil
	}
	store, id := p.reports.store, p.i.ID
	mark, err := store.RowOffsetBefore(ctx, id, row)
	// The header is row 1 or later, so no row is skipped.
	if err != nil || mark.Row <= max(p.at, 1) {
		return err
	}
	if p.sheet, err = userfile.Resume(store.OpenRows(ctx, p.i, mark.Offset), p.sheet.Format(), p.sheet.Header(), p.i.Options, mark); err != nil {
		return err
	}
	return p.reports.setEdits(ctx, p.i, p.sheet)
}

func (p *pager) row(row *userfile.Row, problems []roster.Problem) Row {
	v := Row{Row: row.Row, Line: row.Line, Values: p.values(row, problems), Cells: cutCells(p.sheet.HidePasswords(p.sheet.Values(row))), Verdict: Import, Action: roster.ActionCreate, RoleGiven: row.Person.RoleGiven, Problems: problems}
	if row.InFile != nil {
		v.Edits = map[roster.Column]roster.FieldChange{}
		for column, from := range row.InFile {
			v.Edits[column] = roster.FieldChange{From: roster.TruncateValue(from), To: roster.TruncateValue(p.sheet.FileValue(row, column))}
		}
	}
	p.size += v.size()
	if len(problems) > 0 {
		v.Verdict, v.Action = Fail, roster.ActionFail
	}
	return v
}

// cellSize is what a cell takes beside its text.
const cellSize = 16

// cutCells cuts what is shown of each of a row's cells.
func cutCells(cells []string) []string {
	for i, cell := range cells {
		cells[i] = roster.TruncateValue(cell)
	}
	return cells
}

// size is about what a row takes in memory, and in JSON.
func (r *Row) size() int {
	n := 256 // its own members
	for _, cell := range r.Cells {
		n += len(cell) + cellSize
	}
	for _, value := range r.Values {
		n += len(value)
	}
	for _, problem := range r.Problems {
		n += len(problem.Value) + len(problem.Message) + cellSize
	}
	return n
}

// values are what the rules made of the row's cells.
func (p *pager) values(row *userfile.Row, problems []roster.Problem) map[roster.Column]string {
	values := make(map[roster.Column]string, len(roster.Columns))
	for column, value := range map[roster.Column]string{
		roster.ColumnEmail:      row.Person.Email,
		roster.ColumnName:       row.Person.Name,
		roster.ColumnRole:       string(row.Person.Role),
		roster.ColumnDepartment: row.Person.Department,
		roster.ColumnExternalID: row.Person.ExternalID,
		roster.ColumnStatus:     string(row.Person.Status),
		roster.ColumnLocale:     row.Person.Locale,
	} {
		if p.sheet.Has(column) {
			values[column] = roster.TruncateValue(value)
		}
	}
	given := row.Person.Attributes.Map()
	for _, name := range p.i.Options.Attributes {
		if p.sheet.Has(roster.Column(name)) {
			values[roster.Column(name)] = roster.TruncateValue(given[name])
		}
	}
	for _, problem := range problems {
		if problem.Field == roster.ColumnRole || problem.Field == roster.ColumnStatus || problem.Field == roster.ColumnLocale {
			values[problem.Field] = problem.Value // what could not be made one
		}
	}
	return values
}

// plan finds out what the import does with the good rows. Of a row that is
// imported already the record tells what it did.
func (p *pager) plan(ctx context.Context, rows []Row, people []storage.UserRow) error {
	if p.i.Options.OnDuplicate != roster.UpdateDuplicates || len(rows) == 0 {
		return nil
	}
	store := p.reports.store
	may, err := store.CanGrantAdmin(ctx, p.i.CreatedBy, storage.AdminScopes())
	if err != nil {
		return err
	}
	matching := storage.MatchingOf(p.i, p.sheet.Has)
	matching.KeepAdmins = !may
	plans, err := store.PlanRows(ctx, matching, people, true)
	if err != nil {
		return err
	}
	updated, err := store.UpdatedRows(ctx, p.i.ID, rows[0].Row, rows[len(rows)-1].Row)
	if err != nil {
		return err
	}
	for k := range rows {
		row, plan := &rows[k], plans[k]
		_, wasUpdated := updated[row.Row]
		switch {
		case row.Action == roster.ActionFail:
		case wasUpdated:
			row.Verdict, row.Action = Update, roster.ActionUpdate
		case plan.UserID == uuid.Nil, plan.ImportID != nil && *plan.ImportID == p.i.ID:
		default:
			row.Verdict, row.Action, row.Changes = Update, plan.Action, plan.Changes
		}
	}
	return nil
}

// createdBy reports whether this import created the user.
func createdBy(user storage.ExistingUser, id uuid.UUID) bool {
	return user.ImportID != nil && *user.ImportID == id
}
