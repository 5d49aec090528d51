package report

import (
	"context"
	"errors"
	"io"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/uuid"

	"rollcall/tabular"
	"rollcall/tabular/workbook"
	"rollcall/userfile"
)

// ErrTooManyRows means that more rows failed than a sheet of a workbook can have.
var ErrTooManyRows = errors.New("too many failed rows for a workbook")

// WriteErrorsWorkbook writes the error report of an import as an .xlsx workbook. It has
// the cells of [Reports.WriteErrors], all of them as texts, so that none can be taken
// for a formula, a number or a date. Uploaded again it is read as the CSV is.
//
//   - Cells with a problem are red and have a note with the problem and how to fix
//     it. Only the first few thousand rows have notes, because notes take memory;
//     error_message and error_fix are in every row.
//   - What is longer than a cell may be in Excel (32,767) loses its middle.
//
// Errors are as with [Reports.WriteErrors]; [ErrTooManyRows] also comes before anything
// was written.
func (r *Reports) WriteErrorsWorkbook(ctx context.Context, w io.Writer, id uuid.UUID) (err error) {
	defer wrap(&err, "error report", id)
	i, err := r.find(ctx, id, settled)
	if err != nil {
		return err
	}
	if i.Failed >= workbook.MaxRows {
		return ErrTooManyRows
	}
	return r.writeErrors(ctx, i, func(string) errorWriter { return newWorkbookErrors(w) })
}

// workbookErrors writes an error report as a workbook.
type workbookErrors struct {
	*workbook.Writer
	cells []workbook.Cell
}

func newWorkbookErrors(w io.Writer) *workbookErrors {
	return &workbookErrors{Writer: workbook.NewWriter(w)}
}

func (x *workbookErrors) header(own []string) error {
	const narrow, wide, widest = 14, 24, 60
	columns := make([]workbook.ColumnLayout, 0, len(own)+len(userfile.ReportColumns()))
	for range own {
		columns = append(columns, workbook.ColumnLayout{Width: wide})
	}
	for _, width := range [...]float64{narrow, wide, narrow, widest, widest} {
		columns = append(columns, workbook.ColumnLayout{Width: width})
	}
	if err := x.BeginSheet("Failed rows", true, columns...); err != nil {
		return err
	}
	for _, name := range slices.Concat(own, userfile.ReportColumns()) {
		x.add(name, workbook.Heading)
	}
	return x.flushRow()
}

func (x *workbookErrors) row(r *failedRow) error {
	for _, value := range r.own {
		x.add(value, workbook.Plain)
	}
	for _, value := range r.added {
		x.add(value, workbook.Aside)
	}
	for _, f := range r.faults {
		c := &x.cells[f.cell]
		if c.Style = workbook.Faulty; c.Note != "" {
			c.Note += "\n"
		}
		c.Note += f.message
	}
	return x.flushRow()
}

func (x *workbookErrors) add(value string, style workbook.Style) {
	// A reader of ours takes an apostrophe before a formula off.
	x.cells = append(x.cells, workbook.Cell{Text: cut(tabular.EscapeText(value), workbook.MaxText), Style: style})
}

func (x *workbookErrors) flushRow() error {
	err := x.Row(x.cells...)
	x.cells = x.cells[:0]
	return err
}

func (x *workbookErrors) end() error { return x.Close() }

// longest leaves room for a mark and for apostrophes.
func (*workbookErrors) longest() int { return workbook.MaxText - 100 }

// cut takes the middle out of a text that is longer than most UTF-16 units.
func cut(text string, most int) string {
	const tail = 1000
	if len(text) <= most || utf16Len(text) <= most {
		return text
	}
	head, size := 0, 0
	for i, r := range text {
		if size += utf16.RuneLen(r); size > most-tail-1 {
			head = i
			break
		}
	}
	from, size := len(text), 0
	for from > head {
		r, n := utf8.DecodeLastRuneInString(text[:from])
		if size += max(utf16.RuneLen(r), 1); size > tail {
			break
		}
		from -= n
	}
	return text[:head] + "…" + text[from:]
}

func utf16Len(text string) (n int) {
	for _, r := range text {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}
