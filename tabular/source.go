package tabular

import (
	"io"
	"unicode/utf8"

	"golang.org/x/text/transform"
)

// source gives the text of a file in UTF-8, with faulty sequences left in it
// or marked in it, and knows where in the file that text comes from.
type source interface {
	io.Reader
	// position returns where to begin in the file, and how much decoded text
	// to drop from there, to have the text behind its first n bytes. n never
	// goes down from call to call.
	position(n int64) (offset, skip int64)
}

// newSource reads text in the encoding with that canonical name from r, which
// stands at byte offset of the file.
func newSource(r io.Reader, encoding string, offset int64) (source, error) {
	if encoding == encodingUTF8 {
		return &plain{Reader: r, offset: offset}, nil
	}
	dec, err := newDecoder(encoding)
	if err != nil {
		return nil, err
	}
	return &transcoder{
		r:        r,
		dec:      dec,
		raw:      make([]byte, transcodeBytes),
		offset:   offset,
		anchors:  []anchor{{offset: offset}},
		stateful: encoding == "iso-2022-jp",
	}, nil
}

// plain is the source of a UTF-8 file.
type plain struct {
	io.Reader
	offset int64
}

func (p *plain) position(n int64) (offset, skip int64) { return p.offset + n, 0 }

// transcodeBytes is how much a transcoder reads or writes in one step, and
// anchorBytes how much decoded text at least lies between two anchors.
const (
	transcodeBytes = 8 << 10
	anchorBytes    = transcodeBytes / 2
)

// anchor is a point of the file at which decoding can begin.
type anchor struct{ offset, decoded int64 }

// transcoder is the source of a file in any other encoding. It differs from
// transform.Reader in that it keeps track of anchors.
type transcoder struct {
	r   io.Reader
	dec transform.Transformer

	raw        []byte // raw[start:end] is read and not yet decoded
	start, end int
	err        error // of r, told once raw is used up
	offset     int64 // of raw[start] in the file
	decoded    int64 // bytes given out

	// anchors go up; the first is the last one at or before anything that
	// position may still be asked for.
	anchors []anchor
	// stateful: only the beginning is an anchor, for the meaning of a byte
	// depends on any of those before it.
	stateful bool
}

// Read implements io.Reader for a p that has room for a character.
func (t *transcoder) Read(p []byte) (int, error) {
	if len(p) < utf8.UTFMax {
		return 0, io.ErrShortBuffer
	}
	// A small step keeps anchors close together.
	p = p[:min(len(p), transcodeBytes)]
	for {
		t.drop()
		n, used, err := t.dec.Transform(p, t.raw[t.start:t.end], t.err == io.EOF)
		t.start += used
		t.offset += int64(used)
		t.decoded += int64(n)
		switch {
		case n > 0:
			return n, nil
		case err != nil && err != transform.ErrShortSrc && err != transform.ErrShortDst:
			return 0, err
		case t.err != nil && used == 0:
			return 0, t.err
		case t.err == nil:
			t.fill()
		}
	}
}

// drop puts an anchor here if the last one is far enough back.
func (t *transcoder) drop() {
	if !t.stateful && t.decoded-t.anchors[len(t.anchors)-1].decoded >= anchorBytes {
		t.anchors = append(t.anchors, anchor{offset: t.offset, decoded: t.decoded})
	}
}

// fill reads once more behind what is not yet decoded, which is less than one
// character.
func (t *transcoder) fill() {
	t.end = copy(t.raw, t.raw[t.start:t.end])
	t.start = 0
	n, err := readSome(t.r, t.raw[t.end:])
	t.end += n
	t.err = err
}

func (t *transcoder) position(n int64) (offset, skip int64) {
	passed := 0
	for passed+1 < len(t.anchors) && t.anchors[passed+1].decoded <= n {
		passed++
	}
	if passed > 0 {
		t.anchors = t.anchors[:copy(t.anchors, t.anchors[passed:])]
	}
	return t.anchors[0].offset, n - t.anchors[0].decoded
}

// readFull fills p, or returns how far it came and why: io.EOF is the end, and
// any other error, be it io.ErrUnexpectedEOF, is not.
func readFull(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var more int
		more, err = readSome(r, p[n:])
		n += more
	}
	if n == len(p) {
		err = nil
	}
	return n, err
}

// maxEmptyReads bounds the patience with a reader that gives neither bytes nor
// an error.
const maxEmptyReads = 100

// readSome reads at least one byte or returns an error.
func readSome(r io.Reader, p []byte) (int, error) {
	for range maxEmptyReads {
		if n, err := r.Read(p); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}
