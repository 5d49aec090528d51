package tabular

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/transform"
)

// invalidByte stands in decoded text for each sequence that is not valid in
// the source encoding. No UTF-8 has it, so utf8.Valid finds it, and the same
// question is asked of a record whatever the encoding of its file. U+FFFD
// would not do: a file may hold a genuine one.
const invalidByte = 0xFF

// replacement is what the decoders of x/text write for a faulty sequence.
var replacement = []byte("\uFFFD")

// gb18030Replacement is a genuine U+FFFD in GB 18030. It is the only encoding
// read through markingDecoder that has one.
var gb18030Replacement = []byte{0x84, 0x31, 0xA4, 0x37}

// markingDecoder runs a decoder of x/text and turns each U+FFFD it writes for
// a faulty sequence into invalidByte.
type markingDecoder struct {
	inner   transform.Transformer
	genuine []byte // the source's own U+FFFD, nil if it has none
}

func (d *markingDecoder) Reset() { d.inner.Reset() }

func (d *markingDecoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	nDst, nSrc, err = d.inner.Transform(dst, src, atEOF)
	if !bytes.Contains(dst[:nDst], replacement) {
		return nDst, nSrc, err
	}
	if d.genuine != nil && bytes.Contains(src[:nSrc], d.genuine) {
		return d.stepwise(dst, src[:nSrc]), nSrc, err
	}
	return mark(dst[:nDst]), nSrc, err
}

// stepwise decodes src again, a character or two at a time, so that each
// U+FFFD can be held against the bytes it came from. src is what one call of
// a stateless decoder has used up, so that it decodes to the same again.
func (d *markingDecoder) stepwise(dst, src []byte) (nDst int) {
	var step [utf8.UTFMax]byte // room for one U+FFFD, not for two
	for len(src) > 0 {
		n, used, _ := d.inner.Transform(step[:], src, true)
		if used == 0 {
			break
		}
		if !bytes.Contains(src[:used], d.genuine) {
			n = mark(step[:n])
		}
		nDst += copy(dst[nDst:], step[:n])
		src = src[used:]
	}
	return nDst
}

// mark replaces each U+FFFD in b in place and returns the length left.
func mark(b []byte) int {
	n := 0
	for {
		i := bytes.Index(b[n:], replacement)
		if i < 0 {
			return len(b)
		}
		n += i
		b[n] = invalidByte
		n++
		b = append(b[:n], b[n+len(replacement)-1:]...)
	}
}

// utf16Decoder decodes UTF-16. Unlike the one of x/text it tells a genuine
// U+FFFD from half a surrogate pair or half a code unit.
type utf16Decoder struct {
	transform.NopResetter
	bigEndian bool
}

func (d utf16Decoder) unit(b []byte) rune {
	if d.bigEndian {
		return rune(b[0])<<8 | rune(b[1])
	}
	return rune(b[1])<<8 | rune(b[0])
}

func (d utf16Decoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		r, size := d.next(src[nSrc:], atEOF)
		if size == 0 {
			return nDst, nSrc, transform.ErrShortSrc
		}
		if size == 1 && (src[nSrc] == 0x1A || src[nSrc] == 0) {
			nSrc++ // a Ctrl-Z or NUL put behind the text byte-wise
			continue
		}
		if r < 0 {
			if nDst == len(dst) {
				return nDst, nSrc, transform.ErrShortDst
			}
			dst[nDst] = invalidByte
			nDst++
		} else {
			if nDst+utf8.RuneLen(r) > len(dst) {
				return nDst, nSrc, transform.ErrShortDst
			}
			nDst += utf8.EncodeRune(dst[nDst:], r)
		}
		nSrc += size
	}
	return nDst, nSrc, nil
}

// next returns the first character of src, which is not empty, and its size in
// bytes. The character is -1 for a faulty sequence; the size is 0 if more
// bytes are needed to tell.
func (d utf16Decoder) next(src []byte, atEOF bool) (r rune, size int) {
	if len(src) < 2 {
		if atEOF {
			return -1, len(src)
		}
		return 0, 0
	}
	r = d.unit(src)
	if !utf16.IsSurrogate(r) {
		return r, 2
	}
	if len(src) < 4 {
		if atEOF {
			return -1, 2
		}
		return 0, 0
	}
	if r = utf16.DecodeRune(r, d.unit(src[2:])); r == utf8.RuneError {
		return -1, 2
	}
	return r, 4
}
