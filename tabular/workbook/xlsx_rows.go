package workbook

import (
	"bytes"
	"io"
	"strconv"
)

// rows reads a worksheet (section 18.3).
func (b *xlsx) rows(sheet, headerRow int, each func(*row) error) (merges, error) {
	if err := b.load(); err != nil {
		return nil, err
	}
	p, x, err := b.archive.scan(b.parts[sheet], b.archive.limits.PartBytes)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, damaged("a sheet is missing")
	}
	defer p.close()
	s := xlsxRows{book: b, x: x, each: each}
	for {
		t, err := x.next()
		if err == io.EOF {
			return s.merges, nil
		}
		if err != nil {
			return nil, err
		}
		if t != startElement {
			continue
		}
		switch string(x.name) {
		case "row":
			err = s.readRow()
		case "mergeCell":
			s.merges = s.merges.add(x.attr("ref"), headerRow)
		}
		if err != nil {
			return nil, err
		}
	}
}

// xlsxRows reads the rows of one sheet.
type xlsxRows struct {
	book   *xlsx
	x      *xmlScanner
	each   func(*row) error
	row    row
	last   int // number of the row before
	value  []byte
	merges merges
}

func (s *xlsxRows) readRow() error {
	number, err := s.x.number("r", s.last+1)
	if err != nil {
		return err
	}
	if number <= s.last {
		return damaged("its rows aren't in order")
	}
	if number > maxRow {
		return damaged("it has a row " + strconv.Itoa(number) + ", and sheets end at row " + strconv.Itoa(maxRow))
	}
	s.last = number
	s.row.reset(number, isTrue(s.x.attr("hidden")))
	column := -1
	for depth := s.x.depth - 1; ; {
		t, err := s.x.next()
		if err != nil {
			return unexpected(err)
		}
		switch t {
		case startElement:
			if string(s.x.name) != "c" {
				if err := s.x.skipElement(); err != nil {
					return err
				}
				continue
			}
			if column, err = s.readCell(column); err != nil {
				return err
			}
		case endElement:
			if s.x.depth == depth {
				return s.each(&s.row)
			}
		}
	}
}

// readCell reads a cell and returns its column. last is that of the cell before.
func (s *xlsxRows) readCell(last int) (column int, err error) {
	x := s.x
	column = last + 1
	if ref := x.attr("r"); ref != nil {
		if column = columnOf(ref); column < 0 {
			return 0, damaged("it has a cell in a column that sheets don't have")
		}
	}
	if column <= last {
		return 0, damaged("the cells of a row aren't in order")
	}
	style, err := x.number("s", 0)
	if err != nil {
		return 0, err
	}
	kind := cellType(x.attr("t"))
	s.value = s.value[:0]
	var formula, has bool
	var inValue int
	for depth := x.depth - 1; ; {
		t, err := x.next()
		if err != nil {
			return 0, unexpected(err)
		}
		switch t {
		case startElement:
			switch string(x.name) {
			case "v":
				has, inValue = true, x.depth
				continue
			case "is":
				has = true
				if s.value, err = richText(x, s.value); err != nil {
					return 0, err
				}
				continue
			case "f":
				formula = true
			}
			if err := x.skipElement(); err != nil {
				return 0, err
			}
		case endElement:
			if x.depth < inValue {
				inValue = 0
			}
			if x.depth == depth {
				return column, s.add(column, kind, style, formula, has)
			}
		case characters:
			if inValue > 0 && len(s.value) <= maxRowText {
				s.value = append(s.value, x.text...)
			}
		}
	}
}

// The types of cells (ST_CellType).
const (
	numberCell = iota
	sharedCell
	textCell
	boolCell
	errorCell
	dateCell
)

func cellType(t []byte) int {
	switch string(t) {
	case "s":
		return sharedCell
	case "str", "inlineStr":
		return textCell
	case "b":
		return boolCell
	case "e":
		return errorCell
	case "d":
		return dateCell
	}
	return numberCell
}

// add adds the cell just read to the row.
func (s *xlsxRows) add(column, kind, style int, formula, has bool) error {
	if formula && !has {
		s.row.add(column, nil, NoResult)
		return nil
	}
	switch kind {
	case sharedCell:
		n, err := strconv.Atoi(string(bytes.TrimSpace(s.value)))
		text, ok := s.book.strings.get(n)
		if err != nil && has || !ok && has {
			return damaged("a cell refers to a text that the workbook doesn't have")
		}
		s.row.add(column, text, 0)
	case textCell:
		s.row.add(column, unescape(s.value), 0)
	case boolCell:
		if has {
			s.row.add(column, truth[isTrue(bytes.TrimSpace(s.value))], 0)
		}
	case errorCell:
		s.row.add(column, s.value, ErrorValue)
	case dateCell:
		s.row.add(column, bytes.TrimSpace(s.value), 0)
	default:
		value := bytes.TrimSpace(s.value)
		if len(value) == 0 {
			return nil
		}
		var format numberFormat
		if style < len(s.book.formats) {
			format = s.book.formats[style]
		}
		s.row.add(column, format.number(value, s.book.since1904), 0)
	}
	return nil
}

// merge is an area of merged cells over several rows. Only the first has the value.
type merge struct{ top, bottom, left int }

type merges []merge

const maxMerges = 1000

// add adds an area such as A1:B2 if the header is in it and doesn't begin it.
func (m merges) add(ref []byte, headerRow int) merges {
	from, to, ok := bytes.Cut(ref, []byte(":"))
	if !ok {
		return m
	}
	return m.addArea(merge{rowOf(from), rowOf(to), columnOf(from)}, headerRow)
}

func (m merges) addArea(a merge, headerRow int) merges {
	if a.top < 1 || a.top >= headerRow || a.bottom < headerRow || a.left < 0 || a.left >= keptColumn || len(m) == maxMerges {
		return m
	}
	return append(m, a)
}
