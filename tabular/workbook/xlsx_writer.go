package workbook

import (
	"archive/zip"
	"bufio"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Style is the look of a cell that a [Writer] writes.
type Style int

// The styles. Cells of all of them are in the number format Text, so that what a
// person types into them stays as it is typed, with leading zeros.
const (
	Plain   Style = iota
	Heading       // bold, on gray
	Faulty        // what is wrong: on red
	Aside         // written for the reader, not one of the values: gray text
	Wrapped       // text of several lines, such as instructions
)

// Cell is a cell to be written. It is always text, whatever it looks like: no
// program takes it for a formula, a number or a date.
type Cell struct {
	Text  string
	Style Style
	Note  string // shown beside the cell; "": none
}

// MaxText is how many UTF-16 units a cell may have in Excel.
const MaxText = 32_767

// MaxRows is how many rows a sheet may have.
const MaxRows = maxRow

// maxNotes bounds the memory for notes, which come behind the rows in the file.
const maxNotes = 1 << 20

// ColumnLayout is a column of a sheet to be written.
type ColumnLayout struct {
	Width  float64  // in characters
	Values []string // of a drop-down list for the rows below the header; none: any
	Prompt string   // shown beside the cell that is selected, if there is a list
}

// Writer writes an .xlsx workbook of texts as a stream. Its memory doesn't grow with
// the rows. An error of the writer below comes from this or a later call.
type Writer struct {
	below    io.Writer
	zip      *zip.Writer
	deflate  *flate.Writer
	out      *bufio.Writer // the part being written
	sheets   []string
	columns  []ColumnLayout
	row      int // of the current sheet
	inSheet  bool
	notes    []note
	noteSize int
	noted    []bool // of each sheet: it has notes
}

type note struct {
	row, column int // from 1 and 0
	text        string
}

// NewWriter returns a Writer to w. Call BeginSheet for each sheet, then Close.
func NewWriter(w io.Writer) *Writer {
	x := &Writer{below: w, zip: zip.NewWriter(w)}
	x.zip.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) {
		if x.deflate == nil { // one at a time: parts follow each other
			deflate, err := flate.NewWriter(out, flate.BestSpeed)
			x.deflate = deflate
			return deflate, err
		}
		x.deflate.Reset(out)
		return x.deflate, nil
	})
	x.out = bufio.NewWriterSize(nil, 32<<10)
	return x
}

const xmlHead = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"

const (
	mainNS    = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
	relNS     = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
	packageNS = "http://schemas.openxmlformats.org/package/2006/relationships"
)

// begin begins a part of the archive.
func (w *Writer) begin(name string) error {
	if err := w.end(); err != nil {
		return err
	}
	part, err := w.zip.Create(name)
	if err != nil {
		return fmt.Errorf("write workbook: %w", err)
	}
	w.out.Reset(part)
	w.raw(xmlHead)
	return nil
}

// end ends the part being written.
func (w *Writer) end() error {
	if w.out.Buffered() == 0 {
		return nil
	}
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("write workbook: %w", err)
	}
	return nil
}

// raw writes XML. A bufio.Writer keeps its error.
func (w *Writer) raw(texts ...string) {
	for _, text := range texts {
		_, _ = w.out.WriteString(text)
	}
}

// part writes a whole part.
func (w *Writer) part(name, content string) error {
	if err := w.begin(name); err != nil {
		return err
	}
	w.raw(content)
	return w.end()
}

// BeginSheet ends the sheet before and begins another. The first row stays in view if
// frozen.
func (w *Writer) BeginSheet(name string, frozen bool, columns ...ColumnLayout) error {
	if err := w.endSheet(); err != nil {
		return err
	}
	if len(w.sheets) == 0 { // so that programs that look at the beginning know the file
		if err := w.part("_rels/.rels", `<Relationships xmlns="`+packageNS+`"><Relationship Id="rId1" Type="`+relNS+`/officeDocument" Target="xl/workbook.xml"/></Relationships>`); err != nil {
			return err
		}
	}
	w.sheets, w.columns, w.row, w.inSheet = append(w.sheets, name), columns, 0, true
	if err := w.begin("xl/worksheets/sheet" + strconv.Itoa(len(w.sheets)) + ".xml"); err != nil {
		return err
	}
	w.raw(`<worksheet xmlns="`, mainNS, `" xmlns:r="`, relNS, `">`)
	if frozen {
		w.raw(`<sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>`)
	}
	if len(columns) > 0 {
		w.raw(`<cols>`)
		for i, c := range columns {
			n := strconv.Itoa(i + 1)
			w.raw(`<col min="`, n, `" max="`, n, `" width="`, strconv.FormatFloat(c.Width, 'f', -1, 64), `" customWidth="1" style="`, strconv.Itoa(int(Plain)+1), `"/>`)
		}
		w.raw(`</cols>`)
	}
	w.raw(`<sheetData>`)
	return nil
}

// ErrSheetFull means that a sheet has no row left.
var ErrSheetFull = errors.New("write workbook: the sheet has no more rows")

// Row writes the next row. Cells without a text and with the style Plain are left out.
func (w *Writer) Row(cells ...Cell) error {
	if w.row == maxRow {
		return ErrSheetFull
	}
	w.row++
	row := strconv.Itoa(w.row)
	w.raw(`<row r="`, row, `">`)
	for i, c := range cells {
		w.addNote(i, c.Note)
		if c.Text == "" && c.Style == Plain && c.Note == "" {
			continue
		}
		w.raw(`<c r="`, columnName(i), row, `" s="`, strconv.Itoa(int(c.Style)+1), `"`)
		if c.Text == "" {
			w.raw(`/>`)
			continue
		}
		w.raw(` t="inlineStr"><is><t xml:space="preserve">`)
		w.text(c.Text)
		w.raw(`</t></is></c>`)
	}
	w.raw(`</row>`)
	if _, err := w.out.Write(nil); err != nil {
		return fmt.Errorf("write workbook: %w", err)
	}
	return nil
}

// addNote keeps a note while there is room. Notes come behind the rows in the file,
// and thousands of them help no one.
func (w *Writer) addNote(column int, text string) {
	const overhead = 64
	if text == "" || w.noteSize+len(text)+overhead > maxNotes {
		return
	}
	w.noteSize += len(text) + overhead
	w.notes = append(w.notes, note{w.row, column, strings.Clone(text)})
}

// Flush hands all rows written so far to the writer below, and flushes that where it
// buffers.
func (w *Writer) Flush() error {
	err := w.out.Flush()
	if err == nil && w.deflate != nil && w.inSheet {
		err = w.deflate.Flush()
	}
	if err == nil {
		err = w.zip.Flush()
	}
	if err != nil {
		return fmt.Errorf("write workbook: %w", err)
	}
	if f, ok := w.below.(interface{ Flush() }); ok {
		f.Flush()
	}
	return nil
}

// endSheet ends the current sheet, with its lists and notes.
func (w *Writer) endSheet() error {
	if !w.inSheet {
		return nil
	}
	w.inSheet = false
	w.raw(`</sheetData>`)
	w.lists()
	w.noted = append(w.noted, len(w.notes) > 0)
	if len(w.notes) > 0 {
		w.raw(`<legacyDrawing r:id="rId1"/>`)
	}
	w.raw(`</worksheet>`)
	if err := w.end(); err != nil || len(w.notes) == 0 {
		return err
	}
	return w.writeNotes(strconv.Itoa(len(w.sheets)))
}

// lists writes the drop-down lists of the columns.
func (w *Writer) lists() {
	n := 0
	for _, c := range w.columns {
		if len(c.Values) > 0 {
			n++
		}
	}
	if n == 0 {
		return
	}
	w.raw(`<dataValidations count="`, strconv.Itoa(n), `">`)
	for i, c := range w.columns {
		if len(c.Values) == 0 {
			continue
		}
		name := columnName(i)
		w.raw(`<dataValidation type="list" allowBlank="1" showInputMessage="1" showErrorMessage="1" prompt="`)
		w.text(c.Prompt)
		w.raw(`" sqref="`, name, `2:`, name, strconv.Itoa(maxRow), `"><formula1>"`)
		w.text(strings.Join(c.Values, ","))
		w.raw(`"</formula1></dataValidation>`)
	}
	w.raw(`</dataValidations>`)
}

// Close ends the workbook. Without it the file can't be read.
func (w *Writer) Close() error {
	if err := w.endSheet(); err != nil {
		return err
	}
	if err := w.writeBook(); err != nil {
		return err
	}
	if err := w.zip.Close(); err != nil {
		return fmt.Errorf("write workbook: %w", err)
	}
	if f, ok := w.below.(interface{ Flush() }); ok {
		f.Flush()
	}
	return nil
}

// text writes text within XML. Characters that XML may not have, and text that looks
// as if it stood for one, are written as Office does (ST_Xstring).
func (w *Writer) text(s string) {
	for i, r := range s {
		switch {
		case r == '&':
			w.raw("&amp;")
		case r == '<':
			w.raw("&lt;")
		case r == '>':
			w.raw("&gt;")
		case r == '"':
			w.raw("&quot;")
		case r == 0: // as in CSV
			w.raw("\uFFFD")
		case r < ' ' && r != '\t' && r != '\n', r == 0xFFFE, r == 0xFFFF, r == '_' && isEscape(s[i:]):
			fmt.Fprintf(w.out, "_x%04X_", r)
		default: // bytes that are no UTF-8 become U+FFFD
			_, _ = w.out.WriteRune(r)
		}
	}
}

// isEscape reports whether a text begins with what [unescape] would replace.
func isEscape(s string) bool {
	const size = len("_x000D_")
	if len(s) < size || s[1] != 'x' || s[size-1] != '_' {
		return false
	}
	_, err := strconv.ParseUint(s[2:size-1], 16, 16)
	return err == nil
}

// columnName is the name of a column, from 0: A, B … Z, AA.
func columnName(i int) string {
	const letters = 26
	name := ""
	for i++; i > 0; i = (i - 1) / letters {
		name = string(rune('A'+(i-1)%letters)) + name
	}
	return name
}
