package mail

import (
	"bufio"
	"bytes"
	"net/textproto"
)

// dotted is content as it goes on the wire: in lines that end in CR LF, with
// another dot before each that begins with one, and the final dot (RFC 5321,
// section 4.5.2).
func dotted(content []byte) []byte {
	if !wholeLines(content) {
		return dottedLines(content)
	}
	out := make([]byte, 0, len(content)+len(content)/32+len(".\r\n"))
	for len(content) > 0 {
		if content[0] == '.' {
			out = append(out, '.')
		}
		line := len(content)
		if at := bytes.Index(content, []byte("\n.")); at >= 0 {
			line = at + 1
		}
		out = append(out, content[:line]...)
		content = content[line:]
	}
	return append(out, ".\r\n"...)
}

// wholeLines reports whether content is lines that end in CR LF, the last one too.
func wholeLines(content []byte) bool {
	lines := bytes.Count(content, []byte("\r\n"))
	return bytes.HasSuffix(content, []byte("\r\n")) &&
		bytes.Count(content, []byte("\n")) == lines && bytes.Count(content, []byte("\r")) == lines
}

// dottedLines is dotted for lines that end in any way: it looks at each byte.
func dottedLines(content []byte) []byte {
	var out bytes.Buffer
	lines := textproto.NewWriter(bufio.NewWriter(&out)).DotWriter()
	_, _ = lines.Write(content) // a bytes.Buffer takes all
	_ = lines.Close()
	return out.Bytes()
}
