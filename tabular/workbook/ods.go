package workbook

import (
	"bytes"
	"io"
	"math"
	"strconv"
	"strings"
)

// ods is an OpenDocument spreadsheet (ISO/IEC 26300, part 3, section 9). All its
// sheets are in one part.
type ods struct {
	archive *archive
	list    []Sheet
	tables  []int // of the sheets: which table of the document each is
}

const odsContent = "content.xml"

func (b *ods) sheets() []Sheet { return b.list }

// openODS reads the list of sheets, for which it has to go through all of them.
func openODS(a *archive) (*ods, error) {
	if a.has("encrypted-package") {
		return nil, protected()
	}
	manifest, err := a.begin("META-INF/manifest.xml", 1<<20)
	if err != nil {
		return nil, err
	}
	if bytes.Contains(manifest, []byte("encryption-data")) {
		return nil, protected()
	}
	b := &ods{archive: a}
	hidden := map[string]bool{}
	style := ""
	const maxStyles = 10_000
	err = b.scan(func(x *xmlScanner, table int) error {
		switch string(x.name) {
		case "style":
			style = ""
			if string(x.attr("family")) == "table" {
				style = string(x.attr("name"))
			}
		case "table-properties":
			if string(x.attr("display")) == "false" && style != "" && len(hidden) < maxStyles {
				hidden[style] = true
			}
		case "table":
			style := string(x.attr("style-name"))
			if style == "ta_extref" { // what another file had, kept by LibreOffice
				break
			}
			if len(b.list) == a.limits.Sheets {
				return tooLarge("The workbook has more than %d sheets.", a.limits.Sheets)
			}
			b.list = append(b.list, Sheet{Name: sheetName(x.attr("name")), Hidden: hidden[style]})
			b.tables = append(b.tables, table)
		}
		return nil
	})
	return b, err
}

// scan calls each for the start tags of the document outside of cells. table counts
// the tables before.
func (b *ods) scan(each func(x *xmlScanner, table int) error) error {
	p, x, err := b.archive.scan(odsContent, b.archive.limits.PartBytes)
	if err != nil {
		return err
	}
	if p == nil {
		return damaged("its main part is missing")
	}
	defer p.close()
	for table := 0; ; {
		t, err := x.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if t != startElement {
			continue
		}
		isTable := string(x.name) == "table"
		switch string(x.name) {
		case "tracked-changes", "dde-links", "shapes", "annotation", "table-cell", "covered-table-cell", "table-source", "text-style", "number-style":
			err = x.skipElement() // tables in some of them aren't sheets
		default:
			err = each(x, table)
		}
		if err != nil {
			return err
		}
		if isTable {
			table++
		}
	}
}

// errFound ends a scan.
type errFound struct{}

func (errFound) Error() string { return "found" }

// rows reads a sheet.
func (b *ods) rows(sheet, headerRow int, each func(*row) error) (merges, error) {
	s := odsRows{each: each, header: headerRow}
	err := b.scan(func(x *xmlScanner, table int) error {
		if string(x.name) != "table" || table != b.tables[sheet] {
			return nil
		}
		if err := s.read(x); err != nil {
			return err
		}
		return errFound{} // what is behind isn't of interest
	})
	if _, found := err.(errFound); found {
		err = nil
	}
	return s.merges, err
}

// odsRows reads the rows of one sheet.
type odsRows struct {
	each   func(*row) error
	row    row
	number int // of the row
	header int
	value  []byte
	shown  []byte // what the cell displays
	merges merges
}

// read reads a table whose start tag was just read. Rows may be in groups.
func (s *odsRows) read(x *xmlScanner) error {
	s.number = 1
	for depth := x.depth - 1; ; {
		t, err := x.next()
		if err != nil {
			return unexpected(err)
		}
		switch {
		case t == endElement && x.depth == depth:
			return nil
		case t != startElement:
		case string(x.name) == "table-row":
			if err := s.readRow(x); err != nil {
				return err
			}
		case string(x.name) == "shapes", string(x.name) == "forms", string(x.name) == "table-source", string(x.name) == "named-expressions":
			if err := x.skipElement(); err != nil {
				return err
			}
		}
	}
}

func (s *odsRows) readRow(x *xmlScanner) error {
	repeated, err := x.number("number-rows-repeated", 1)
	if err != nil {
		return err
	}
	visibility := string(x.attr("visibility"))
	s.row.reset(s.number, visibility == "collapse" || visibility == "filter")
	column := 0
	for depth := x.depth - 1; ; {
		t, err := x.next()
		if err != nil {
			return unexpected(err)
		}
		if t == endElement && x.depth == depth {
			break
		}
		if t != startElement {
			continue
		}
		switch string(x.name) {
		case "table-cell", "covered-table-cell":
			column, err = s.readCell(x, column)
		default:
			err = x.skipElement()
		}
		if err != nil {
			return err
		}
	}
	first := s.number
	s.number += max(repeated, 1)
	if len(s.row.cells) == 0 {
		return nil
	}
	for n := first; n < s.number; n++ {
		if n > maxRow {
			return damaged("it has a row " + strconv.Itoa(n) + ", and sheets end at row " + strconv.Itoa(maxRow))
		}
		s.row.number = n
		if err := s.each(&s.row); err != nil {
			return err
		}
	}
	return nil
}

// readCell reads a cell and returns the column behind it.
func (s *odsRows) readCell(x *xmlScanner, column int) (next int, err error) {
	repeated, err := x.number("number-columns-repeated", 1)
	if err != nil {
		return 0, err
	}
	rows, err := x.number("number-rows-spanned", 1)
	if err != nil {
		return 0, err
	}
	covered := string(x.name) == "covered-table-cell"
	s.value, s.shown = s.value[:0], s.shown[:0]
	kind := string(x.attr("office:value-type"))
	fault := FaultKind(0)
	if string(x.attr("calcext:value-type")) == "error" {
		fault = ErrorValue
	}
	formula := x.attr("formula") != nil
	switch kind {
	case "float", "percentage", "currency":
		s.value = append(s.value, x.attr("office:value")...)
	case "date":
		s.value = append(s.value, x.attr("date-value")...)
	case "time":
		s.value = append(s.value, clock(x.attr("time-value"))...)
	case "boolean":
		s.value = append(s.value, truth[isTrue(x.attr("boolean-value"))]...)
	}
	if err := s.readShown(x); err != nil {
		return 0, err
	}
	value := s.shown
	switch {
	case fault == ErrorValue:
	case kind == "float" || kind == "percentage" || kind == "currency":
		value = shownNumber(plainNumber(s.value), s.shown)
	case kind == "date" && bytes.IndexByte(s.shown, ':') < 0: // the time of day isn't shown
		value, _, _ = bytes.Cut(s.value, []byte("T"))
	case len(s.value) > 0:
		value = s.value
	case formula && kind == "" && len(s.shown) == 0:
		fault = NoResult
	}
	if isOpenDocumentError(value) && formula {
		fault = ErrorValue
	}
	next = column + max(repeated, 1)
	if next > maxColumn {
		if len(value) > 0 {
			return 0, damaged("it has a cell in a column that sheets don't have")
		}
		next = maxColumn
	}
	if covered { // a value under a merged area isn't shown
		return next, nil
	}
	s.merges = s.merges.addArea(merge{s.number, s.number + max(rows, 1) - 1, column}, s.header)
	for c := column; c < min(next, keptColumn); c++ {
		s.row.add(c, value, fault)
	}
	return next, nil
}

// isOpenDocumentError tells the errors of formulas that LibreOffice writes.
func isOpenDocumentError(shown []byte) bool {
	return bytes.HasPrefix(shown, []byte("Err:")) || bytes.HasPrefix(shown, []byte("#")) && bytes.HasSuffix(shown, []byte("!")) ||
		string(shown) == "#N/A" || string(shown) == "#NAME?"
}

// readShown reads what a cell displays, up to its end: its paragraphs, and neither
// comments nor pictures.
func (s *odsRows) readShown(x *xmlScanner) error {
	paragraph, paragraphs := 0, 0 // depth of the paragraph; how many there were
	for depth := x.depth - 1; ; {
		t, err := x.next()
		if err != nil {
			return unexpected(err)
		}
		if len(s.shown) > maxRowText {
			s.shown = s.shown[:maxRowText]
		}
		switch t {
		case endElement:
			if x.depth == depth {
				return nil
			}
			if x.depth < paragraph {
				paragraph = 0
			}
		case characters:
			if paragraph > 0 {
				s.shown = append(s.shown, x.text...)
			}
		case startElement:
			switch name := string(x.name); {
			case name == "p" && paragraph == 0:
				if paragraph = x.depth; paragraphs > 0 {
					s.shown = append(s.shown, '\n')
				}
				paragraphs++
			case paragraph == 0 || name == "annotation" || name == "ruby-text":
				if err := x.skipElement(); err != nil {
					return err
				}
			case name == "s":
				spaces, err := x.number("c", 1)
				if err != nil {
					return err
				}
				s.shown = append(s.shown, strings.Repeat(" ", min(spaces, 1000))...)
			case name == "tab":
				s.shown = append(s.shown, '\t')
			case name == "line-break":
				s.shown = append(s.shown, '\n')
			}
		}
	}
}

// shownNumber chooses between a number and what the cell displays of it: that has
// the leading zeros of an identifier, and what is between its digits.
func shownNumber(value, shown []byte) []byte {
	if !isDigits(value) || len(shown) <= len(value) {
		return value
	}
	var digits []byte
	for _, c := range shown {
		switch {
		case '0' <= c && c <= '9':
			digits = append(digits, c)
		case c == '.' || c == ',' || c == '%' || c == '\'' || c >= 0x80: // separators of thousands and decimals
			return value
		}
	}
	trimmed := bytes.TrimLeft(digits, "0")
	if string(trimmed) != string(bytes.TrimLeft(value, "0")) || len(digits) == 0 {
		return value
	}
	return shown
}

// clock writes a duration such as PT14H05M00S as a time.
func clock(duration []byte) []byte {
	rest, ok := bytes.CutPrefix(duration, []byte("PT"))
	if !ok {
		return duration
	}
	var seconds float64
	for len(rest) > 0 {
		i := bytes.IndexAny(rest, "HMS")
		if i < 0 {
			return duration
		}
		n, err := strconv.ParseFloat(string(rest[:i]), 64)
		if err != nil {
			return duration
		}
		seconds += n * map[byte]float64{'H': 3600, 'M': 60, 'S': 1}[rest[i]]
		rest = rest[i+1:]
	}
	if seconds < 0 || seconds > 1e7 {
		return duration
	}
	whole := int(math.Round(seconds))
	two := func(n int) string { return string([]byte{byte('0' + n/10%10), byte('0' + n%10)}) }
	hours := two(whole / 3600)
	if whole >= 360_000 {
		hours = strconv.Itoa(whole / 3600)
	}
	return []byte(hours + ":" + two(whole/60%60) + ":" + two(whole%60))
}
