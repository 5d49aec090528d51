// Package userfile reads files of users: it applies the rules of package roster to
// the records of package tabular. The check, the import, the preview and the
// reports all use this reader, so they see the same rows.
package userfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"rollcall/roster"
	"rollcall/tabular"
)

// FileError says why a file as a whole can't be used.
type FileError struct{ roster.Failure }

func (e *FileError) Error() string { return string(e.Code) + ": " + e.Message }

func fileError(code roster.Code, message string) *FileError {
	return &FileError{roster.Failure{Code: code, Message: message, Fix: code.FileFix()}}
}

// Reader reads the rows of one file in order.
type Reader struct {
	reader  *tabular.Reader
	header  []string
	columns columns
	row     Row
	text    strings.Builder // holds the values of several rows: see values
	ahead   *lookahead

	usual    usual // how many cells most rows have; zero after Resume
	resumed  bool
	sheet    bool // the rows are those of a workbook's sheet
	notes    notes
	cells    [][]byte // holds the cells of a row with quotes that CSV doesn't know
	roles    roleValues
	names    []string // of the attributes that the file has
	lone     int64    // line of the row before, if it has one cell; 0: it doesn't
	mismatch int64    // row of a second header with other columns; 0: none so far
	edits    map[int64]roster.RowEdit
}

// lookahead is a record that was read ahead.
type lookahead struct {
	record *tabular.Record
	err    error
}

// Row is a row of the file, validated by the rules that need only the file. It is
// valid until the next call of [Reader.Next]; the strings in Person and Problems
// stay valid.
type Row struct {
	Row, Line  int64
	Start, End tabular.Position
	Cells      [][]byte // as in the file
	Person     roster.UserFields
	Problems   []roster.Problem // empty: the row is valid
	// InFile are the values that edited cells have in the file; nil for a row that is
	// not edited, "" where the row can't be read there.
	InFile map[roster.Column]string
	// OpensQuote is true if the row opens a quote that is never closed.
	OpensQuote bool

	plain     bool // tabular.Record.Plain
	faultCell int  // the cell that can't be read, -1: none
}

// RowError returns the row as an error for reports. The row must have problems.
func (r *Row) RowError() roster.RowError {
	return roster.RowError{Row: r.Row, Line: r.Line, Email: r.Person.Email, Problems: r.Problems}
}

// sampleBytes is how much of a file Open examines to find out how it is written.
const sampleBytes = 64 << 10

// Open starts reading a file at its first byte. It finds the encoding and the
// delimiter, reads the header row, finds the columns that imports use and examines
// the first rows. If the file can't be used, the error is a *[FileError] with the
// settings that would help, if any; any other error comes from r.
func Open(r io.Reader, o roster.Options) (*Reader, error) { return open(r, o, false) }

// OpenImport is [Open] for the rows of an import, which may be those of a workbook's
// sheet.
func OpenImport(r io.Reader, i *roster.Import, o roster.Options) (*Reader, error) {
	return open(r, o, i.IsSheet())
}

func open(r io.Reader, o roster.Options, sheet bool) (*Reader, error) {
	sample := make([]byte, sampleBytes)
	n, err := io.ReadFull(r, sample)
	sample = sample[:n]
	switch {
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		r = bytes.NewReader(sample)
	case err != nil:
		return nil, err
	default:
		r = io.MultiReader(bytes.NewReader(sample), r)
	}
	diagnosed := diagnosed
	if sheet {
		diagnosed = diagnosedSheet
	}
	reader, err := tabular.Open(r, tabular.Options{Encoding: o.Encoding, Delimiter: o.Delimiter, HeaderRow: o.HeaderRow, Sheet: sheet})
	if err != nil {
		return nil, diagnosed(asFileError(err), sample, o)
	}
	header, err := readHeader(reader, o.HeaderRow)
	if err != nil {
		return nil, diagnosed(err, sample, o)
	}
	c, err := mapColumns(header, o)
	if err != nil {
		return nil, diagnosed(err, sample, o)
	}
	if err := swapped(sample, reader.Format(), o.HeaderRow, c, header); err != nil {
		return nil, err
	}
	s := &Reader{reader: reader, header: header, columns: c, sheet: sheet}
	if sheet {
		return s, nil
	}
	s.usual = survey(sample, reader.Format(), o.HeaderRow, len(header), c.full)
	s.notes.readAs = guessedEncoding(sample, o, reader.Format())
	return s, nil
}

// Resume continues reading at a position taken from a [Row]. r starts at byte
// at.Offset of the file; format and header are those of the Reader that [Open]
// returned. Rows before that position are unknown, so a row that Open's Reader
// rejects or warns about because of its neighbors may be valid here.
func Resume(r io.Reader, format tabular.Format, header []string, o roster.Options, at tabular.Position) (*Reader, error) {
	c, err := mapColumns(header, o)
	if err != nil {
		return nil, err
	}
	reader, err := tabular.Resume(r, format, at)
	if err != nil {
		return nil, fmt.Errorf("resume at row %d: %w", at.Row, err)
	}
	return &Reader{reader: reader, header: header, columns: c, resumed: true, sheet: format.Sheet}, nil
}

// CheckOptions returns an error, written as a sentence, for the first option that
// isn't supported.
func CheckOptions(o roster.Options) error {
	return tabular.Options{Encoding: o.Encoding, Delimiter: o.Delimiter}.Validate()
}

// readHeader reads the header: the given row, or with 0 the first that isn't blank.
func readHeader(reader *tabular.Reader, row int64) ([]string, error) {
	record, err := reader.Next()
	for err == nil && record.Row < row {
		record, err = reader.Next()
	}
	switch {
	case err == io.EOF && row > 0:
		return nil, fileError(roster.EmptyFile, fmt.Sprintf("The file has no row %d, which was to be the header row.", row))
	case err == io.EOF:
		return nil, fileError(roster.EmptyFile, "The file has no header row.")
	case err != nil:
		return nil, err
	case row > 0 && record.Row != row:
		return nil, fileError(roster.MissingColumn, fmt.Sprintf("Row %d, which was to be the header row, is blank.", row))
	}
	if record.Fault != nil {
		e := fileError(roster.MalformedFile, "The header row cannot be read. "+record.Fault.Message())
		if record.Fault.Kind == tabular.FaultUnbalancedQuote {
			e.Message += " Close it; if the file was cut off there, export it again."
		}
		return nil, e
	}
	if reader.Format().Sheet {
		return sheetHeader(record.Cells), nil
	}
	if cells, ok := wrappedLine(reader, record.Cells); ok {
		return texts(cells), nil
	}
	return texts(record.Cells), nil
}

// asFileError turns a *tabular.FileError into a *[FileError].
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
	told := fileError(code, e.Error())
	if e.Kind == tabular.FileEncoding && (tabular.Options{Encoding: e.Likely}).Validate() == nil {
		told.Encoding = e.Likely
		told.Fix = fmt.Sprintf("Send encoding=%s (or choose it under File settings), or save the file as CSV (UTF-8)", e.Likely)
	}
	return told
}

// Format returns how the file is read.
func (s *Reader) Format() tabular.Format { return s.reader.Format() }

// Header returns the cells of the header row as written.
func (s *Reader) Header() []string { return s.header }

// Has reports whether the file has the column.
func (s *Reader) Has(column roster.Column) bool {
	k := slices.Index(s.columns.list, column)
	return k >= 0 && s.columns.at[k] >= 0
}

// CellsOf returns the indices of the cells that a column is read from, none if the
// file doesn't have it. A name may be in several.
func (s *Reader) CellsOf(column roster.Column) (cells []int) {
	if k := slices.Index(s.columns.list, column); k >= 0 && s.columns.at[k] >= 0 {
		cells = append(cells, s.columns.at[k])
	}
	if column == roster.ColumnName {
		cells = append(cells, s.columns.nameParts...)
	}
	return cells
}

// LikelyEncoding returns the likely encoding of the rows read so far that are not
// valid UTF-8. It is "" if there are none, if no encoding is likely, or if the file
// is [Reader.Mixed].
func (s *Reader) LikelyEncoding() string { return s.reader.LikelyEncoding() }

// Mixed reports whether some rows are not valid UTF-8 although the rest of the file
// is, so that no other encoding reads the file.
func (s *Reader) Mixed() bool { return s.reader.Mixed() }

// Next returns the next row that is not blank, or io.EOF at the end. A row that is
// not valid has Problems; any other error comes from the underlying reader. Rows
// that repeat the header are skipped.
func (s *Reader) Next() (*Row, error) {
	for {
		record, err := s.record()
		if err != nil {
			return nil, err
		}
		if s.read(record) {
			return &s.row, nil
		}
	}
}

func (s *Reader) record() (*tabular.Record, error) {
	if next := s.ahead; next != nil {
		s.ahead = nil
		return next.record, next.err
	}
	return s.reader.Next()
}

// peek reads the next record ahead, which invalidates the current one. It returns
// nil if there is none or it can't be read.
func (s *Reader) peek() *tabular.Record {
	record, err := s.reader.Next()
	s.ahead = &lookahead{record, err}
	if err != nil {
		return nil
	}
	return record
}

// read validates a record by all rules that need only the file. It reports false if
// the record is not a row.
func (s *Reader) read(record *tabular.Record) bool {
	r := &s.row
	*r = Row{Row: record.Row, Line: record.Line, Start: record.Start, End: record.End, Cells: record.Cells, plain: record.Plain, faultCell: -1}
	afterLone := s.lone > 0 && s.lone+1 == r.Line
	s.lone = 0
	edit, edited := s.edits[r.Row]
	if edited && (edit.Whole || s.sheet) {
		s.readEdited(r, edit)
		return true
	}
	if record.Fault != nil {
		r.OpensQuote, r.faultCell = record.Fault.Kind == tabular.FaultUnbalancedQuote, record.Fault.Cell
		s.refuse(faultProblem(record))
		return true
	}
	if s.sheet {
		return s.readSheetRow(r)
	}
	if cells, ok := wrappedLine(s.reader, r.Cells); ok && len(s.header) > 1 {
		s.notes.count(&s.notes.wrapped, r.Row)
		r.Cells = cells
	}
	if !r.plain {
		s.readOddQuotes(r)
	}
	if s.repeatsHeader(r) {
		return s.mismatch == r.Row
	}
	if s.mismatch > 0 {
		s.notes.count(&s.notes.otherHeader, r.Row)
		s.refuse(belowOtherHeader(s.mismatch))
		return true
	}
	if edited {
		s.readEdited(r, edit)
		return true
	}
	if problem := s.unfixed(r); problem != nil {
		s.refuse(*problem)
		return true
	}
	if n := len(r.Cells); n < s.columns.need || n < s.usual.cells {
		s.readShort(r, r.End.Line == r.Line+1)
	} else {
		s.readWhole(r)
	}
	if afterLone && len(r.Problems) == 0 && s.continues(r) {
		s.refuse(roster.MalformedWith("This row looks like the rest of the row before it, broken in two by a line break.", fixBrokenRow))
	}
	if len(r.Problems) > 0 {
		s.tellFooter(r)
	} else {
		s.notes.look(s, r)
	}
	return true
}

// readWhole validates a row that does not end early.
func (s *Reader) readWhole(r *Row) {
	if !r.plain {
		if problem := s.brokenQuotes(r.Cells); problem != nil {
			s.refuse(*problem)
			return
		}
	}
	if len(r.Cells) > s.columns.full {
		if problem := s.surplus(r); problem != nil {
			s.refuse(*problem)
			return
		}
	}
	if r.Person, r.Problems = roster.CheckRow(s.values(r)); len(r.Problems) > 0 {
		tellSwapped(r)
	}
}

// refuse rejects the current row with a single problem.
func (s *Reader) refuse(problem roster.Problem) {
	s.row.Person = roster.UserFields{Email: s.cell(s.row.Cells, 0)}
	s.row.Problems = []roster.Problem{problem}
}

// faultProblem returns the problem of a record that could not be read.
func faultProblem(record *tabular.Record) roster.Problem {
	f := record.Fault
	switch f.Kind {
	case tabular.FaultEncoding:
		return roster.BadEncoding(f.Message())
	case tabular.FaultTooLong:
		return roster.RecordTooLong(f.Message())
	case tabular.FaultStrayQuote, tabular.FaultUnbalancedQuote:
		for _, cell := range record.Cells {
			if bytes.Contains(cell, []byte(`\"`)) {
				return roster.MalformedWith(f.Message()+" There is a backslash before a quote, which does not count in CSV.",
					`Write a quote inside a cell twice ("") instead of \"`)
			}
		}
	}
	return roster.Malformed(f.Message())
}
