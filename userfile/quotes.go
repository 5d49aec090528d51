package userfile

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"rollcall/roster"
	"rollcall/tabular"
)

// wrappedLine returns the cells inside a line that is one quoted cell: some
// programs take each line of a file for one cell and quote it as a whole.
// It reports false if the record is not one.
func wrappedLine(reader *tabular.Reader, cells [][]byte) ([][]byte, bool) {
	if len(cells) != 1 || bytes.IndexByte(cells[0], reader.Format().Delimiter[0]) < 0 {
		return nil, false // unquoted, the delimiter would have made two cells
	}
	return reader.SplitLine(cells[0])
}

// quotePairs are quotes that CSV does not know and programs write around cells.
var quotePairs = [...]struct{ open, end string }{
	{"“", "”"}, {"„", "“"}, {"„", "”"}, {"”", "”"}, {"«", "»"}, {"»", "«"}, {"‘", "’"}, {"'", "'"}, {"`", "`"}, {"`", "'"},
}

// quotedBy reports whether a cell is in a pair of quotes, and what is inside.
func quotedBy(cell []byte, open, end string) (inside []byte, ok bool) {
	cell = bytes.TrimSpace(cell)
	if len(cell) < len(open)+len(end) || !bytes.HasPrefix(cell, []byte(open)) || !bytes.HasSuffix(cell, []byte(end)) {
		return nil, false
	}
	return cell[len(open) : len(cell)-len(end)], true
}

// readOddQuotes takes the quotes off a row whose cells are all in quotes of
// another kind than CSV has.
func (s *Reader) readOddQuotes(r *Row) {
	i := s.columns.at[0]
	if i >= len(r.Cells) || len(r.Cells[i]) == 0 || !oddStart(bytes.TrimLeft(r.Cells[i], " ")) {
		return
	}
	for _, pair := range quotePairs {
		if _, ok := quotedBy(r.Cells[i], pair.open, pair.end); !ok {
			continue
		}
		s.cells = s.cells[:0]
		for _, c := range r.Cells {
			inside, ok := quotedBy(c, pair.open, pair.end)
			if !ok && len(bytes.TrimSpace(c)) > 0 {
				break
			}
			s.cells = append(s.cells, inside)
		}
		if len(s.cells) == len(r.Cells) {
			r.Cells = s.cells
			s.notes.count(&s.notes.oddQuotes, r.Row)
			return
		}
	}
}

func oddStart(cell []byte) bool {
	return len(cell) > 0 && (cell[0] == '\'' || cell[0] == '`' || cell[0] >= utf8.RuneSelf && !bytes.ContainsAny(cell[:1], "@"))
}

// brokenQuotes finds a value that quotes of another kind were to hold together
// and that the delimiter has cut: one cell opens such a quote, a later one ends
// it.
func (s *Reader) brokenQuotes(cells [][]byte) *roster.Problem {
	opened, end := false, ""
	for _, c := range cells {
		if opened && bytes.HasSuffix(bytes.TrimRight(c, " "), []byte(end)) {
			p := roster.MalformedWith("A value is in quotes of another kind than CSV has, so the delimiter inside has cut it in two.",
				`Write the quotes around values as "`)
			return &p
		}
		if len(c) == 0 || c[0] != '\'' && c[0] != '`' && c[0] != ' ' && c[0] < utf8.RuneSelf {
			continue
		}
		text := strings.TrimLeft(string(c), " ")
		for _, pair := range quotePairs {
			if rest, ok := strings.CutPrefix(text, pair.open); ok && !strings.Contains(rest, pair.end) {
				opened, end = true, pair.end
				break
			}
		}
	}
	return nil
}
