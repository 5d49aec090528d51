package userfile

import (
	"slices"

	"rollcall/roster"
	"rollcall/tabular"
)

// SetEdits makes the reader return rows, by number, with edited cells. It is called
// before the first row is read. An edited row is judged by its values alone: what
// was wrong with its shape, or what its neighbors say about it, no longer counts.
func (s *Reader) SetEdits(edits map[int64]roster.RowEdit) { s.edits = edits }

// readEdited validates a row with edited cells.
func (s *Reader) readEdited(r *Row, e roster.RowEdit) {
	var faults []roster.Problem
	switch {
	case e.Whole:
		r.Cells = make([][]byte, len(s.header))
	case s.sheet:
		faults = s.fitSheetRow(r)
		r.Cells = slices.Clone(r.Cells)
	default:
		cells := make([][]byte, max(len(s.header), len(r.Cells)))
		copy(cells, r.Cells)
		r.Cells = cells
	}
	r.InFile = map[roster.Column]string{}
	for column := range e.Cells {
		r.InFile[column] = s.FileValue(r, column)
	}
	r.plain, r.OpensQuote, r.faultCell = false, false, -1
	s.unmark(r, fixCell, fixRow)
	for column, value := range e.Cells {
		s.setCell(r, column, value)
		faults = slices.DeleteFunc(faults, func(p roster.Problem) bool { return p.Field == column })
	}
	if s.columns.isReport {
		p := s.unfixedError(r.Cells)
		if p == nil {
			p = s.stillDuplicate(r.Cells)
		}
		if p != nil {
			s.refuse(*p)
			return
		}
	}
	if r.Person, r.Problems = roster.CheckRow(s.values(r)); len(r.Problems) > 0 {
		tellSwapped(r)
	}
	if len(faults) > 0 {
		r.Problems = withFaults(r.Problems, faults)
	}
}

// setCell gives a row another value of a column. A name that is in several cells is
// put in the first.
func (s *Reader) setCell(r *Row, column roster.Column, value string) {
	k := slices.Index(s.columns.list, column)
	if k < 0 || s.columns.at[k] < 0 {
		return
	}
	if s.columns.isOurs {
		value = tabular.EscapeFormula(value)
	}
	r.Cells[s.columns.at[k]] = []byte(value)
	if column == roster.ColumnName {
		for _, i := range s.columns.nameParts {
			r.Cells[i] = nil
		}
	}
}

// FileValue returns what the row's cells have for a column, as in the file: not
// trimmed, and before a value map.
func (s *Reader) FileValue(r *Row, column roster.Column) string {
	if column == roster.ColumnName {
		return s.name(r.Cells)
	}
	if k := slices.Index(s.columns.list, column); k >= 0 {
		return s.value(r.Cells, s.columns.at[k])
	}
	return ""
}

// Marked reports whether the row has a mark of an error report: its cells are as
// they should be, however it failed before.
func (s *Reader) Marked(r *Row) bool {
	return slices.ContainsFunc(r.Cells, func(cell []byte) bool { return Marked(string(cell)) })
}

// IsShape reports whether a problem is about a row that could not be split into
// cells as it was meant, rather than about one of its values.
func IsShape(p roster.Problem) bool { return p.Field == "" && isShape(p.Code) }
