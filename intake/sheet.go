// Package intake reads a file of people: it joins the records of package
// tabular with the rules of package roster. The same reader serves the check,
// the import, the preview and the reports, so all of them see the same rows.
package intake

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"rollcall/roster"
	"rollcall/tabular"
)

// FileError is why a file as a whole cannot be used.
type FileError struct{ roster.Failure }

func (e *FileError) Error() string { return string(e.Code) + ": " + e.Message }

func fileError(code roster.Code, message string) *FileError {
	return &FileError{roster.Failure{Code: code, Message: message, Fix: code.FileFix()}}
}

// Sheet reads the rows of one file in order.
type Sheet struct {
	reader  *tabular.Reader
	header  []string
	columns columns
	row     Row
	text    []byte // of a row's cells, one behind the other
}

// Row is a row of the file with the verdict of the rules that need nothing but
// the row itself. It is valid until the next call of [Sheet.Next], but for the
// strings in Person and Problems.
type Row struct {
	Row, Line  int64
	Start, End tabular.Position
	Cells      [][]byte // as in the file
	Person     roster.Person
	Problems   []roster.Problem // empty: the row is good
}

// Refusal is the row as a refused one. It must have problems.
func (r *Row) Refusal() roster.Refusal {
	return roster.Refusal{Row: r.Row, Line: r.Line, Email: r.Person.Email, Problems: r.Problems}
}

// Open begins to read a file at its first byte: it settles encoding and
// delimiter, reads the header row and finds our columns. A file that cannot be
// used is a *[FileError]; any other error comes from r.
func Open(r io.Reader, o roster.Options) (*Sheet, error) {
	reader, err := tabular.Open(r, tabular.Options{Encoding: o.Encoding, Delimiter: o.Delimiter})
	if err != nil {
		return nil, asFileError(err)
	}
	header, err := readHeader(reader)
	if err != nil {
		return nil, err
	}
	c, err := mapColumns(header, o.Mapping)
	if err != nil {
		return nil, err
	}
	return &Sheet{reader: reader, header: header, columns: c}, nil
}

// Resume goes on reading at a place that a [Row] gave. r starts at byte
// at.Offset of the file; format and header are those of the Sheet that was
// opened at the top.
func Resume(r io.Reader, format tabular.Format, header []string, mapping map[string]string, at tabular.Position) (*Sheet, error) {
	c, err := mapColumns(header, mapping)
	if err != nil {
		return nil, err
	}
	reader, err := tabular.Resume(r, format, at)
	if err != nil {
		return nil, fmt.Errorf("resume at row %d: %w", at.Row, err)
	}
	return &Sheet{reader: reader, header: header, columns: c}, nil
}

// CheckOptions reports the first option that cannot be obeyed, in a sentence.
func CheckOptions(o roster.Options) error {
	return tabular.Options{Encoding: o.Encoding, Delimiter: o.Delimiter}.Validate()
}

func readHeader(reader *tabular.Reader) ([]string, error) {
	record, err := reader.Next()
	if err == io.EOF {
		return nil, fileError(roster.EmptyFile, "The file has no header row.")
	}
	if err != nil {
		return nil, err
	}
	if record.Fault != nil {
		return nil, fileError(roster.MalformedFile, "The header row cannot be read. "+record.Fault.Message())
	}
	return texts(record.Cells), nil
}

// asFileError turns tabular's error about a file into ours.
func asFileError(err error) error {
	var e *tabular.FileError
	if !errors.As(err, &e) {
		return err
	}
	code := roster.MalformedFile
	switch e.Kind {
	case tabular.FileEmpty:
		code = roster.EmptyFile
	case tabular.FileEncoding:
		code = roster.EncodingError
	}
	return fileError(code, e.Error())
}

// Format is how the file is read.
func (s *Sheet) Format() tabular.Format { return s.reader.Format() }

// Header are the cells of the header row, as written.
func (s *Sheet) Header() []string { return s.header }

// Has reports whether the file has the column.
func (s *Sheet) Has(column roster.Column) bool {
	for k, c := range roster.Columns {
		if c == column {
			return s.columns.at[k] >= 0
		}
	}
	return false
}

// IsReport reports whether the file is an error report of ours: its formula
// guards are undone.
func (s *Sheet) IsReport() bool { return s.columns.isReport }

// Warnings are what should be known about the header.
func (s *Sheet) Warnings() []roster.Warning {
	if len(s.columns.unknown) == 0 {
		return nil
	}
	w := roster.Warning{
		Code:    roster.WarnUnknownColumns,
		Message: "These columns mean nothing to an import and are ignored: " + quoteList(s.columns.unknown) + ".",
		Columns: s.columns.unknown,
	}
	for _, column := range roster.Columns {
		if s.Has(column) {
			continue
		}
		if h, ok := Suggest(column, s.columns.unknown); ok {
			if w.Mapping == nil {
				w.Mapping = map[roster.Column]string{}
			}
			w.Mapping[column] = h
			w.Message += fmt.Sprintf(" Does %q hold the %s? Then send mapping {%q: %q}.", h, column, column, h)
		}
	}
	return []roster.Warning{w}
}

// LikelyEncoding names the encoding that the rows with bytes foreign to UTF-8
// read so far seem to be in; "" if there were none, or the file is [Sheet.Mixed].
func (s *Sheet) LikelyEncoding() string { return s.reader.LikelyEncoding() }

// Mixed reports whether rows with bytes foreign to UTF-8 stand in a file that
// is UTF-8 otherwise, so that no other encoding reads it.
func (s *Sheet) Mixed() bool { return s.reader.Mixed() }

// Next returns the next row that is not blank, io.EOF at the end. Any other
// error comes from the reader below: a row that is wrong has Problems.
func (s *Sheet) Next() (*Row, error) {
	record, err := s.reader.Next()
	if err != nil {
		return nil, err
	}
	r := &s.row
	*r = Row{Row: record.Row, Line: record.Line, Start: record.Start, End: record.End, Cells: record.Cells}
	if record.Fault != nil {
		r.Person.Email = s.cell(record.Cells, 0)
		r.Problems = []roster.Problem{faultProblem(record.Fault)}
		return r, nil
	}
	if message := s.miscounted(record.Cells); message != "" {
		r.Person.Email = s.cell(record.Cells, 0)
		r.Problems = []roster.Problem{roster.Malformed(message)}
		return r, nil
	}
	if s.columns.isReport && s.replaced(record.Cells) {
		r.Person.Email = s.cell(record.Cells, 0)
		r.Problems = []roster.Problem{roster.BadEncoding("The row still has characters (\uFFFD) that stand for bytes which could not be read.")}
		return r, nil
	}
	r.Person, r.Problems = roster.CheckRow(s.ours(record.Cells))
	return r, nil
}

// ours are the values of our columns. They share one string: it is made for
// every row, and four of them would be most of what a row costs.
func (s *Sheet) ours(cells [][]byte) roster.Cells {
	if s.columns.isReport {
		return roster.Cells{Email: s.cell(cells, 0), Name: s.cell(cells, 1), Role: s.cell(cells, 2), Department: s.cell(cells, 3)}
	}
	var ends [len(roster.Columns)]int
	s.text = s.text[:0]
	for k, i := range s.columns.at {
		if i >= 0 && i < len(cells) {
			s.text = append(s.text, cells[i]...)
		}
		ends[k] = len(s.text)
	}
	all := string(s.text)
	return roster.Cells{Email: all[:ends[0]], Name: all[ends[0]:ends[1]], Role: all[ends[1]:ends[2]], Department: all[ends[2]:ends[3]]}
}

// cell is the value of our k-th column, "" where the file or the row has none.
func (s *Sheet) cell(cells [][]byte, k int) string {
	i := s.columns.at[k]
	if i < 0 || i >= len(cells) {
		return ""
	}
	if s.columns.isReport {
		return strings.TrimSpace(tabular.Unguard(string(cells[i])))
	}
	return string(cells[i])
}

// Values are the row's cells as a person sees them: of an error report the
// guards are undone.
func (s *Sheet) Values(r *Row) []string {
	values := make([]string, len(r.Cells))
	for i, c := range r.Cells {
		values[i] = string(c)
		if s.columns.isReport {
			values[i] = tabular.Unguard(values[i])
		}
	}
	return values
}

// replaced reports whether one of our cells has the character that an error
// report shows in place of unreadable bytes.
func (s *Sheet) replaced(cells [][]byte) bool {
	for _, i := range s.columns.at {
		if i >= 0 && i < len(cells) && bytes.ContainsRune(cells[i], '\uFFFD') {
			return true
		}
	}
	return false
}

// miscounted returns a sentence if the row has too few cells or too many.
// Trailing cells beyond the header's that are all empty are fine.
func (s *Sheet) miscounted(cells [][]byte) string {
	if n := len(cells); n < s.columns.width {
		return fmt.Sprintf("The row has %s; the header has %d.", countCells(n), s.columns.width)
	}
	if len(cells) <= len(s.header) {
		return ""
	}
	for _, extra := range cells[len(s.header):] {
		if strings.TrimSpace(string(extra)) != "" {
			return fmt.Sprintf("The row has %s; the header has %d. A value that contains the delimiter must stand in quotes.",
				countCells(len(cells)), len(s.header))
		}
	}
	return ""
}

func countCells(n int) string {
	if n == 1 {
		return "1 cell"
	}
	return fmt.Sprintf("%d cells", n)
}

func faultProblem(f *tabular.Fault) roster.Problem {
	switch f.Kind {
	case tabular.FaultEncoding:
		return roster.BadEncoding(f.Message())
	case tabular.FaultTooLong:
		return roster.RecordTooLong(f.Message())
	}
	return roster.Malformed(f.Message())
}
