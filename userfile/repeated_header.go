package userfile

import (
	"bytes"
	"fmt"
	"slices"

	"rollcall/roster"
)

// repeatsHeader reports whether a row is a header once more, as files have that
// were put together of several. One with the same columns is skipped; below one
// with other columns no value can be trusted, so that row and all below are
// refused.
func (s *Reader) repeatsHeader(r *Row) bool {
	if i := s.columns.at[0]; i < len(r.Cells) && bytes.IndexByte(r.Cells[i], '@') >= 0 {
		return false // most rows: an address
	}
	if !s.isHeader(r.Cells) {
		return false
	}
	if s.sameHeader(r.Cells) {
		s.notes.count(&s.notes.repeated, r.Row)
		return true
	}
	if s.mismatch == 0 {
		s.mismatch = r.Row
		s.notes.count(&s.notes.otherHeader, r.Row)
		s.refuse(roster.MalformedWith("This row is a second header with other columns, or in another order.", fixOtherHeader))
		return true
	}
	return false
}

const fixOtherHeader = "Put the rows below it in a file of their own"

func belowOtherHeader(row int64) roster.Problem {
	return roster.MalformedWith(fmt.Sprintf("Row %d is a second header with other columns, so the values of this row may be in the wrong ones.", row), fixOtherHeader)
}

// headerCells is how many cells of a row are looked at to tell whether it is a
// header.
const headerCells = 100

// isHeader reports whether a row names columns, an address and another of them.
// Most rows without an address are told by one cell: where the address is to be,
// there must be the name of a column.
func (s *Reader) isHeader(cells [][]byte) bool {
	i := s.columns.at[0]
	if i >= len(cells) || s.headerColumn(cells[i]) == noColumn {
		return false
	}
	var hasEmail, hasOther bool
	for _, c := range cells[:min(len(cells), headerCells)] {
		switch s.headerColumn(c) {
		case noColumn:
		case emailColumn:
			hasEmail = true
		default:
			hasOther = true
		}
	}
	return hasEmail && hasOther
}

// What a cell of a header may name.
const (
	noColumn = iota
	emailColumn
	anotherColumn
)

// headerColumn tells which column a cell names, if it does.
func (s *Reader) headerColumn(cell []byte) int {
	const longest = 200
	if len(cell) == 0 || len(cell) > longest || bytes.IndexByte(cell, '@') >= 0 {
		return noColumn
	}
	form := canonicalHeader(string(cell))
	i, own := s.columns.forms[form]
	switch {
	case form == "":
		return noColumn
	case form == string(roster.ColumnEmail), own && i == s.columns.at[0], slices.Contains(synonyms[0], form):
		return emailColumn
	case own, slices.Contains(s.columns.list, roster.Column(form)):
		return anotherColumn
	}
	for _, others := range synonyms[1:] {
		if slices.Contains(others, form) {
			return anotherColumn
		}
	}
	return noColumn
}

// sameHeader reports whether a row has the columns of the header in the same
// places.
func (s *Reader) sameHeader(cells [][]byte) bool {
	cells = trimBlank(cells)
	if len(cells) < s.columns.need || len(cells) > len(s.header) {
		return false
	}
	for i, c := range cells {
		if string(c) == s.header[i] {
			continue
		}
		if form := canonicalHeader(string(c)); form != canonicalHeader(s.header[i]) && !s.translates(form, i) {
			return false
		}
	}
	return true
}

// translates reports whether a header, in matching form, is another word for the
// column of ours that a cell has: the second row of files in two languages.
func (s *Reader) translates(form string, cell int) bool {
	k := slices.Index(s.columns.at[:], cell)
	return k >= 0 && (form == canonicalHeader(string(roster.Columns[k])) || slices.Contains(synonyms[k], form))
}
