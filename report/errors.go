package report

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"rollcall/intake"
	"rollcall/roster"
)

// WriteErrors writes the error report of an import: of every refused row the
// file's own cells in its own order, and behind them error_row, error_code,
// error_field, error_message and error_fix. It is UTF-8 with a byte order mark,
// in the file's own delimiter, each cell through [tabular.Guard]. Mended and
// uploaded again, with the same mapping if there was one, it just works.
//
//   - Of several problems of a row the code, field and fix are the first's; the
//     message tells all.
//   - A row that is too short is filled up with empty cells. Of one that is too
//     long, the cells too many follow in the last of the file's own columns,
//     each on a line of its own: nothing is lost, the columns line up, and
//     uploaded unmended the row is refused again for the line break.
//   - Of a row longer than any may be there is only the beginning.
//   - If the upload was an error report, its error_ columns are left out and
//     its guards undone before the cells are guarded again.
//   - The report of a failed import has the error_ columns alone, and one row
//     with what is wrong with the file; error_row is empty.
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
	if i.Failure != nil {
		return writeFailure(w, *i.Failure)
	}
	sheet, err := r.open(ctx, i)
	var unusable *intake.FileError
	if errors.As(err, &unusable) {
		return writeFailure(w, unusable.Failure) // canceled before anyone looked
	}
	if err != nil {
		return err
	}
	e := errorReport{
		sheet:   sheet,
		own:     ownColumns(sheet),
		refused: refused{store: r.store, id: id},
		out:     newSheetWriter(w, sheet.Format().Delimiter),
	}
	return e.write(ctx)
}

// writeFailure writes the report of a file that could not be used as a whole.
func writeFailure(w io.Writer, f roster.Failure) error {
	out := newSheetWriter(w, ",")
	out.mark()
	if err := writeRecord(out, intake.ReportColumns()); err != nil {
		return err
	}
	if err := writeRecord(out, []string{"", string(f.Code), "", f.Message, f.Fix}); err != nil {
		return err
	}
	return out.flush()
}

func writeRecord(out *sheetWriter, cells []string) error {
	for _, c := range cells {
		out.cell(c)
	}
	return out.end()
}

// errorReport is an error report being written.
type errorReport struct {
	sheet   *intake.Sheet
	own     []int // indices of the file's own columns
	refused refused
	out     *sheetWriter
}

func (e *errorReport) write(ctx context.Context) error {
	e.out.mark()
	header := e.sheet.Values(&intake.Row{Cells: asBytes(e.sheet.Header())})
	for _, i := range e.own {
		e.out.cell(header[i])
	}
	if err := writeRecord(e.out, intake.ReportColumns()); err != nil {
		return err
	}
	if err := e.out.flush(); err != nil {
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
		if !e.refused.knows(row.Row) {
			if err := e.out.flush(); err != nil {
				return err
			}
		}
		refusal, err := e.refused.of(ctx, row.Row)
		if err != nil {
			return err
		}
		if refusal == nil {
			continue
		}
		if err := e.row(row, refusal); err != nil {
			return err
		}
	}
	if err := e.refused.end(ctx); err != nil {
		return err
	}
	return e.out.flush()
}

func asBytes(values []string) [][]byte {
	cells := make([][]byte, len(values))
	for i, v := range values {
		cells[i] = []byte(v)
	}
	return cells
}

// row writes one refused row.
func (e *errorReport) row(row *intake.Row, refusal *roster.Refusal) error {
	values := e.sheet.Values(row)
	for k, i := range e.own {
		var cell string
		if i < len(values) {
			cell = values[i]
		}
		if k == len(e.own)-1 {
			cell += e.overflow(values)
		}
		e.out.cell(cell)
	}
	first := refusal.Problems[0]
	return writeRecord(e.out, []string{
		strconv.FormatInt(refusal.Row, 10), string(first.Code), string(first.Field), message(refusal.Problems), first.Code.RowFix(),
	})
}

// overflow joins what a row has beyond the header, each cell with a line break in
// front. Empty cells at the end are nothing anyone would miss.
func (e *errorReport) overflow(values []string) string {
	if len(values) <= len(e.sheet.Header()) {
		return ""
	}
	extra := values[len(e.sheet.Header()):]
	for len(extra) > 0 && strings.TrimSpace(extra[len(extra)-1]) == "" {
		extra = extra[:len(extra)-1]
	}
	var b strings.Builder
	for _, value := range extra {
		b.WriteString("\n" + value)
	}
	return b.String()
}

// message tells all problems of a row: "The address has no @; also name: The
// name is empty."
func message(problems []roster.Problem) string {
	if len(problems) == 1 {
		return problems[0].Message
	}
	var b strings.Builder
	for i, p := range problems {
		if i > 0 {
			b.WriteString("; also ")
			if p.Field != "" {
				b.WriteString(string(p.Field) + ": ")
			}
		}
		if i < len(problems)-1 {
			p.Message = strings.TrimSuffix(p.Message, ".")
		}
		b.WriteString(p.Message)
	}
	return b.String()
}
