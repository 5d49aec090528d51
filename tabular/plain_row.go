package tabular

import (
	"encoding/binary"
	"math/bits"
)

// What a byte of a line means for how the line is read.
const (
	quoteLike   = 1 << iota // an apostrophe or a backtick, which some programs use as quotes
	mustCheck               // a control character or not ASCII: the record must be checked for NUL and valid UTF-8
	needsParser             // a quote or a CR: delimiters and LFs alone don't tell where cells and the record end
)

// byteKinds is 0 for printable ASCII other than quotes.
var byteKinds = func() (kinds [256]uint8) {
	for c := range kinds {
		if c < ' ' || c >= 0x7F {
			kinds[c] = mustCheck
		}
	}
	kinds['\''], kinds['`'] = quoteLike, quoteLike
	kinds['"'], kinds['\r'] = needsParser, needsParser
	return kinds
}()

// parseSimple reads the record at the start of w if it is a line without quotes
// that ends in LF or CRLF and is within the limits. Most records are, and this is
// several times faster than the full parser. It reports false if the record needs
// parseAny.
func (r *Reader) parseSimple(w []byte) (extent, bool) {
	lf := r.nextLF()
	if lf >= len(w) {
		return extent{}, false
	}
	text := w[:lf]
	if lf > 0 && text[lf-1] == '\r' {
		text = text[:lf-1]
	}
	if len(text) > r.format.MaxRecordBytes {
		return extent{}, false
	}
	seen, ok := r.cut(text)
	if !ok {
		return extent{}, false
	}
	e := extent{size: lf + 1, lines: 1, plain: seen == 0}
	if seen&mustCheck != 0 {
		return r.checked(e, text), true
	}
	return e, true
}

// cut splits a line into cells and reports which kinds of bytes they contain. It
// reports false at the first byte that needs the full parser, or when there are
// too many cells. Stopping there matters in a file of bare CRs, where the next LF
// may be far away.
func (r *Reader) cut(text []byte) (seen uint8, ok bool) {
	cells, start := r.cells[:0], 0
	delim, delims := r.delim, eachByte*uint64(r.delim)
	for i := 0; i < len(text); i += 8 {
		if word, ok := plainWord(text[i:]); ok {
			for found := ^differing(word, delims) & highBits; found != 0; found &= found - 1 {
				at := i + bits.TrailingZeros64(found)/8
				cells = append(cells, text[start:at])
				start = at + 1
			}
		} else {
			for at := i; at < min(i+8, len(text)); at++ {
				c := text[at]
				if c == delim {
					cells = append(cells, text[start:at])
					start = at + 1
				} else if kind := byteKinds[c]; kind == needsParser {
					return 0, false
				} else {
					seen |= kind
				}
			}
		}
		if len(cells) >= r.format.MaxCells {
			return 0, false
		}
	}
	r.cells = append(cells, text[start:])
	return seen, true
}

// A word holds eight bytes that are checked together. ASCII leaves the highest
// bit of each byte free for the result.
const (
	eachByte = 0x0101010101010101
	highBits = 0x80 * eachByte
	lowBits  = 0x7F * eachByte
)

// plainWord returns the first eight bytes of text as a word, the first byte
// lowest. It reports false if there are fewer, or if one is of a special kind: see
// byteKinds.
func plainWord(text []byte) (word uint64, ok bool) {
	if len(text) < 8 {
		return 0, false
	}
	word = binary.LittleEndian.Uint64(text)
	control, del := word-' '*eachByte, word+eachByte
	unquoted := differing(word, '"'*eachByte) & differing(word, '\''*eachByte) & differing(word, '`'*eachByte)
	return word, (word|control|del|^unquoted)&highBits == 0
}

// differing sets the highest bit of each byte in which two words of ASCII differ.
func differing(word, other uint64) uint64 { return (word ^ other) + lowBits }
