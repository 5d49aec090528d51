package userfile

import (
	"bytes"
	"strings"

	"rollcall/roster"
	"rollcall/tabular"
)

// textBytes is how much memory for values is allocated at a time: enough for about
// fifty rows. It is freed when no value in it is in use anymore.
const textBytes = 4 << 10

// values returns the values of the columns that imports use, as they are meant.
func (s *Reader) values(r *Row) roster.Cells {
	c := s.cellValues(r)
	c.AttributeNames, c.Attributes = s.attributeValues(r.Cells)
	return s.mapped(c)
}

// cellValues returns the values as they are in the file. They are parts of a
// string shared by several rows, because allocating a string per value, or per
// row, would be a large part of the cost of reading a row.
func (s *Reader) cellValues(r *Row) roster.Cells {
	cells := r.Cells
	if s.columns.isOurs || len(s.columns.nameParts) > 0 {
		return roster.Cells{Email: s.cell(cells, 0), Name: s.name(cells), Role: s.cell(cells, 2), Department: s.cell(cells, 3),
			ExternalID: s.cell(cells, 4), Status: s.cell(cells, 5), Locale: s.cell(cells, 6), Printable: r.plain}
	}
	size := 0
	at := s.columns.at[:len(roster.Columns)]
	for _, i := range at {
		if i >= 0 && i < len(cells) {
			size += len(cells[i])
		}
	}
	if s.text.Cap()-s.text.Len() < size {
		s.text.Reset() // values in the old memory stay valid
		s.text.Grow(max(size, textBytes))
	}
	begin := s.text.Len()
	var ends [len(roster.Columns)]int
	for k, i := range at {
		if i >= 0 && i < len(cells) {
			s.text.Write(unwrapText(cells[i]))
		}
		ends[k] = s.text.Len()
	}
	all := s.text.String()
	return roster.Cells{
		Email: all[begin:ends[0]], Name: all[ends[0]:ends[1]], Role: all[ends[1]:ends[2]], Department: all[ends[2]:ends[3]],
		ExternalID: all[ends[3]:ends[4]], Status: all[ends[4]:ends[5]], Locale: all[ends[5]:ends[6]], Printable: r.plain,
	}
}

// unwrapText returns what is inside `="…"`, which some programs write so that
// spreadsheets don't treat a value as a number.
func unwrapText(cell []byte) []byte {
	if len(cell) < 3 || cell[0] != '=' || cell[1] != '"' || cell[len(cell)-1] != '"' {
		return cell
	}
	inside := cell[2 : len(cell)-1]
	if bytes.IndexByte(inside, '"') >= 0 {
		return cell
	}
	return inside
}

// cell returns the value of column k of roster.Columns, or "" if the file or the
// row has none.
func (s *Reader) cell(cells [][]byte, k int) string {
	return s.value(cells, s.columns.at[k])
}

func (s *Reader) value(cells [][]byte, i int) string {
	if i < 0 || i >= len(cells) {
		return ""
	}
	if s.columns.isOurs {
		unguarded := tabular.UnescapeFormula(string(cells[i]))
		return strings.TrimSpace(string(unwrapText([]byte(unguarded))))
	}
	return string(unwrapText(cells[i]))
}

// name returns the name, which may be in several cells; they are joined by spaces.
func (s *Reader) name(cells [][]byte) string {
	name := s.cell(cells, 1)
	for _, i := range s.columns.nameParts {
		part := strings.TrimSpace(s.value(cells, i))
		if name = strings.TrimSpace(name); name != "" && part != "" {
			name += " "
		}
		name += part
	}
	return name
}

// Values returns the row's cells for display. In files that Rollcall exported, the
// apostrophes that protect against formulas are removed.
func (s *Reader) Values(r *Row) []string {
	values := make([]string, len(r.Cells))
	for i, c := range r.Cells {
		values[i] = string(c)
		if s.columns.isOurs {
			values[i] = tabular.UnescapeFormula(values[i])
		}
	}
	return values
}

func texts(cells [][]byte) []string {
	header := make([]string, len(cells))
	for i, cell := range cells {
		header[i] = string(cell)
	}
	return header
}
