package userfile

import (
	"bytes"
	"fmt"
	"strings"

	"rollcall/roster"
	"rollcall/tabular"
)

// usual is how many cells the rows of a file have that have more than the
// header names: the habit of a program that ends each row with delimiters. The
// zero value is no such habit.
type usual struct{ cells int }

const (
	surveyRows = 1000 // how many rows are looked at to find the habit
	habitRows  = 2    // how many there must be at least for it to be one
)

// survey finds the habit of a file by its header and the rows of its beginning:
// the header ends with cells without a name, or most rows end with empty cells
// beyond it.
func survey(sample []byte, format tabular.Format, headerRow int64, header, full int) usual {
	if header > full {
		return usual{header}
	}
	reader, err := tabular.Open(bytes.NewReader(sample), tabular.Options{Encoding: format.Encoding, Delimiter: format.Delimiter})
	if err != nil {
		return usual{}
	}
	if _, err = readHeader(reader, headerRow); err != nil {
		return usual{}
	}
	rows, ending, widths := 0, 0, map[int]int{}
	for rows < surveyRows {
		record, err := reader.Next()
		if err != nil {
			break
		}
		rows++
		if n := len(record.Cells); record.Fault == nil && n > full && isBlank(record.Cells[full:]) {
			ending++
			widths[n]++
		}
	}
	if ending < habitRows || 2*ending <= rows {
		return usual{}
	}
	most := 0
	for n, count := range widths {
		if count > widths[most] || count == widths[most] && n < most {
			most = n
		}
	}
	return usual{most}
}

func isBlank(cells [][]byte) bool {
	for _, c := range cells {
		if len(bytes.TrimSpace(c)) > 0 {
			return false
		}
	}
	return true
}

// gap is the first blank cell, under a header with a name, that has a value behind
// it; -1 if there is none.
func (s *Reader) gap(cells [][]byte) int {
	first := -1
	for i, c := range cells[:min(len(cells), s.columns.need)] {
		switch empty := len(bytes.TrimSpace(c)) == 0; {
		case empty && first < 0 && s.columns.names[i] != "":
			first = i
		case !empty && first >= 0:
			return first
		}
	}
	return -1
}

// tooMany is the problem of a row with one delimiter too many, which is probably
// before the blank cell at gap.
func (s *Reader) tooMany(cells, gap int) *roster.Problem {
	where := fmt.Sprintf("cell %d", gap+1)
	if name := strings.Join(strings.Fields(s.columns.names[gap]), " "); name != "" {
		where += fmt.Sprintf(" (%s)", name)
	}
	p := roster.MalformedWith(fmt.Sprintf("The row has one delimiter too many, probably before or behind %s, which is empty: %s for the %s. "+
		"Values may be in the wrong columns.", where, countCells(cells), s.listColumns()), fixExtra)
	return &p
}

const (
	fixExtra       = "Remove the delimiter that is too many"
	fixBrokenRow   = "Join the two rows, or put the value with the line break in quotes"
	fixOtherDelim  = "Use one delimiter in the whole file, and put values that contain it in quotes"
	mostSuspicious = 3 // more empty cells than this behind a row are a spreadsheet's doing
)

// surplus judges a row with more cells than the header names. Empty ones at the
// end are fine where the file has the habit. Elsewhere they may come of one
// delimiter too many in front, which has moved values into the wrong columns:
// that is certain enough where a cell inside is blank.
func (s *Reader) surplus(r *Row) *roster.Problem {
	full := s.columns.full
	if !isBlank(r.Cells[full:]) {
		if gap := s.gap(r.Cells); gap >= 0 && len(trimBlank(r.Cells)) == full+1 {
			return s.tooMany(full+1, gap)
		}
		p := roster.Malformed(fmt.Sprintf("The row has %s for the %s; a value that contains the delimiter must be quoted.",
			countCells(len(r.Cells)), s.listColumns()))
		return &p
	}
	if s.resumed || len(r.Cells) == s.usual.cells && !s.displacedRole(r.Cells) {
		return nil
	}
	gap := s.gap(r.Cells)
	switch {
	case gap >= 0 && (s.usual.cells == 0 || s.displacedRole(r.Cells)):
		return s.tooMany(len(r.Cells), gap)
	case len(r.Cells) > s.usual.cells && (gap >= 0 || len(r.Cells)-max(full, s.usual.cells) <= mostSuspicious):
		s.notes.count(&s.notes.extra, r.Row)
	}
	return nil
}

// listColumns counts and names the header's columns, at most a dozen, for a
// sentence.
func (s *Reader) listColumns() string {
	const most = 12
	var named []string
	for _, name := range s.columns.names[:s.columns.full] {
		if name = strings.Join(strings.Fields(name), " "); name != "" {
			named = append(named, name)
		}
	}
	text := fmt.Sprintf("%d columns %s", s.columns.full, strings.Join(named[:min(len(named), most)], ", "))
	if len(named) > most {
		text += fmt.Sprintf(" and %d more", len(named)-most)
	}
	return text
}

func trimBlank(cells [][]byte) [][]byte {
	for len(cells) > 0 && len(bytes.TrimSpace(cells[len(cells)-1])) == 0 {
		cells = cells[:len(cells)-1]
	}
	return cells
}

// displacedRole reports whether the word of a role is in another column than
// that of the role, though the file has one: the sign of a row whose values have
// moved.
func (s *Reader) displacedRole(cells [][]byte) bool {
	role := s.columns.at[2]
	if role < 0 {
		return false
	}
	for i, c := range cells {
		if i == role || i >= s.columns.full || len(c) < 4 || len(c) > 8 {
			continue
		}
		if word := bytes.TrimSpace(c); bytes.EqualFold(word, []byte(roster.RoleUser)) || bytes.EqualFold(word, []byte(roster.RoleAdmin)) {
			return true
		}
	}
	return false
}
