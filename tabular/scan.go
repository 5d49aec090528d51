package tabular

import (
	"bytes"
	"encoding/binary"
	"io"
	"unicode/utf8"
)

// keptBytes is how much is kept of a line that is too long, for display, and of
// text that is not valid, for guessing its encoding.
const keptBytes = 4 << 10

// extent describes the record that scan found at the start of the window. The cells
// are in Reader.cells.
type extent struct {
	size  int   // bytes from the start of the record to where reading continues
	lines int64 // line ends among them
	open  bool  // reading continues after the next line end after size
	fault Fault // its Kind is "" if the record is valid
	plain bool  // see Record.Plain
}

// scan finds the record at the start of the window. At the end of the file it
// returns io.EOF.
//
// A quoted cell may contain line ends, so scan looks for the end of a quote that is
// never closed up to the record limit or the end of the file. Reading then
// continues at the second physical line of the record, so that one stray quote
// doesn't consume the rows after it. Each byte is still read only a bounded number
// of times, whatever the file contains:
//
//   - Each quote on the way switches between "within quotes" and "outside", a
//     doubled one twice, except a faulty one, which ends the record.
//   - A record extends beyond its first line only if it is within quotes at the
//     end of that line, so that line has an odd number of quotes.
//   - A line with an even number of quotes that starts within quotes also ends
//     within quotes. One with an odd number ends outside, so the record ends
//     there at the latest.
//
// So looking ahead from an odd line passes even lines up to the next odd one. When
// the lines in between are read again, none of them looks ahead, so two such looks
// overlap at most in one odd line. A byte is read once as part of its own record
// and at most twice by looking ahead, and each of these at most a few times, because
// the window doubles whenever it is too small.
func (r *Reader) scan() (extent, error) {
	longest := r.format.MaxRecordBytes + len("\r\n")
	for {
		window := r.buf[r.start:r.end]
		ended := r.err == io.EOF && len(window) <= longest
		if ended && len(window) == 0 {
			return extent{}, io.EOF
		}
		window = window[:min(len(window), longest)]
		if e, ok := r.parse(window, ended); ok {
			return e, nil
		}
		if err := r.fill(min(2*len(window)+1, longest)); err != nil {
			return extent{}, err
		}
	}
}

// parse finds the record at the start of w. ended means that the file ends with w.
// It reports false if it needs more of the file, which never happens once w has
// space for a record of the maximum length and its line end. The result doesn't
// depend on the sizes of the reads.
func (r *Reader) parse(w []byte, ended bool) (extent, bool) {
	if !r.quoting {
		if e, ok := r.parseSimple(w); ok {
			return e, true
		}
	}
	return r.parseAny(w, ended)
}

// parseAny is parse without the shortcut for simple records.
func (r *Reader) parseAny(w []byte, ended bool) (extent, bool) {
	limit := r.format.MaxRecordBytes
	full := len(w) == limit+len("\r\n")
	text, size, ok := r.line(w, ended)
	if !ok && !full {
		return extent{}, false
	}
	first := line{text: w[:min(text, limit)], size: size, long: text > limit}
	if !ok {
		// There is no line end, except perhaps a CR as the last byte, which may be
		// half of a CRLF.
		first = line{text: w[:limit], size: len(w) - 1, long: true, open: true}
	}
	r.quoting = bytes.IndexByte(first.text, '"') >= 0
	switch {
	case r.quoting:
		return r.parseQuoted(w, first, ended, full)
	case first.long:
		return r.faulty(first, Fault{Kind: FaultTooLong, Cell: -1, Limit: limit}), true
	case r.split(first.text):
		return r.checked(extent{size: size, lines: 1}, first.text), true
	default:
		fault := Fault{Kind: FaultTooManyCells, Cell: -1, Limit: r.format.MaxCells}
		return r.checked(extent{size: size, lines: 1, fault: fault}, first.text), true
	}
}

// line is a physical line at the start of the window.
type line struct {
	text []byte // without its line end; at most the record limit
	size int    // bytes up to the next line
	long bool   // text is only its beginning
	open bool   // its end is somewhere after size
}

// line finds the end of the physical line at the start of w, and the start of the
// next line. It reports false if w has no line end, or may end with half of one.
func (r *Reader) line(w []byte, ended bool) (text, size int, ok bool) {
	lf := r.nextLF()
	head := w[:min(lf, len(w))]
	if cr := bytes.IndexByte(head, '\r'); cr >= 0 {
		switch {
		case cr+1 < len(head):
			return cr, cr + 1, true
		case lf < len(w):
			return cr, cr + 2, true
		case ended:
			return cr, cr + 1, true
		default:
			return 0, 0, false
		}
	}
	switch {
	case lf < len(w):
		return lf, lf + 1, true
	case ended:
		return len(w), len(w), true
	default:
		return 0, 0, false
	}
}

// nextLF returns the index of the first LF in the window, or at least the length of
// the window if there is none. It never searches the same bytes twice, which keeps
// files with bare CRs fast, where the next LF may be far away.
func (r *Reader) nextLF() int {
	r.frontier = max(r.frontier, r.start)
	if r.frontier < r.end && r.buf[r.frontier] != '\n' {
		if i := bytes.IndexByte(r.buf[r.frontier:r.end], '\n'); i >= 0 {
			r.frontier += i
		} else {
			r.frontier = r.end
		}
	}
	return r.frontier - r.start
}

// split cuts a line without quotes into cells. If there are too many, it reports
// false and keeps the first ones. Empty cells beyond the limit are dropped, because
// spreadsheets write thousands of them after a row.
func (r *Reader) split(text []byte) bool {
	cells := r.cells[:0]
	for {
		i := bytes.IndexByte(text, r.delim)
		if i < 0 {
			r.cells = append(cells, text)
			return true
		}
		cells = append(cells, text[:i])
		text = text[i+1:]
		if len(cells) == r.format.MaxCells {
			r.cells = cells
			return r.onlyBlankCells(text)
		}
	}
}

// onlyBlankCells reports whether text has only blank cells.
func (r *Reader) onlyBlankCells(text []byte) bool {
	for _, c := range text {
		if c != r.delim && c != ' ' && c != '\t' {
			return false
		}
	}
	return true
}

// checked completes a record whose cells are split. Its text must be valid UTF-8
// without NUL.
func (r *Reader) checked(e extent, text []byte) extent {
	if !utf8.Valid(text) {
		e.fault = Fault{Kind: FaultEncoding, Cell: r.firstCell(func(c []byte) bool { return !utf8.Valid(c) })}
		r.noteInvalid(text)
		r.repair()
		return e
	}
	if bytes.IndexByte(text, 0) >= 0 {
		e.fault = Fault{Kind: FaultNUL, Cell: r.firstCell(func(c []byte) bool { return bytes.IndexByte(c, 0) >= 0 })}
	}
	r.genuine = r.genuine || beyondASCII(text)
	return e
}

// beyondASCII reports whether text has characters beyond ASCII. It checks eight bytes
// at a time, because most files have none.
func beyondASCII(text []byte) bool {
	const high = 0x8080808080808080
	for ; len(text) >= 8; text = text[8:] {
		if binary.LittleEndian.Uint64(text)&high != 0 {
			return true
		}
	}
	for _, b := range text {
		if b >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

// noteInvalid keeps some of the text that is not valid, for LikelyEncoding.
func (r *Reader) noteInvalid(text []byte) {
	if room := keptBytes - len(r.invalidSample); room > 0 && r.format.Encoding == encodingUTF8 {
		r.invalidSample = append(append(r.invalidSample, text[:min(len(text), room)]...), '\n')
	}
}

// firstCell returns the index of the first cell for which is returns true, or -1.
func (r *Reader) firstCell(is func([]byte) bool) int {
	for i, c := range r.cells {
		if is(c) {
			return i
		}
	}
	return -1
}

// repair makes all cells valid UTF-8.
func (r *Reader) repair() {
	for i, c := range r.cells {
		r.cells[i] = bytes.ToValidUTF8(c, replacement)
	}
}

// faulty completes a record with a fault: its cells are those of its first physical
// line, and reading continues after that line.
func (r *Reader) faulty(first line, fault Fault) extent {
	text := first.text
	if first.long {
		// Skipping the rest of the line may overwrite the buffer.
		text = wholeRunes(text[:min(len(text), keptBytes)])
		r.kept = append(r.kept[:0], text...)
		text = r.kept
	}
	r.salvage(text)
	return r.checked(extent{size: first.size, lines: 1, open: first.open, fault: fault}, text)
}

// wholeRunes removes an incomplete character at the end of b.
func wholeRunes(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if tail := b[len(b)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}
