package userfile

import (
	"bytes"
	"errors"
	"slices"

	"rollcall/roster"
	"rollcall/tabular"
	"rollcall/tabular/workbook"
)

// The rows of a workbook's sheet need less guessing than those of a CSV: a cell is in
// its column whatever the cells before it look like. So a row that ends early has
// blank cells, and one that goes on behind the header has values that are not used.

// sheetHeader is the header row of a sheet. A cell whose formula failed names no
// column.
func sheetHeader(cells [][]byte) []string {
	header := texts(cells)
	for i, c := range cells {
		if _, _, fault := cellFault(c); fault {
			header[i] = ""
		}
	}
	return header
}

// cellFault takes apart a cell without a value: see [workbook.Fault].
func cellFault(cell []byte) (kind workbook.FaultKind, text []byte, ok bool) {
	rest, ok := bytes.CutPrefix(cell, []byte(workbook.Fault))
	if !ok || len(rest) == 0 {
		return 0, cell, false
	}
	return workbook.FaultKind(rest[0]), rest[1:], true
}

// readSheetRow validates a row of a sheet. It reports false if the record is not a
// row.
func (s *Reader) readSheetRow(r *Row) bool {
	faults := s.fitSheetRow(r)
	if s.repeatsHeader(r) {
		return s.mismatch == r.Row
	}
	if s.mismatch > 0 {
		s.notes.count(&s.notes.otherHeader, r.Row)
		s.refuse(belowOtherHeader(s.mismatch))
		return true
	}
	if problem := s.unfixed(r); problem != nil {
		s.refuse(*problem)
		return true
	}
	if r.Person, r.Problems = roster.CheckRow(s.values(r)); len(r.Problems) > 0 {
		tellSwapped(r)
	}
	if len(faults) > 0 {
		r.Problems = withFaults(r.Problems, faults)
	}
	if len(r.Problems) > 0 {
		s.tellFooter(r)
	} else {
		s.notes.look(s, r)
	}
	return true
}

// fitSheetRow gives a row as many cells as the header has, and returns the problems
// of used cells without a value.
func (s *Reader) fitSheetRow(r *Row) (faults []roster.Problem) {
	width := len(s.header)
	if len(r.Cells) > width && !isBlank(r.Cells[width:]) {
		s.notes.count(&s.notes.unnamed, r.Row)
	}
	s.cells = append(s.cells[:0], r.Cells[:min(len(r.Cells), width)]...)
	for len(s.cells) < width {
		s.cells = append(s.cells, nil)
	}
	r.Cells = s.cells
	if r.plain {
		return nil
	}
	for i, c := range r.Cells {
		kind, text, ok := cellFault(c)
		if !ok {
			continue
		}
		r.Cells[i] = text
		switch column := s.columnOf(i); {
		case column == "":
		case kind == workbook.NoResult:
			faults = append(faults, roster.NoFormulaResult(column))
		default:
			faults = append(faults, roster.CellError(column, string(text)))
		}
	}
	return faults
}

// columnOf returns the column of ours that a cell belongs to, or "".
func (s *Reader) columnOf(i int) roster.Column {
	if k := slices.Index(s.columns.at[:], i); k >= 0 {
		return s.columns.list[k]
	}
	if slices.Contains(s.columns.nameParts, i) {
		return roster.ColumnName
	}
	return ""
}

// withFaults puts the problems of cells without a value in the place of those that
// such a cell seems to have.
func withFaults(problems, faults []roster.Problem) []roster.Problem {
	for _, p := range problems {
		if !slices.ContainsFunc(faults, func(f roster.Problem) bool { return f.Field == p.Field }) {
			faults = append(faults, p)
		}
	}
	return faults
}

// diagnosedSheet adds to the error about a sheet in which row its header seems to be.
func diagnosedSheet(err error, sample []byte, o roster.Options) error {
	var e *FileError
	if !errors.As(err, &e) {
		return err
	}
	if e.Code != roster.MissingColumn && e.Code != roster.DuplicateColumn || e.Mapping != nil || o.HeaderRow > 1 {
		return e
	}
	reader, err := tabular.Open(bytes.NewReader(sample), tabular.Options{Sheet: true})
	if err != nil {
		return e
	}
	for n := range headerRows {
		record, err := reader.Next()
		if err != nil {
			break
		}
		if n > 0 && record.Fault == nil && headerScore(sheetHeader(record.Cells), o) > mismatch {
			e.proposeHeader(record.Row)
			break
		}
	}
	return e
}

// SheetError turns an error of package workbook into a *[FileError].
func SheetError(e *workbook.Error) *FileError {
	told := fileError(roster.MalformedFile, e.Message)
	switch e.Kind {
	case workbook.Protected:
		told.Code = roster.ProtectedWorkbook
	case workbook.NoSheet:
		told.Code = roster.MissingSheet
	case workbook.Empty:
		told.Code = roster.EmptyFile
	case workbook.TooManyRows:
		told.Code = roster.TooManyRows
	}
	if told.Fix = e.Fix; told.Fix == "" {
		told.Fix = told.Code.FileFix()
	}
	return told
}

// errorNames are the errors of formulas as spreadsheets show them.
var errorNames = []string{"#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!", "#SPILL!", "#CALC!", "#FIELD!", "#GETTING_DATA"}

// unfixedError finds the error of a formula in a used cell of an error report. Where
// it comes from, it was an error, too.
func (s *Reader) unfixedError(cells [][]byte) *roster.Problem {
	for i, c := range cells {
		if len(c) < len("#N/A") || c[0] != '#' {
			continue
		}
		if column := s.columnOf(i); column != "" && slices.Contains(errorNames, string(c)) {
			p := roster.CellError(column, string(c))
			return &p
		}
	}
	return nil
}
