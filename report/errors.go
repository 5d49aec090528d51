package report

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/tabular"
	"rollcall/userfile"
)

// WriteErrors writes the error report of an import. For every failed row it has
// the file's own cells in their own order, followed by error_row, error_code,
// error_field, error_message and error_fix. It is UTF-8 with a byte order mark,
// in the file's own delimiter, written by [tabular.Writer]. Once fixed, it can
// be uploaded again as it is, with the same mapping if there was one.
//
//   - If a row has several problems, code, field and fix are the first one's; the
//     message has all.
//   - A row that is too short is padded with empty cells. If it is too long, the
//     extra cells are appended to the last of the file's own columns, each on a
//     line of its own: nothing is lost, and the columns line up.
//   - A row that failed for its shape fails again if it is uploaded unchanged:
//     see [userfile.Reader.Mark].
//   - Where an earlier row has the same address or external_id, message and fix refer
//     to it, so that the row fails again while it keeps that, though one of them be
//     deleted: see [userfile.MessageInReport] and [userfile.ReferencesInReport].
//   - A column that seems to hold passwords is left out.
//   - A row over the maximum length is cut off.
//   - If the upload was an error report, its error_ columns are left out and
//     its guards undone before the cells are guarded again.
//   - The report of a failed import has only the error_ columns, and one row
//     with the problem of the file; error_row is empty.
//
// If w has a method Flush, such as an [net/http.Flusher], it is called once
// the header is written, and then every few thousand rows of the file.
//
// Nothing has been written to w if the error is [ErrNotEnded] (a dry run that
// is ready has come far enough), [storage.ErrPurged] or [storage.ErrNotFound];
// but the file may be purged while it is read.
func (r *Reports) WriteErrors(ctx context.Context, w io.Writer, id uuid.UUID) (err error) {
	defer wrap(&err, "error report", id)
	i, err := r.find(ctx, id, settled)
	if err != nil {
		return err
	}
	return r.writeErrors(ctx, i, func(delimiter string) errorWriter { return newCSVErrors(w, delimiter) })
}

// writeErrors writes the error report of an import in some form. begin is not called
// before the file is open.
func (r *Reports) writeErrors(ctx context.Context, i *roster.Import, begin func(delimiter string) errorWriter) error {
	if i.Failure != nil {
		return writeFailure(begin(""), *i.Failure)
	}
	sheet, err := r.open(ctx, i)
	var unusable *userfile.FileError
	if errors.As(err, &unusable) {
		return writeFailure(begin(""), unusable.Failure) // canceled before it was checked
	}
	if err != nil {
		return err
	}
	e := newErrorReport(sheet, begin(sheet.Format().Delimiter))
	e.rowErrors = rowErrorCursor{store: r.store, id: i.ID}
	return e.write(ctx)
}

// writeFailure writes the report of a file that could not be used as a whole.
func writeFailure(out errorWriter, f roster.Failure) error {
	if err := out.header(nil); err != nil {
		return err
	}
	if err := out.row(&failedRow{added: [...]string{"", string(f.Code), "", f.Message, f.Fix}}); err != nil {
		return err
	}
	return out.end()
}

// errorWriter writes an error report in some form.
type errorWriter interface {
	// header is called first, with the file's own columns.
	header(own []string) error
	row(*failedRow) error
	Flush() error
	end() error
	// longest is how many characters a cell may have; 0: any number.
	longest() int
}

// failedRow is a row of an error report.
type failedRow struct {
	own   []string  // its values in the file's own columns
	added [5]string // those in userfile.ReportColumns
	// faults are what is wrong, by index of own: for whom looks at the cell.
	faults []cellFault
}

// cellFault is what is wrong with a cell.
type cellFault struct {
	cell    int
	message string
}

// csvErrors writes an error report as CSV.
type csvErrors struct {
	*tabular.Writer
	cells []string
}

func newCSVErrors(w io.Writer, delimiter string) *csvErrors {
	return &csvErrors{Writer: tabular.NewWriter(w, tabular.WriterOptions{Mark: true, Delimiter: delimiter})}
}

func (c *csvErrors) header(own []string) error {
	return c.Write(append(append(c.cells[:0], own...), userfile.ReportColumns()...)...)
}

func (c *csvErrors) row(r *failedRow) error {
	c.cells = append(append(c.cells[:0], r.own...), r.added[:]...)
	return c.Write(c.cells...)
}

func (c *csvErrors) end() error { return c.Flush() }

func (*csvErrors) longest() int { return 0 }

// errorReport is an error report being written.
type errorReport struct {
	sheet     *userfile.Reader
	own       []int // indices of the file's own columns
	rowErrors rowErrorCursor
	out       errorWriter
}

func newErrorReport(sheet *userfile.Reader, out errorWriter) *errorReport {
	return &errorReport{sheet: sheet, own: sheet.OwnColumns(), out: out}
}

func (e *errorReport) write(ctx context.Context) error {
	if err := e.header(); err != nil {
		return err
	}
	if err := e.out.Flush(); err != nil {
		return err
	}
	for {
		row, err := e.sheet.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if !e.rowErrors.knows(row.Row) {
			if err := e.out.Flush(); err != nil {
				return err
			}
		}
		rowError, err := e.rowErrors.of(ctx, row.Row)
		if err != nil {
			return err
		}
		if rowError == nil {
			continue
		}
		if err := e.row(row, rowError); err != nil {
			return err
		}
	}
	if err := e.rowErrors.end(ctx); err != nil {
		return err
	}
	return e.out.end()
}

func (e *errorReport) header() error {
	header := e.sheet.Values(&userfile.Row{Cells: asBytes(e.sheet.Header())})
	own := make([]string, len(e.own))
	for k, i := range e.own {
		own[k] = header[i]
	}
	return e.out.header(own)
}

func asBytes(values []string) [][]byte {
	cells := make([][]byte, len(values))
	for i, v := range values {
		cells[i] = []byte(v)
	}
	return cells
}

// row writes one failed row.
func (e *errorReport) row(row *userfile.Row, rowError *roster.RowError) error {
	first := rowError.Problems[0]
	own, advice := ownCells(e.sheet, e.own, row, first, e.out.longest())
	if advice != "" {
		advice = ". " + advice
	}
	advice = first.Advice() + userfile.ReferencesInReport(rowError.Problems) + advice
	return e.out.row(&failedRow{
		own:    own,
		added:  [...]string{strconv.FormatInt(rowError.Row, 10), string(first.Code), string(first.Field), message(rowError.Problems), advice},
		faults: e.faults(own, rowError.Problems),
	})
}

// faults finds the cells that problems are about. A problem of the row as a whole is
// shown where its mark is, else at the address.
func (e *errorReport) faults(own []string, problems []roster.Problem) (faults []cellFault) {
	for _, p := range problems {
		text := userfile.MessageInReport(p) + "\n" + p.Advice() + "."
		if p.Field == "" {
			if at := slices.IndexFunc(own, userfile.Marked); at >= 0 {
				faults = append(faults, cellFault{at, text})
				continue
			}
		}
		for _, i := range e.sheet.CellsOf(cmp.Or(p.Field, roster.ColumnEmail)) {
			if at := slices.Index(e.own, i); at >= 0 {
				faults = append(faults, cellFault{at, text})
			}
		}
	}
	return faults
}

// ownCells returns the cells that a report shows for a row in the file's own
// columns, each cut to what the report may have. A row that failed for its shape is
// marked if its values don't show that, so that it fails again until it is fixed;
// advice says what to do about the mark.
func ownCells(sheet *userfile.Reader, own []int, row *userfile.Row, first roster.Problem, longest int) (cells []string, advice string) {
	if len(own) == 0 {
		return nil, ""
	}
	values := sheet.Values(row)
	cells = make([]string, len(own))
	for k, i := range own {
		if i < len(values) {
			cells[k] = values[i]
		}
	}
	cells[len(own)-1] += overflow(values, len(sheet.Header()))
	if longest > 0 {
		for k := range cells {
			cells[k] = cut(cells[k], longest)
		}
	}
	return cells, sheet.Mark(row, first, cells)
}

// overflow joins the cells that a row has beyond the header, each preceded by a
// line break. Empty cells at the end are dropped.
func overflow(values []string, width int) string {
	if len(values) <= width {
		return ""
	}
	extra := values[width:]
	for len(extra) > 0 && strings.TrimSpace(extra[len(extra)-1]) == "" {
		extra = extra[:len(extra)-1]
	}
	var b strings.Builder
	for _, value := range extra {
		b.WriteString("\n" + value)
	}
	return b.String()
}

// message joins all problems of a row: "The address has no @; also name: The
// name is empty."
func message(problems []roster.Problem) string {
	if len(problems) == 1 {
		return userfile.MessageInReport(problems[0])
	}
	var b strings.Builder
	for i, p := range problems {
		if i > 0 {
			b.WriteString("; also ")
			if p.Field != "" {
				b.WriteString(string(p.Field) + ": ")
			}
		}
		p.Message = userfile.MessageInReport(p)
		if i < len(problems)-1 && !strings.Contains(p.Message, "(ref. ") {
			p.Message = strings.TrimSuffix(p.Message, ".")
		}
		b.WriteString(p.Message)
	}
	return b.String()
}
