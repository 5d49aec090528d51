package workbook

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Options say which sheet to convert, and how much of it.
type Options struct {
	// Sheet is the name of a sheet, in any case; "" is the first visible one that has
	// a cell with a value.
	Sheet string
	// HeaderRow is the row with the names of the columns; 0: the first one with values.
	// Where cells of it are merged with cells above, it gets their values.
	HeaderRow int
	// MaxRows is the most rows with values; 0: any number. Rows above the header count.
	MaxRows int64
	// MaxBytes is the most bytes that are written; 0: any number.
	MaxBytes int64
}

// Result says what was converted.
type Result struct {
	Sheet      string  // its name
	Rows       int64   // rows with values
	HiddenRows int64   // those of them that are hidden
	FirstRows  []int64 // numbers of the first hidden ones
}

// Output takes the converted sheet.
type Output interface {
	io.Writer
	// Restart discards everything written: it is about to be written once more,
	// differently.
	Restart() error
}

// Fault marks a cell without a value in a converted sheet: [FaultKind] and the text
// of the cell follow. It is a noncharacter; where one is in the workbook, it is
// replaced.
const Fault = "\uFDD0"

// Convert writes a sheet as CSV in UTF-8: comma, LF, no byte order mark, and cells in
// double quotes where they need them. The record that begins with line feed n is row
// n+1 of the sheet, unless it's within quotes; rows without values are empty lines.
//
// The error is an *[Error] if the sheet can't be used, or comes from the reader of
// the workbook or from out.
func (b *Book) Convert(out Output, o Options) (Result, error) {
	if o.Sheet != "" {
		sheet, err := b.find(o.Sheet)
		if err != nil {
			return Result{}, err
		}
		return b.convert(out, sheet, o)
	}
	var hidden []string
	for i, s := range b.Sheets() {
		if s.Hidden {
			hidden = append(hidden, s.Name)
			continue
		}
		r, err := b.convert(out, i, o)
		if err != nil || r.Rows > 0 {
			return r, err
		}
	}
	e := &Error{Empty, "No visible sheet of the workbook has a value.", "Enter the rows, or choose another sheet"}
	if len(hidden) > 0 {
		e.Message = "No visible sheet of the workbook has a value; there are hidden sheets: " + quoteNames(hidden) + "."
		e.Fix = "Choose a hidden sheet with sheet=NAME (or under File settings)"
	}
	return Result{}, e
}

// find returns the sheet of a name: the very one, or else one that differs in case.
func (b *Book) find(name string) (int, error) {
	sheets, found := b.Sheets(), -1
	for i, s := range sheets {
		if s.Name == name {
			return i, nil
		}
		if found < 0 && strings.EqualFold(strings.TrimSpace(s.Name), strings.TrimSpace(name)) {
			found = i
		}
	}
	if found >= 0 {
		return found, nil
	}
	names := make([]string, len(sheets))
	for i, s := range sheets {
		names[i] = s.Name
	}
	return 0, &Error{NoSheet, fmt.Sprintf("The workbook has no sheet %q. Its sheets are: %s.", name, quoteNames(names)), "Choose one of the sheets of the workbook"}
}

// quoteNames lists names for a sentence, at most a dozen.
func quoteNames(names []string) string {
	const most, longest = 12, 60
	var list []string
	for _, name := range names[:min(len(names), most)] {
		if runes := []rune(name); len(runes) > longest {
			name = string(runes[:longest]) + "…"
		}
		list = append(list, fmt.Sprintf("%q", name))
	}
	text := strings.Join(list, ", ")
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}

// convert writes one sheet. If it turns out that the header has merged cells, which a
// workbook says only at the end, it is written once more.
func (b *Book) convert(out Output, sheet int, o Options) (Result, error) {
	w := newWriter(out, o, nil)
	merges, err := b.format.rows(sheet, o.HeaderRow, w.row)
	if err == nil && len(merges) > 0 {
		if err := out.Restart(); err != nil {
			return Result{}, err
		}
		w = newWriter(out, o, merges)
		_, err = b.format.rows(sheet, o.HeaderRow, w.row)
	}
	if err == nil {
		err = w.out.Flush()
	}
	if err != nil {
		return Result{}, err
	}
	return Result{Sheet: b.Sheets()[sheet].Name, Rows: w.rows, HiddenRows: w.hidden, FirstRows: w.firstHidden}, nil
}

// writer writes rows as CSV.
type writer struct {
	out         *bufio.Writer
	options     Options
	line        int // rows written, blank ones too
	written     int64
	rows        int64
	hidden      int64
	firstHidden []int64
	merges      merges
	merged      map[merge][]byte // values of merged areas whose first row has been read
}

func newWriter(out io.Writer, o Options, m merges) *writer {
	return &writer{out: bufio.NewWriterSize(out, 64<<10), options: o, merges: m, merged: map[merge][]byte{}}
}

// firstRows is how many numbers of hidden rows are kept.
const firstRows = 10

func (w *writer) row(r *row) error {
	if len(w.merges) > 0 && r.number <= w.options.HeaderRow {
		w.fillMerged(r)
	}
	if len(r.cells) == 0 {
		return nil
	}
	if w.rows++; w.options.MaxRows > 0 && w.rows > w.options.MaxRows {
		return &Error{Kind: TooManyRows, Message: fmt.Sprintf("The sheet has more than %d rows.", w.options.MaxRows)}
	}
	if r.hidden {
		if w.hidden++; len(w.firstHidden) < firstRows {
			w.firstHidden = append(w.firstHidden, int64(r.number))
		}
	}
	for ; w.line < r.number-1; w.line++ {
		w.byte('\n')
	}
	w.line++
	column := 0
	for _, c := range r.cells {
		for ; column < c.column; column++ {
			w.byte(',')
		}
		w.cell(r.value(c), c.fault)
	}
	if r.cut { // too long for package tabular, so that it says so
		w.cell([]byte("…"), 0)
	}
	w.byte('\n')
	if w.options.MaxBytes > 0 && w.written > w.options.MaxBytes {
		return tooLarge("The sheet has more than %d MiB of values.", w.options.MaxBytes>>20)
	}
	return w.failure()
}

// failure returns the error of the writer below, which a bufio.Writer keeps.
func (w *writer) failure() error {
	_, err := w.out.Write(nil)
	return err
}

func (w *writer) byte(c byte) {
	w.written++
	_ = w.out.WriteByte(c) // see failure
}

func (w *writer) bytes(b []byte) {
	w.written += int64(len(b))
	_, _ = w.out.Write(b) // see failure
}

func (w *writer) cell(value []byte, fault FaultKind) {
	if !utf8.Valid(value) {
		value = bytes.ToValidUTF8(value, []byte("\uFFFD"))
	}
	if bytes.Contains(value, []byte(Fault)) {
		value = bytes.ReplaceAll(value, []byte(Fault), []byte("\uFFFD"))
	}
	if bytes.IndexByte(value, 0) >= 0 {
		value = bytes.ReplaceAll(value, []byte{0}, []byte("\uFFFD"))
	}
	if fault != 0 {
		value = append([]byte(Fault+string(rune(fault))), value...)
	}
	if !bytes.ContainsAny(value, "\",\r\n") && (len(value) == 0 || value[0] > ' ' && value[len(value)-1] > ' ') {
		w.bytes(value)
		return
	}
	w.byte('"')
	for {
		before, after, more := bytes.Cut(value, []byte{'"'})
		w.bytes(before)
		if !more {
			break
		}
		w.bytes([]byte(`""`))
		value = after
	}
	w.byte('"')
}

// fillMerged gives a header whose cells are merged with cells above the values of
// these, as people see them. No other row is filled: a value must not get into rows
// that don't have it.
func (w *writer) fillMerged(r *row) {
	for _, m := range w.merges {
		if r.number == m.top {
			for _, c := range r.cells {
				if c.column == m.left && c.fault == 0 {
					w.merged[m] = bytes.Clone(r.value(c))
				}
			}
		}
		if value := w.merged[m]; value != nil && r.number == w.options.HeaderRow {
			r.insert(m.left, value)
		}
	}
}

// insert adds a cell at its place, unless the row has one there.
func (r *row) insert(column int, value []byte) {
	at := 0
	for at < len(r.cells) && r.cells[at].column < column {
		at++
	}
	if at < len(r.cells) && r.cells[at].column == column {
		return
	}
	from := len(r.text)
	r.text = append(r.text, value...)
	r.cells = append(r.cells, cell{})
	copy(r.cells[at+1:], r.cells[at:])
	r.cells[at] = cell{column: column, from: from, to: len(r.text)}
}
