package tabular

import (
	"unicode/utf8"
)

// Guess names the likely encoding of a sample of text, for a hint to people or
// where the caller leaves it to the file: by a byte order mark or the pattern
// of UTF-16 and UTF-32, as UTF-8 if it is valid, a character cut off at its
// end aside, else by which encoding makes the likeliest words of it. It is a
// lower-case WHATWG name, or "utf-32le" or "utf-32be".
func Guess(sample []byte) string {
	if name, _ := byteOrderMark(sample); name != "" {
		return name
	}
	if name := nulPattern(sample); name != "" {
		return name
	}
	if looksISO2022JP(sample) {
		return "iso-2022-jp"
	}
	if utf8.Valid(wholeRunes(sample)) {
		return encodingUTF8
	}
	return likeliest(sample)
}
