package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"rollcall/tabular"
)

// bufferBytes is how much of a report is gathered before it is handed on.
const bufferBytes = 32 << 10

// byteOrderMark tells Excel that a file is UTF-8.
const byteOrderMark = "\uFEFF"

// sheetWriter writes guarded cells as CSV by RFC 4180, section 2, with any
// delimiter of package tabular: records end in CRLF.
type sheetWriter struct {
	below     io.Writer
	w         *bufio.Writer
	delimiter string
	cells     int // of the present record
}

func newSheetWriter(w io.Writer, delimiter string) *sheetWriter {
	return &sheetWriter{below: w, w: bufio.NewWriterSize(w, bufferBytes), delimiter: delimiter}
}

// mark begins the file with a byte order mark. An error of the writer below
// stays in the bufio.Writer and comes from end or flush, here and in cell.
func (s *sheetWriter) mark() { _, _ = s.w.WriteString(byteOrderMark) }

// cell adds a cell to the record. It is quoted where that is needed to read it
// back whatever delimiter a program assumes, and where white space at its ends
// would be lost. A NUL, at which some programs cut a file off, is shown as
// U+FFFD.
func (s *sheetWriter) cell(value string) {
	if s.cells > 0 {
		_, _ = s.w.WriteString(s.delimiter)
	}
	s.cells++
	value = tabular.Guard(strings.ReplaceAll(value, "\x00", "\uFFFD"))
	if !needsQuotes(value) {
		_, _ = s.w.WriteString(value)
		return
	}
	_ = s.w.WriteByte('"')
	for {
		before, after, more := strings.Cut(value, `"`)
		_, _ = s.w.WriteString(before)
		if !more {
			break
		}
		_, _ = s.w.WriteString(`""`)
		value = after
	}
	_ = s.w.WriteByte('"')
}

// end ends the record.
func (s *sheetWriter) end() error {
	s.cells = 0
	if _, err := s.w.WriteString("\r\n"); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// flush hands on everything written, through a writer that buffers in turn,
// such as an http.ResponseWriter.
func (s *sheetWriter) flush() error {
	if err := s.w.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if f, ok := s.below.(interface{ Flush() }); ok {
		f.Flush()
	}
	return nil
}

func needsQuotes(value string) bool {
	if strings.ContainsAny(value, "\"\r\n,;\t|") {
		return true
	}
	first, _ := utf8.DecodeRuneInString(value)
	last, _ := utf8.DecodeLastRuneInString(value)
	return unicode.IsSpace(first) || unicode.IsSpace(last)
}
