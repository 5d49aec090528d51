package tabular

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// WriterOptions says how to write a file.
type WriterOptions struct {
	// Mark begins the file with a UTF-8 byte order mark, without which Excel
	// takes it to be in the encoding of the machine.
	Mark bool

	// Delimiter is one of `,`, `;`, a tab and `|`; "" is a comma.
	Delimiter string
}

// Writer writes CSV by RFC 4180 for spreadsheets: UTF-8, each record ended by
// CRLF, each cell through [EscapeFormula]. It quotes a cell where that is needed to read it
// back whatever delimiter a program assumes, and where white space at its ends
// would be lost. A NUL, at which some programs cut a file off, becomes U+FFFD.
//
// Package encoding/csv would quote for one delimiter alone, and with CRLF at the
// end of records change the line ends within cells.
type Writer struct {
	below     io.Writer
	w         *bufio.Writer
	delimiter string
}

// NewWriter returns a Writer to w. The mark is written with the first record,
// or by Flush.
func NewWriter(w io.Writer, o WriterOptions) *Writer {
	b := bufio.NewWriterSize(w, 32<<10)
	if o.Mark {
		// The buffer is empty, so this cannot fail.
		_, _ = b.WriteString("\uFEFF")
	}
	return &Writer{below: w, w: b, delimiter: cmp.Or(o.Delimiter, ",")}
}

// Write writes one record. An error of the writer below comes from this or a
// later call.
func (w *Writer) Write(cells ...string) error {
	for i, c := range cells {
		if i > 0 {
			_, _ = w.w.WriteString(w.delimiter) // a bufio.Writer keeps its error
		}
		w.cell(EscapeFormula(strings.ReplaceAll(c, "\x00", "\uFFFD")))
	}
	if len(cells) == 1 && cells[0] == "" {
		_, _ = w.w.WriteString(`""`) // an empty line would be no record
	}
	if _, err := w.w.WriteString("\r\n"); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

// Flush hands everything written to the writer below, and flushes that in turn
// where it buffers, as an http.ResponseWriter does. It must follow the last record.
func (w *Writer) Flush() error {
	if err := w.w.Flush(); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	if f, ok := w.below.(interface{ Flush() }); ok {
		f.Flush()
	}
	return nil
}

func (w *Writer) cell(s string) {
	if !needsQuotes(s) {
		_, _ = w.w.WriteString(s)
		return
	}
	_ = w.w.WriteByte('"')
	for {
		before, after, more := strings.Cut(s, `"`)
		_, _ = w.w.WriteString(before)
		if !more {
			break
		}
		_, _ = w.w.WriteString(`""`)
		s = after
	}
	_ = w.w.WriteByte('"')
}

// needsQuotes reports whether a cell is quoted: if it has a quote, a line end
// or any delimiter, or white space at an end.
func needsQuotes(s string) bool {
	if strings.ContainsAny(s, "\"\r\n"+delimiters) {
		return true
	}
	first, _ := utf8.DecodeRuneInString(s)
	last, _ := utf8.DecodeLastRuneInString(s)
	return unicode.IsSpace(first) || unicode.IsSpace(last)
}
