package tabular

import (
	"bytes"
	"encoding/binary"
	"io"
	"unicode/utf8"
)

// keptBytes is how much is kept, for showing, of a line too long to be kept,
// and, for guessing, of text that is not valid.
const keptBytes = 4 << 10

// extent is what scan found at the start of the window. Its cells are in the
// Reader.
type extent struct {
	size  int   // bytes from the start of the record to where reading goes on
	lines int64 // line ends among them
	open  bool  // reading goes on behind the next line end after size
	fault Fault // of no kind if the record is sound
}

// scan finds the record at the start of the window. At the end of the file it
// returns io.EOF.
//
// A quoted cell may hold line ends, so a quote that is never closed looks far
// ahead, through record limit or file. Reading then goes on at the second
// physical line of the record, so that one stray quote does not swallow the
// rows behind it. That this reads any byte only a bounded number of times,
// whatever the file, is seen so:
//
//   - Each quote passed on the way turns "within quotes" to "without" or back,
//     a doubled one twice, but for the one that is a fault and ends the record.
//   - A record can reach beyond its first line only by being within quotes at
//     its end, so that line has an odd number of quotes.
//   - A line with an even number of quotes that is entered within quotes is
//     left within quotes, if at all. One with an odd number leaves them, so
//     the record ends no later than that line does.
//
// So looking ahead from an odd line passes even lines, up to the next odd one.
// None of the lines between, read again, looks ahead: two looks ahead share at
// most the odd line at which one ends and the next begins. A byte is looked at
// once as part of its own record and at most twice ahead of it; and as the
// window doubles whenever it was too small, at most a few times each.
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
		if err := r.more(min(2*len(window)+1, longest)); err != nil {
			return extent{}, err
		}
	}
}

// parse finds the record at the start of w. ended says that the file ends with
// w. It reports false if it takes more of the file to tell, which is never so
// once w has room for a record as long as the limit and for its line end: what
// is found does not depend on how the file was cut in reads.
func (r *Reader) parse(w []byte, ended bool) (extent, bool) {
	limit := r.format.MaxRecordBytes
	full := len(w) == limit+len("\r\n")
	text, size, ok := r.line(w, ended)
	if !ok && !full {
		return extent{}, false
	}
	first := line{text: w[:min(text, limit)], size: size, long: text > limit}
	if !ok {
		// There is no line end but perhaps a CR at the very end, which may be
		// half of one.
		first = line{text: w[:limit], size: len(w) - 1, long: true, open: true}
	}
	switch {
	case bytes.IndexByte(first.text, '"') >= 0:
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
	text []byte // without its line end; no more than the record limit
	size int    // bytes to what comes behind it
	long bool   // text is only its beginning
	open bool   // its end is somewhere behind size
}

// line finds the end of the physical line at the start of w, and what comes
// behind it. It reports false if there is none, or half of one.
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

// nextLF returns where the first LF in the window is, or the length of the
// window or more if there is none. It never searches the same bytes twice, so
// that a file with bare CRs, in which the next LF is far away, costs no more.
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

// split cuts a line without quotes into cells. It reports false, and keeps
// only the first, if there are too many.
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
			return false
		}
	}
}

// checked completes a record whose cells are split: its text must be valid and
// without NUL.
func (r *Reader) checked(e extent, text []byte) extent {
	if !utf8.Valid(text) {
		e.fault = Fault{Kind: FaultEncoding, Cell: r.firstCell(func(c []byte) bool { return !utf8.Valid(c) })}
		r.suspect(text)
		r.repair()
		return e
	}
	if bytes.IndexByte(text, 0) >= 0 {
		e.fault = Fault{Kind: FaultNUL, Cell: r.firstCell(func(c []byte) bool { return bytes.IndexByte(c, 0) >= 0 })}
	}
	r.genuine = r.genuine || beyondASCII(text)
	return e
}

// beyondASCII reports whether text has other characters than ASCII. It looks at
// eight bytes at a time, since most files have none.
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

// suspect keeps some of the text that is not valid, for LikelyEncoding.
func (r *Reader) suspect(text []byte) {
	if room := keptBytes - len(r.suspects); room > 0 && r.format.Encoding == encodingUTF8 {
		r.suspects = append(append(r.suspects, text[:min(len(text), room)]...), '\n')
	}
}

// firstCell returns the index of the first cell that is, or -1.
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

// faulty completes a record that is not sound: its cells are those of its
// first physical line, and reading goes on behind that.
func (r *Reader) faulty(first line, fault Fault) extent {
	text := first.text
	if first.long {
		// Moving behind the line may overwrite the buffer.
		text = wholeRunes(text[:min(len(text), keptBytes)])
		r.kept = append(r.kept[:0], text...)
		text = r.kept
	}
	r.salvage(text)
	return r.checked(extent{size: first.size, lines: 1, open: first.open, fault: fault}, text)
}

// wholeRunes drops a character cut off at the end of b.
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
