package tabular

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/transform"
)

// sniffResult is what the beginning of a file tells about the whole.
type sniffResult struct {
	encoding  string // canonical name
	mark      int    // bytes of the byte order mark
	delimiter byte
	sepLine   bool // the first line is only there to name the delimiter
}

// sniff settles how to read a file from a sample of its beginning. declared is
// a canonical encoding, "auto" or "utf-16".
// whole says that the sample is all there is. The error is a *FileError or
// wraps ErrUnknownDelimiter.
func sniff(sample []byte, whole bool, declared string, o Options) (sniffResult, error) {
	var found sniffResult
	if whole && len(bytes.TrimSpace(sample)) == 0 {
		return found, &FileError{Kind: FileEmpty}
	}
	if reason := detectNonCSV(sample); reason != "" {
		return found, &FileError{Kind: FileMalformed, Reason: reason}
	}
	var err error
	if found.encoding, found.mark, err = settleEncoding(sample, declared); err != nil {
		return found, err
	}
	text, err := decodeSample(sample[found.mark:], found.encoding)
	if err != nil {
		return found, err
	}
	if whole {
		text = trimEnd(text)
	}
	if whole && len(bytes.TrimSpace(text)) == 0 {
		return found, &FileError{Kind: FileEmpty}
	}
	if reason := notText(text); reason != "" {
		return found, &FileError{Kind: FileMalformed, Reason: reason}
	}
	if !utf8.Valid(header(text)) {
		likely := SureGuess(sample)
		if likely == found.encoding {
			likely = ""
		}
		return found, &FileError{Kind: FileEncoding, Declared: found.encoding, Likely: likely}
	}
	return found, found.settleDelimiter(text, whole, o)
}

// settleDelimiter obeys, in this order, the caller, a `sep=` line and the look
// of the text.
func (f *sniffResult) settleDelimiter(text []byte, whole bool, o Options) (err error) {
	named, rest, isSep := sepLine(text)
	f.sepLine = isSep
	switch {
	case o.Delimiter != "":
		f.delimiter, err = parseDelimiter(o.Delimiter)
	case isSep:
		if f.delimiter, err = parseDelimiter(named); err != nil {
			return &FileError{Kind: FileMalformed, Reason: "The first line, sep=, asks for a delimiter that is not supported. " +
				"Use a comma, a semicolon, a tab or a pipe."}
		}
	default:
		f.delimiter = findDelimiter(fromRow(rest, o.HeaderRow), whole)
	}
	return err
}

// fromRow drops the rows before one from a text. If there is nothing left, the text
// stays as it is.
func fromRow(text []byte, row int64) []byte {
	rest := text
	for ; row > 1 && len(rest) > 0; row-- {
		_, size, _ := count(rest)
		if size > 0 && size < len(rest) && rest[size-1] == '\r' && rest[size] == '\n' {
			size++
		}
		rest = rest[size:]
	}
	if len(rest) == 0 {
		return text
	}
	return rest
}

// decodeSample returns the sample in UTF-8, without a character cut off at its
// end.
func decodeSample(sample []byte, encoding string) ([]byte, error) {
	if encoding == encodingUTF8 {
		return wholeRunes(sample), nil
	}
	dec, err := newDecoder(encoding)
	if err != nil {
		return nil, err
	}
	// No encoding grows by more than this: one byte to a character of three.
	text := make([]byte, 3*len(sample))
	n, _, err := dec.Transform(text, sample, false)
	if err != nil && err != transform.ErrShortSrc {
		return nil, fmt.Errorf("decoding %s: %w", encoding, err)
	}
	return text[:n], nil
}

// header returns the first line that is not blank.
func header(text []byte) []byte {
	text = bytes.TrimLeft(text, " \t\r\n")
	if i := indexLineEnd(text); i >= 0 {
		return text[:i]
	}
	return text
}

// settleEncoding returns the canonical name of the encoding to read the sample
// in, and the length of its byte order mark.
func settleEncoding(sample []byte, declared string) (name string, mark int, err error) {
	found, mark := byteOrderMark(sample)
	if found == "" {
		found = nulPattern(sample)
	}
	refuse := func(likely string) error {
		return &FileError{Kind: FileEncoding, Declared: declared, Likely: likely}
	}
	switch {
	case found == "utf-32le" || found == "utf-32be":
		return "", 0, refuse(found)
	case declared == encodingAuto:
		if found == "" {
			found = Guess(sample)
		}
		return found, mark, nil
	case declared == encodingUTF16 && (found == "utf-16le" || found == "utf-16be"):
		return found, mark, nil
	case found == encodingUTF8 && declared == encodingUTF8Twice:
		return declared, mark, nil
	case found != "" && found != declared:
		return "", 0, refuse(found)
	case declared == encodingUTF16, declared == "utf-16le", declared == "utf-16be":
		// Any CSV in UTF-16 has a line end or delimiter, and so a zero byte.
		if len(sample) > 0 && bytes.IndexByte(sample, 0) < 0 {
			return "", 0, refuse(SureGuess(sample))
		}
		if declared == encodingUTF16 {
			declared = utf16Order(sample)
		}
	case declared == encodingUTF8 && looksISO2022JP(sample):
		return "", 0, refuse("iso-2022-jp")
	}
	return declared, mark, nil
}

// byteOrderMark names the encoding by the mark that sample begins with, and
// returns the length of the mark.
func byteOrderMark(sample []byte) (name string, size int) {
	// The mark of UTF-32 begins with that of UTF-16, so it is tried first.
	for _, m := range [...]struct{ mark, name string }{
		{"\xEF\xBB\xBF", "utf-8"},
		{"\xFF\xFE\x00\x00", "utf-32le"},
		{"\x00\x00\xFE\xFF", "utf-32be"},
		{"\xFF\xFE", "utf-16le"},
		{"\xFE\xFF", "utf-16be"},
	} {
		if bytes.HasPrefix(sample, []byte(m.mark)) {
			return m.name, len(m.mark)
		}
	}
	return "", 0
}

// patternBytes is how much of a sample is searched for a pattern of NULs.
const patternBytes = 1024

// nulPattern names UTF-16 or UTF-32 without a byte order mark by where its zero
// bytes stand, or returns "". A few NULs in other text make no pattern.
func nulPattern(sample []byte) string {
	sample = sample[:min(len(sample), patternBytes)]
	quads := len(sample) / 4
	var zeros [4]int
	for i, b := range sample[:4*quads] {
		if b == 0 {
			zeros[i%4]++
		}
	}
	switch {
	case quads == 0:
		// Too short to be told from text with a NUL.
		return ""
	case zeros[2] == quads && zeros[3] == quads && zeros[0] == 0:
		return "utf-32le"
	case zeros[0] == quads && zeros[1] == quads && zeros[3] == 0:
		return "utf-32be"
	}
	even, odd := zeros[0]+zeros[2], zeros[1]+zeros[3]
	const third = 3
	switch pairs := 2 * quads; {
	case odd > pairs/third && even <= pairs/50:
		return "utf-16le"
	case even > pairs/third && odd <= pairs/50:
		return "utf-16be"
	}
	return ""
}

// utf16Order names the byte order of UTF-16 that has no byte order mark and
// too few zero bytes for a pattern.
func utf16Order(sample []byte) string {
	even, odd := 0, 0
	for i, b := range sample {
		if b == 0 {
			if i%2 == 0 {
				even++
			} else {
				odd++
			}
		}
	}
	if even > odd {
		return "utf-16be"
	}
	return "utf-16le"
}

// looksISO2022JP reports whether sample is ASCII that switches to Japanese and
// back, as only ISO-2022-JP does.
func looksISO2022JP(sample []byte) bool {
	return (bytes.Contains(sample, []byte("\x1B$B")) || bytes.Contains(sample, []byte("\x1B$@"))) &&
		(bytes.Contains(sample, []byte("\x1B(B")) || bytes.Contains(sample, []byte("\x1B(J")))
}
