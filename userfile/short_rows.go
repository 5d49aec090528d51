package userfile

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"

	"rollcall/roster"
	"rollcall/tabular"
)

// readShort validates a row that ends early. The row is accepted if the missing
// cells are optional, the others are valid, and there is no sign that values are
// in the wrong columns or that the next row is the rest of this one.
func (s *Reader) readShort(r *Row, oneLine bool) {
	lacks := s.lacking(len(r.Cells))
	refuse := func(reason, fix string) {
		message := fmt.Sprintf("The row has %s; the header has %d", countCells(len(r.Cells)), s.columns.need)
		if len(lacks) > 0 {
			message += ": " + quoteList(lacks) + missingVerb(len(lacks))
		} else if s.usual.cells > 0 && len(r.Cells) >= s.columns.need {
			message = fmt.Sprintf("The row has %s; the others have %d", countCells(len(r.Cells)), s.usual.cells)
		}
		s.refuse(roster.MalformedWith(message+"."+reason, fix))
	}
	for k, column := range s.columns.list {
		if column.Required() && s.columns.at[k] >= len(r.Cells) {
			if other := s.otherDelimiter(r.Cells); other != "" {
				s.notes.otherDelimiter(other, r.Row)
				refuse(fmt.Sprintf(" It seems to have %s between its cells.", delimiterName(other)), fixOtherDelim)
				return
			}
			refuse("", "")
			s.meetFragment(r)
			return
		}
	}
	if s.brokenQuotes(r.Cells) != nil {
		refuse(" A quote of another kind does not hold a value together.", "")
		return
	}
	person, problems := roster.CheckRow(s.values(r))
	full := len(r.Cells) >= s.columns.need
	if full && len(problems) > 0 { // only unnamed cells at the end are missing
		r.Person, r.Problems = person, problems
		return
	}
	if len(problems) > 0 {
		refuse("", "")
		r.Problems = append(r.Problems, problems...)
		return
	}
	if other := s.otherDelimiter(r.Cells); other != "" {
		s.notes.otherDelimiter(other, r.Row)
		refuse(fmt.Sprintf(" One cell has %s inside, which may separate two.", delimiterName(other)), fixOtherDelim)
		return
	}
	if s.displacedRole(r.Cells) || !full && person.Role == roster.RoleAdmin && s.gap(r.Cells) >= 0 {
		refuse(" Its values may have moved, so that the role is not certain.", "")
		return
	}
	r.Person = person
	if oneLine && !full && s.brokenInTwo(r) {
		refuse(" The next row looks like the rest of it.", fixBrokenRow)
		return
	}
	s.notes.count(&s.notes.short, r.Row)
}

// meetFragment remembers a line with one cell. A line break may have separated it
// from the row before or after it, unless it is a heading.
func (s *Reader) meetFragment(r *Row) {
	if len(r.Cells) == 1 && bytes.IndexByte(r.Cells[0], '@') < 0 && !isFooter(r.Cells) {
		s.notes.count(&s.notes.broken, r.Row)
		if !s.isHeading(r.Cells[0]) {
			s.lone = r.Line
		}
	}
}

// isHeading reports whether a line with one cell is the heading of a section rather
// than the beginning of the row after it: "== Team A ==", and above addresses also
// "Sales department", because no part of an address has a space.
func (s *Reader) isHeading(cell []byte) bool {
	text := bytes.TrimSpace(cell)
	first, _ := utf8.DecodeRune(text)
	last, _ := utf8.DecodeLastRune(text)
	return !wordRune(first) || !wordRune(last) || s.columns.at[0] == 0 && bytes.IndexByte(text, ' ') >= 0
}

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '.' || r == '\'' }

// continues reports whether a row after a line with one cell may be the rest of
// it, so that its address or name may be incomplete.
func (s *Reader) continues(r *Row) bool {
	return len(r.Cells) >= s.columns.need && (s.columns.at[0] == 0 || s.columns.at[1] == 0)
}

// brokenInTwo reports whether the record after a row that ends early is the rest
// of it. It copies the row's cells, because reading ahead invalidates them.
func (s *Reader) brokenInTwo(r *Row) bool {
	for i, c := range r.Cells {
		r.Cells[i] = bytes.Clone(c)
	}
	r.Cells = append([][]byte(nil), r.Cells...)
	next := s.peek()
	if next == nil || next.Fault != nil || next.Line != r.Line+1 {
		return false
	}
	email := s.columns.at[0]
	if email < len(next.Cells) && bytes.IndexByte(next.Cells[email], '@') >= 0 {
		return false
	}
	return len(next.Cells) < s.columns.need && len(r.Cells)+len(next.Cells)-1 <= s.columns.need && !isFooter(next.Cells)
}

// lacking returns the headers of the columns that a row of n cells doesn't have.
func (s *Reader) lacking(n int) (names []string) {
	for i := n; i < s.columns.need; i++ {
		if s.columns.names[i] != "" {
			names = append(names, s.columns.names[i])
		}
	}
	return names
}

func missingVerb(n int) string {
	if n == 1 {
		return " is missing"
	}
	return " are missing"
}

// otherDelimiter returns a delimiter, other than the file's, that would give a row
// its missing cells, or "" if there is none.
func (s *Reader) otherDelimiter(cells [][]byte) string {
	want := max(s.columns.need-len(cells), 1)
	for _, d := range tabular.Delimiters() {
		if d == s.reader.Format().Delimiter {
			continue
		}
		n := 0
		for _, c := range cells {
			n += bytes.Count(c, []byte(d))
		}
		if n >= want {
			return d
		}
	}
	return ""
}

func delimiterName(d string) string {
	switch d {
	case ",":
		return "a comma"
	case ";":
		return "a semicolon"
	case "\t":
		return "a tab"
	}
	return "a pipe (|)"
}

func countCells(n int) string {
	if n == 1 {
		return "1 cell"
	}
	return fmt.Sprintf("%d cells", n)
}
