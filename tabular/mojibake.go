package tabular

import (
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/transform"
)

// encodingUTF8Twice is the name under which a file is read whose text was
// turned into UTF-8 twice, the first UTF-8 being taken for windows-1252, so that
// "é" became "Ã©". Text that was not stays as it is.
const encodingUTF8Twice = "utf-8-twice"

// RepairDoubled undoes the second of two conversions to UTF-8 wherever a text
// shows signs of it. It reports whether there were any.
func RepairDoubled(s string) (string, bool) {
	var out []byte
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := doubled(s[i:])
		if size <= 0 {
			_, n := utf8.DecodeRuneInString(s[i:])
			i += n
			continue
		}
		out = utf8.AppendRune(append(out, s[:i]...), r)
		s, i = s[i+size:], 0
	}
	if out == nil {
		return s, false
	}
	return string(append(out, s...)), true
}

// doubled returns the character that the beginning of a text was before it
// became UTF-8 twice, and the size of what it is now. The size is 0 if the text
// is not that, and -1 if that takes more text to tell.
func doubled[T string | []byte](text T) (r rune, size int) {
	var inner [utf8.UTFMax]byte
	want := 0
	for n := 0; ; n++ {
		if size == len(text) {
			return 0, -1
		}
		next, width := decodeRune(text[size:])
		b, ok := byteOf(next)
		switch {
		case next == utf8.RuneError && width <= 1:
			if !utf8.FullRune([]byte(text[size:])) {
				return 0, -1
			}
			return 0, 0
		case !ok:
			return 0, 0
		case n == 0:
			if want = sequenceLength(b); want == 0 {
				return 0, 0
			}
		case b < 0x80 || b > 0xBF:
			return 0, 0
		}
		inner[n] = b
		size += width
		if n+1 == want {
			break
		}
	}
	r, n := utf8.DecodeRune(inner[:want])
	if r == utf8.RuneError || n != want {
		return 0, 0
	}
	return r, size
}

func decodeRune[T string | []byte](text T) (rune, int) {
	return utf8.DecodeRune([]byte(text[:min(len(text), utf8.UTFMax)]))
}

// byteOf is the byte that windows-1252, or Latin 1 where it has none, shows as r.
func byteOf(r rune) (byte, bool) {
	if r >= 0x80 && r < 0xA0 {
		return byte(r), true
	}
	return charmap.Windows1252.EncodeRune(r)
}

// sequenceLength is the length of the UTF-8 sequence that begins with b, 0 for
// one of a single byte or none.
func sequenceLength(b byte) int {
	switch {
	case b >= 0xC2 && b <= 0xD3, b >= 0xD7 && b <= 0xDA: // not ß, which may be before a quote
		return 2
	case b >= 0xE0 && b <= 0xEF:
		return 3
	case b >= 0xF0 && b <= 0xF4:
		return 4
	}
	return 0
}

// twiceDecoder decodes UTF-8 whose text may have been made UTF-8 twice. It marks
// invalid bytes as the other decoders do.
type twiceDecoder struct{ transform.NopResetter }

func (twiceDecoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		if nDst+utf8.UTFMax > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		if c := src[nSrc]; c < utf8.RuneSelf {
			dst[nDst] = c
			nDst, nSrc = nDst+1, nSrc+1
			continue
		}
		r, size := doubled(src[nSrc:])
		if size < 0 && !atEOF {
			return nDst, nSrc, transform.ErrShortSrc
		}
		if size <= 0 {
			if r, size = utf8.DecodeRune(src[nSrc:]); r == utf8.RuneError && size == 1 {
				dst[nDst] = invalidByte
				nDst, nSrc = nDst+1, nSrc+1
				continue
			}
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += size
	}
	return nDst, nSrc, nil
}
