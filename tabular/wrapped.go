package tabular

import (
	"bytes"
	"strings"
)

// SplitLine reads text as one record with this Reader's delimiter, as if it
// were all of a file: the inside of a line that some program has wrapped in
// quotes as a whole. It reports false if the text is not one sound record. The
// cells are valid until the next call.
func (r *Reader) SplitLine(text []byte) (cells [][]byte, ok bool) {
	if r.inner == nil {
		r.inner = &Reader{format: r.format, delim: r.delim}
	}
	in := r.inner
	if bytes.IndexByte(text, '"') < 0 {
		if bytes.ContainsAny(text, "\r\n") {
			return nil, false
		}
		ok = in.split(text)
		return in.cells, ok
	}
	e, ok := in.parseQuoted(text, line{text: text, size: len(text)}, true, false)
	return in.cells, ok && e.fault.Kind == "" && e.size == len(text)
}

// unwrapLines takes the quotes off the lines of a sample that are wrapped in
// quotes as a whole, as a program writes them that takes each line for one
// cell. It reports false if the first line is not.
func unwrapLines(text []byte) (inner []byte, ok bool) {
	var b bytes.Buffer
	for n := 0; len(text) > 0 && n < surveyRecords; n++ {
		line, rest := text, []byte(nil)
		if i := indexLineEnd(text); i >= 0 {
			line, rest = text[:i], text[i+1:]
		}
		text = rest
		line = bytes.TrimSpace(line)
		if len(line) < 2 || line[0] != '"' || line[len(line)-1] != '"' {
			if n == 0 {
				return nil, false
			}
			continue
		}
		b.WriteString(strings.ReplaceAll(string(line[1:len(line)-1]), `""`, `"`))
		b.WriteByte('\n')
	}
	return b.Bytes(), b.Len() > 0
}
