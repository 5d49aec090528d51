package tabular

import (
	"bytes"
	"fmt"
	"io"
)

// sampleBytes is how much of a file Open examines before reading records.
const sampleBytes = 64 << 10

// initialBuffer is the size of a Reader's buffer; it grows if a record needs more.
const initialBuffer = 64 << 10

// Reader reads the records of a file in order. It is not safe for concurrent use.
type Reader struct {
	src    source
	format Format
	delim  byte

	buf        []byte // buf[start:end] is decoded and not yet read
	start, end int
	base       int64 // bytes of text before buf[0]
	err        error // of src, returned once the buffer is used up; io.EOF at the end
	frontier   int   // buf[start:frontier] has no LF

	at     Position // of buf[start]
	record Record
	fault  Fault
	cells  [][]byte // memory of record.Cells
	text   []byte   // memory of cells with doubled quotes
	kept   []byte   // memory of cells of a line too long for the buffer
	inner  *Reader  // for SplitLine

	quoting bool // the last record has quotes, so the next probably has them too

	invalidSample []byte // some of the text that is not valid UTF-8
	genuine       bool   // other text is certainly UTF-8: it has characters beyond ASCII or a byte order mark
}

// Open starts reading a file at its first byte. It detects the encoding and the
// delimiter from at most the first 64 KiB.
//
// The error is a *FileError if the file can't be read at all, the error of
// [Options.Validate] if an option isn't supported, or else comes from r.
func Open(r io.Reader, o Options) (*Reader, error) {
	if o.Sheet {
		f := Format{Encoding: encodingUTF8, Delimiter: ",", Sheet: true, MaxRecordBytes: o.MaxRecordBytes, MaxCells: o.MaxCells}
		return newReader(r, f, Position{Row: 1, Line: 1})
	}
	declared, err := o.encoding()
	if err != nil {
		return nil, err
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	sample := make([]byte, sampleBytes)
	n, err := readFull(r, sample)
	whole := err == io.EOF
	if err != nil && !whole {
		return nil, fmt.Errorf("reading the beginning of the file: %w", err)
	}
	found, err := sniff(sample[:n], whole, declared, o)
	if err != nil {
		return nil, err
	}
	f := Format{
		Encoding:       found.encoding,
		Delimiter:      string(found.delimiter),
		MaxRecordBytes: o.MaxRecordBytes,
		MaxCells:       o.MaxCells,
	}
	rest := io.MultiReader(bytes.NewReader(sample[found.mark:n]), r)
	reader, err := newReader(rest, f, Position{Row: 1, Line: 1, Offset: int64(found.mark)})
	if err != nil {
		return nil, err
	}
	reader.genuine = found.encoding == encodingUTF8 && found.mark > 0
	if found.sepLine {
		err = reader.skipSepLine()
	}
	return reader, err
}

// Resume continues reading at a Position taken from a Record of a Reader with this
// Format. r starts at byte at.Offset of the file.
//
// The error wraps ErrInvalidPosition, ErrUnknownEncoding, ErrUnknownDelimiter
// or ErrInvalidLimit, or it comes from r.
func Resume(r io.Reader, f Format, at Position) (*Reader, error) {
	if at.Row < 1 || at.Line < 1 || at.Offset < 0 || at.Skip < 0 {
		return nil, ErrInvalidPosition
	}
	name, err := canonicalEncoding(f.Encoding)
	if err != nil {
		return nil, err
	}
	f.Encoding = name
	return newReader(r, f, at)
}

func newReader(r io.Reader, f Format, at Position) (*Reader, error) {
	var err error
	if f.MaxRecordBytes, f.MaxCells, err = limits(f.MaxRecordBytes, f.MaxCells); err != nil {
		return nil, err
	}
	delim, err := parseDelimiter(f.Delimiter)
	if err != nil {
		return nil, err
	}
	f.Delimiter = string(delim)
	src, err := newSource(r, f.Encoding, at.Offset)
	if err != nil {
		return nil, err
	}
	reader := &Reader{src: src, format: f, delim: delim, buf: make([]byte, initialBuffer), at: at}
	return reader, reader.discard(at.Skip)
}

// Format returns how the file is read: as Open detected or was told, or as passed to
// Resume.
func (r *Reader) Format() Format { return r.format }

// LikelyEncoding guesses the actual encoding of the records with a FaultEncoding
// that Next has returned. It is empty if there were none, if the file is not read
// as UTF-8, if no other encoding can read it (see [Reader.Mixed]), or if two
// encodings are equally likely.
func (r *Reader) LikelyEncoding() string {
	if len(r.invalidSample) == 0 || r.genuine {
		return ""
	}
	name, _, sure := bestEncoding(r.invalidSample)
	if !sure {
		return ""
	}
	return name
}

// Mixed reports whether some of the records that Next has returned are not valid
// UTF-8 although the file is UTF-8: it has a byte order mark, or other records have
// valid characters beyond ASCII. Another encoding would fix some characters and
// break others. After Resume, only the records read since count.
func (r *Reader) Mixed() bool { return len(r.invalidSample) > 0 && r.genuine }

// Next returns the next record that is not blank. A record is blank if its cells
// are all empty or white space. At the end it returns io.EOF itself. Any other error
// comes from the underlying reader and is returned again by later calls. A record
// that can't be read is not an error: it has a Fault.
func (r *Reader) Next() (*Record, error) {
	for {
		e, err := r.scan()
		if err != nil {
			return nil, err
		}
		rec := &r.record
		rec.Row, rec.Line, rec.Start = r.at.Row, r.at.Line, r.at
		rec.Cells, rec.Plain, rec.Fault = r.cells, e.plain, nil
		if e.fault.Kind != "" {
			r.fault = e.fault
			rec.Fault = &r.fault
		}
		if err := r.advance(e); err != nil {
			return nil, err
		}
		rec.End = r.at
		if ended, err := r.isEnd(rec); err != nil || ended {
			if ended {
				err = io.EOF
			}
			return nil, err
		}
		if rec.Fault != nil || !blank(rec.Cells) {
			return rec, nil
		}
	}
}

// endMarks are characters that some programs write after the last row: Ctrl-Z, the
// MS-DOS end of text, and NULs that fill up a block.
const endMarks = "\x1a\x00"

const byteOrderMarkUTF8 = "\uFEFF"

// trimEnd removes end marks and byte order marks, and white space between them, from
// the last line of a file, if it doesn't end in a line break.
func trimEnd(text []byte) []byte {
	last := bytes.LastIndexAny(text, "\r\n") + 1
	for {
		before := bytes.TrimRight(text[last:], " \t")
		rest := bytes.TrimSuffix(bytes.TrimRight(before, endMarks), []byte(byteOrderMarkUTF8))
		if len(rest) == len(before) {
			return text
		}
		text = text[:last+len(rest)]
	}
}

// onlyMarks reports whether text has only white space, end marks and byte order
// marks.
func onlyMarks(text []byte) bool {
	for {
		rest := bytes.TrimPrefix(bytes.TrimLeft(text, " \t\r\n"+endMarks), []byte(byteOrderMarkUTF8))
		if len(rest) == len(text) {
			return len(text) == 0
		}
		text = rest
	}
}

// isEnd reports whether a record and all text after it have only end marks.
func (r *Reader) isEnd(rec *Record) (bool, error) {
	if len(rec.Cells) != 1 || len(rec.Cells[0]) == 0 {
		return false, nil
	}
	if c := rec.Cells[0][0]; c != endMarks[0] && c != endMarks[1] && c != byteOrderMarkUTF8[0] || !onlyMarks(rec.Cells[0]) {
		return false, nil
	}
	const most = 4 << 10
	rec.Cells[0] = bytes.Clone(rec.Cells[0]) // fill may move the buffer
	if err := r.fill(most); err != nil {
		return false, err
	}
	rest := r.buf[r.start:r.end]
	return r.err == io.EOF && len(rest) < most && onlyMarks(rest), nil
}

// blank reports whether all cells are empty or white space.
func blank(cells [][]byte) bool {
	for _, c := range cells {
		if len(c) == 0 {
			continue
		}
		if c[0] > ' ' && c[0] < 0x7F || len(bytes.TrimSpace(c)) > 0 {
			return false
		}
	}
	return true
}

// advance moves past a record, or past the faulty part of one.
func (r *Reader) advance(e extent) error {
	r.start += e.size
	if e.open {
		if err := r.skipLine(); err != nil {
			return err
		}
	}
	r.at.Row++
	if r.at.Line += e.lines; r.format.Sheet {
		r.at.Line = r.at.Row // a line break in a cell starts no new line of a sheet
	}
	r.locate()
	return nil
}

// locate updates the position in the file of buf[start].
func (r *Reader) locate() {
	r.at.Offset, r.at.Skip = r.src.position(r.base + int64(r.start))
}

// skipLine moves past the end of the physical line that buf[start] is in, without
// buffering the line.
func (r *Reader) skipLine() error {
	for {
		window := r.buf[r.start:r.end]
		i := indexLineEnd(window)
		switch {
		case i < 0:
			r.start = r.end
		case window[i] == '\n':
			r.start += i + 1
			return nil
		case i+1 < len(window) || r.err != nil:
			r.start += i + 1
			if i+1 < len(window) && window[i+1] == '\n' {
				r.start++
			}
			return nil
		default: // a CR at the very end: an LF may follow
			r.start += i
		}
		if r.err != nil {
			return r.failure()
		}
		r.src.position(r.base + int64(r.start)) // releases anchors before this point
		if err := r.fill(r.end - r.start + 1); err != nil {
			return err
		}
	}
}

// indexLineEnd returns the index of the first CR or LF in b, or -1.
func indexLineEnd(b []byte) int {
	lf := bytes.IndexByte(b, '\n')
	if lf >= 0 {
		b = b[:lf]
	}
	if cr := bytes.IndexByte(b, '\r'); cr >= 0 {
		return cr
	}
	return lf
}

// failure returns the error of the underlying reader, or nil at the end of the file.
func (r *Reader) failure() error {
	if r.err == io.EOF {
		return nil
	}
	return fmt.Errorf("reading the file: %w", r.err)
}

// skipSepLine moves past a first line that names the delimiter. Spreadsheets don't
// show that line, so it has a line number but no row number.
func (r *Reader) skipSepLine() error {
	if err := r.fill(1); err != nil {
		return err
	}
	if err := r.skipLine(); err != nil {
		return err
	}
	r.at.Line++
	r.locate()
	return nil
}

// discard skips n bytes of text.
func (r *Reader) discard(n int64) error {
	for n > 0 {
		if err := r.fill(1); err != nil {
			return err
		}
		if r.start == r.end {
			return ErrInvalidPosition
		}
		step := min(n, int64(r.end-r.start))
		r.start += int(step)
		n -= step
	}
	return nil
}

// fill reads until the window has want bytes or the source ends. An error of the
// source other than io.EOF is returned if it left the window with fewer.
func (r *Reader) fill(want int) error {
	for r.end-r.start < want && r.err == nil {
		r.makeRoom(want)
		n, err := readSome(r.src, r.buf[r.end:])
		r.end += n
		r.err = err
		if err == io.EOF {
			r.end = r.start + len(trimEnd(r.buf[r.start:r.end]))
		}
	}
	if r.end-r.start < want {
		return r.failure()
	}
	return nil
}

// slack is the minimum space for a read. It keeps the cost of small reads, and of
// moving the window to make space for them, low.
const slack = 16 << 10

// makeRoom makes sure that the window can grow to want bytes, and by at least slack
// bytes.
func (r *Reader) makeRoom(want int) {
	size := r.end - r.start
	if need := max(want, size+slack); need > len(r.buf)-r.start {
		buf := r.buf
		if need > len(buf) {
			buf = make([]byte, max(need, 2*len(buf)))
		}
		copy(buf, r.buf[r.start:r.end])
		r.buf = buf
		r.base += int64(r.start)
		r.frontier = max(r.frontier-r.start, 0)
		r.start, r.end = 0, size
	}
}
