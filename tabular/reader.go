package tabular

import (
	"bytes"
	"fmt"
	"io"
)

// sampleBytes is how much of a file Open looks at before it begins to read.
const sampleBytes = 64 << 10

// initialBuffer is the size of a Reader's buffer until a record needs more.
const initialBuffer = 64 << 10

// Reader reads records one after the other. It is not safe for concurrent use.
type Reader struct {
	src    source
	format Format
	delim  byte

	buf        []byte // buf[start:end] is decoded and not yet read
	start, end int
	base       int64 // bytes of text before buf[0]
	err        error // of src, told once the buffer is used up; io.EOF at the end
	frontier   int   // buf[start:frontier] has no LF

	at     Position // of buf[start]
	record Record
	fault  Fault
	cells  [][]byte // backs record.Cells
	text   []byte   // backs cells that hold doubled quotes
	kept   []byte   // backs cells of a line too long for the buffer

	suspects []byte // some of the text that is not valid UTF-8
	genuine  bool   // other text is UTF-8 beyond doubt: it has letters beyond ASCII, or a mark
}

// Open begins to read a file from its first byte. It settles the encoding and
// the delimiter from the first 64 KiB at most.
//
// A file that cannot be read at all is a *FileError; an option that cannot be
// obeyed is the error of [Options.Validate]; any other error comes from r.
func Open(r io.Reader, o Options) (*Reader, error) {
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
	found, err := sniff(sample[:n], whole, declared, o.Delimiter)
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
		err = reader.passSepLine()
	}
	return reader, err
}

// Resume goes on reading at a Position that a Record of a Reader with this
// Format gave. r starts at byte at.Offset of the file.
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

// Format is how the file is read: what Open found or was told, or what Resume
// was given.
func (r *Reader) Format() Format { return r.format }

// LikelyEncoding guesses what the records with a FaultEncoding that Next has
// returned are really encoded in. It is empty if there were none, if the file
// is not read as UTF-8, or if no other encoding reads it: see [Reader.Mixed].
func (r *Reader) LikelyEncoding() string {
	if len(r.suspects) == 0 || r.genuine {
		return ""
	}
	return likeliest(r.suspects)
}

// Mixed reports whether some of the records that Next has returned are not
// UTF-8 in a file that is: it begins with a byte order mark, or other records
// have letters beyond ASCII that are UTF-8. Another encoding would only
// exchange some broken letters for others. A Reader that resumed knows of what
// it has read itself.
func (r *Reader) Mixed() bool { return len(r.suspects) > 0 && r.genuine }

// Next returns the next record that is not blank. A record is blank if its
// cells are all empty or white space. At the end it returns io.EOF itself; any other
// error comes from the reader below, and comes again. A record that cannot be
// read is no error: it has a Fault.
func (r *Reader) Next() (*Record, error) {
	for {
		e, err := r.scan()
		if err != nil {
			return nil, err
		}
		rec := &r.record
		rec.Row, rec.Line, rec.Start = r.at.Row, r.at.Line, r.at
		rec.Cells, rec.Fault = r.cells, nil
		if e.fault.Kind != "" {
			r.fault = e.fault
			rec.Fault = &r.fault
		}
		if err := r.advance(e); err != nil {
			return nil, err
		}
		rec.End = r.at
		if rec.Fault != nil || !blank(rec.Cells) {
			return rec, nil
		}
	}
}

// blank reports whether cells hold nothing but white space.
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

// advance moves behind a record or a faulty part of one.
func (r *Reader) advance(e extent) error {
	r.start += e.size
	if e.open {
		if err := r.passLine(); err != nil {
			return err
		}
	}
	r.at.Row++
	r.at.Line += e.lines
	r.locate()
	return nil
}

// locate settles the place in the file of buf[start].
func (r *Reader) locate() {
	r.at.Offset, r.at.Skip = r.src.position(r.base + int64(r.start))
}

// passLine moves behind the end of the physical line that buf[start] is in,
// without keeping it.
func (r *Reader) passLine() error {
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
		r.src.position(r.base + int64(r.start)) // lets go of anchors passed
		if err := r.more(r.end - r.start + 1); err != nil {
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

// failure is the error of the reader below, if it is one.
func (r *Reader) failure() error {
	if r.err == io.EOF {
		return nil
	}
	return fmt.Errorf("reading the file: %w", r.err)
}

// passSepLine moves behind a first line that names the delimiter. Spreadsheets
// do not show it, so it has a line number and no row number.
func (r *Reader) passSepLine() error {
	if err := r.more(1); err != nil {
		return err
	}
	if err := r.passLine(); err != nil {
		return err
	}
	r.at.Line++
	r.locate()
	return nil
}

// discard drops n bytes of text.
func (r *Reader) discard(n int64) error {
	for n > 0 {
		if err := r.more(1); err != nil {
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

// more reads until the window holds want bytes or the source ends. An error of
// the source other than io.EOF is returned once there is nothing left to read
// before it.
func (r *Reader) more(want int) error {
	for r.end-r.start < want && r.err == nil {
		r.makeRoom(want)
		n, err := readSome(r.src, r.buf[r.end:])
		r.end += n
		r.err = err
	}
	if r.end-r.start < want {
		return r.failure()
	}
	return nil
}

// slack is the least room offered to a read, so that neither small reads nor
// moving the window to make room for them cost much.
const slack = 16 << 10

// makeRoom sees to it that the window can grow to want bytes and by at least
// slack bytes.
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
