package workbook

import (
	"bytes"
	"math"
	"strconv"
	"time"
)

// FaultKind says why a cell has no value.
type FaultKind byte

// The kinds of fault.
const (
	// ErrorValue: a formula failed. The text of the cell is the error, such as #N/A.
	ErrorValue FaultKind = 'E'
	// NoResult: a formula whose result isn't stored in the file.
	NoResult FaultKind = 'F'
)

// row is a row of a sheet. Its memory is used again for the next.
type row struct {
	number int // from 1, as spreadsheets show it
	hidden bool
	cells  []cell
	text   []byte
	cut    bool // text was left out, because the row is too long
}

// cell is a cell that has a value or a fault.
type cell struct {
	column   int // from 0
	from, to int // of its value in the row's text
	fault    FaultKind
}

const (
	maxRow     = 1 << 20 // of Excel; also the most that LibreOffice writes by default
	maxColumn  = 1 << 14 // of Excel and LibreOffice
	keptColumn = 1001    // what is behind is no more than too many cells
	maxRowText = 5 << 18 // more than package tabular takes as one record
)

func (r *row) reset(number int, hidden bool) {
	*r = row{number: number, hidden: hidden, cells: r.cells[:0], text: r.text[:0]}
}

// add adds a cell with a value. Columns must go up.
func (r *row) add(column int, value []byte, fault FaultKind) {
	if len(value) == 0 && fault == 0 || column >= keptColumn {
		return
	}
	if len(r.text)+len(value) > maxRowText {
		value, r.cut = value[:max(0, maxRowText-len(r.text))], true
	}
	from := len(r.text)
	r.text = append(r.text, value...)
	r.cells = append(r.cells, cell{column, from, len(r.text), fault})
}

func (r *row) value(c cell) []byte { return r.text[c.from:c.to] }

// plainNumber writes a number as a person writes it who copies it: an identifier
// keeps its digits, and what binary fractions add behind the fifteenth is dropped.
func plainNumber(raw []byte) []byte {
	if isDigits(raw) && len(raw) <= 15 {
		return raw
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return raw
	}
	const digits = 15
	if f == math.Trunc(f) && math.Abs(f) < 1e21 {
		return strconv.AppendFloat(nil, f, 'f', -1, 64)
	}
	if rounded, err := strconv.ParseFloat(strconv.FormatFloat(f, 'g', digits, 64), 64); err == nil {
		f = rounded
	}
	if a := math.Abs(f); a < 1e-9 || a >= 1e21 {
		return strconv.AppendFloat(nil, f, 'g', -1, 64)
	}
	return strconv.AppendFloat(nil, f, 'f', -1, 64)
}

func isDigits(text []byte) bool {
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(text) > 0
}

var truth = map[bool][]byte{true: []byte("TRUE"), false: []byte("FALSE")}

// dateText writes a serial number as a date in ISO 8601. It reports false if it is
// none. serial counts days from the epoch of the workbook.
func dateText(serial float64, hasDate, hasTime, since1904 bool) ([]byte, bool) {
	const lastDay = 2_958_466 // the first of the year 10000
	if serial < 0 || serial >= lastDay {
		return nil, false
	}
	const daySeconds = 24 * 60 * 60
	days, fraction := math.Modf(serial)
	seconds := math.Round(fraction * daySeconds)
	if hasTime && !hasDate && days == 0 && seconds < daySeconds {
		return time.Unix(int64(seconds), 0).UTC().AppendFormat(nil, time.TimeOnly), true
	}
	epoch := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)
	switch {
	case since1904:
		epoch = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	case days < 60: // Excel believes in the 29th of February 1900
		epoch = epoch.AddDate(0, 0, 1)
	}
	at := epoch.AddDate(0, 0, int(days)).Add(time.Duration(seconds) * time.Second)
	if !hasTime {
		return at.AppendFormat(nil, time.DateOnly), true
	}
	return at.AppendFormat(nil, "2006-01-02T15:04:05"), true
}

// columnOf reads the letters of a cell's reference, such as AB12. It returns -1 if
// there are none, or there is no such column.
func columnOf(ref []byte) int {
	n, i := 0, 0
	for ; i < len(ref); i++ {
		c := ref[i] | 0x20
		if c < 'a' || c > 'z' {
			break
		}
		if n = n*26 + int(c-'a') + 1; n > maxColumn {
			return -1
		}
	}
	if i == 0 {
		return -1
	}
	return n - 1
}

// rowOf reads the digits of a cell's reference. It returns 0 if there are none, or
// there is no such row.
func rowOf(ref []byte) int {
	digits := bytes.TrimLeft(ref, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	n, err := strconv.ParseUint(string(digits), 10, 31)
	if err != nil || n > maxRow {
		return 0
	}
	return int(n)
}
