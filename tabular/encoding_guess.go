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
	name, _, _ := guess(sample)
	return name
}

// SureGuess is [Guess], but "" if another encoding is nearly as likely and reads
// the sample differently: then no advice is better than a wrong one. Only
// windows-1252, by far the most common, needs no such lead.
func SureGuess(sample []byte) string {
	name, _, sure := guess(sample)
	if !sure {
		return ""
	}
	return name
}

// GuessAndNear is [Guess], and the likeliest of the other encodings that are nearly
// as likely and read the sample differently; "" if there is none.
func GuessAndNear(sample []byte) (name, near string) {
	name, near, _ = guess(sample)
	return name, near
}

func guess(sample []byte) (name, near string, sure bool) {
	if name, _ := byteOrderMark(sample); name != "" {
		return name, "", true
	}
	if name := nulPattern(sample); name != "" {
		return name, "", true
	}
	if looksISO2022JP(sample) {
		return "iso-2022-jp", "", true
	}
	if utf8.Valid(wholeRunes(sample)) {
		return encodingUTF8, "", true
	}
	return bestEncoding(sample)
}
