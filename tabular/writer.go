package tabular

import (
	"bufio"
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
}

// Writer writes CSV by RFC 4180: UTF-8, commas, each record ended by CRLF. It
// quotes a cell where that is needed to read it back with any delimiter, and
// where white space at its ends would be lost. It does not guard against
// formulas: see [Guard].
type Writer struct {
	w   *bufio.Writer
	err error
}

// NewWriter returns a Writer to w. The mark is written with the first record,
// or by Flush.
func NewWriter(w io.Writer, o WriterOptions) *Writer {
	b := bufio.NewWriterSize(w, 16<<10)
	if o.Mark {
		// The buffer is empty, so this cannot fail.
		_, _ = b.WriteString("\uFEFF")
	}
	return &Writer{w: b}
}

// Write writes one record. An error of the writer below comes from this or a
// later call.
func (w *Writer) Write(cells []string) error {
	if len(cells) == 1 && cells[0] == "" {
		w.put(`""`) // an empty line would be no record
	} else {
		for i, c := range cells {
			if i > 0 {
				w.put(",")
			}
			w.cell(c)
		}
	}
	w.put("\r\n")
	return w.err
}

// Flush hands everything written to the writer below. It must follow the last
// record.
func (w *Writer) Flush() error {
	if w.err == nil {
		if err := w.w.Flush(); err != nil {
			w.err = fmt.Errorf("writing CSV: %w", err)
		}
	}
	return w.err
}

func (w *Writer) cell(s string) {
	if !needsQuotes(s) {
		w.put(s)
		return
	}
	w.put(`"`)
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			break
		}
		w.put(s[:i])
		w.put(`""`)
		s = s[i+1:]
	}
	w.put(s)
	w.put(`"`)
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

func (w *Writer) put(s string) {
	if w.err != nil {
		return
	}
	if _, err := w.w.WriteString(s); err != nil {
		w.err = fmt.Errorf("writing CSV: %w", err)
	}
}
