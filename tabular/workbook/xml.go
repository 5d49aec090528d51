package workbook

import (
	"bytes"
	"io"
	"strconv"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
)

// token is what an xmlScanner has read.
type token int

const (
	startElement token = iota + 1
	endElement
	characters // part of the text between two tags: a long one comes in pieces
)

const (
	xmlBuffer = 64 << 10
	maxTag    = 64 << 10 // one tag with all its attributes, in bytes
	maxDepth  = 256      // elements within each other
)

// xmlScanner splits an XML document into tags and text without keeping any of it.
//
// Package encoding/xml does that too, but holds a tag or a text of any length in
// memory and needs several times as long, which for a sheet is most of the time
// an import takes. This one knows no more of XML than workbooks need: it doesn't
// verify that names match, and refuses document types, and with them all entities
// but the five that XML has itself.
type xmlScanner struct {
	r          io.Reader
	buf        []byte
	start, end int // buf[start:end] is read and not yet scanned
	err        error

	name  []byte // of an element, without its prefix
	attrs []byte // of a start tag, as written
	text  []byte // of characters
	depth int

	cdata, empty bool // within a CDATA section; the tag was <name/>
	scratch      []byte
}

// newXMLScanner begins to scan a document in UTF-8, or in UTF-16 with a byte order
// mark.
func newXMLScanner(r io.Reader) (*xmlScanner, error) {
	x := &xmlScanner{r: r, buf: make([]byte, xmlBuffer)}
	if err := x.fill(4); err != nil {
		return nil, err
	}
	switch begin := x.buf[:x.end]; {
	case bytes.HasPrefix(begin, []byte("\xef\xbb\xbf")):
		x.start = 3
	case bytes.HasPrefix(begin, []byte("\xff\xfe")), bytes.HasPrefix(begin, []byte("\xfe\xff")):
		whole := io.MultiReader(bytes.NewReader(bytes.Clone(begin)), r)
		x.r, x.end = unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder().Reader(whole), 0
	}
	return x, nil
}

// next returns the next token, or io.EOF at the end of the document.
func (x *xmlScanner) next() (token, error) {
	if x.empty {
		x.empty = false
		x.depth--
		return endElement, nil
	}
	for {
		if err := x.fill(1); err != nil {
			return 0, err
		}
		switch {
		case x.start == x.end && (x.depth > 0 || x.cdata):
			return 0, damaged("an XML part ends early")
		case x.start == x.end:
			return 0, io.EOF
		case x.cdata:
			if t, err := x.readCDATA(); t != 0 || err != nil {
				return t, err
			}
		case x.buf[x.start] != '<':
			return x.readText()
		default:
			if t, err := x.readMarkup(); t != 0 || err != nil {
				return t, err
			}
		}
	}
}

// readMarkup reads what begins with <. It returns 0 for what is no token.
func (x *xmlScanner) readMarkup() (token, error) {
	const longest = len("<![CDATA[")
	if err := x.fill(longest); err != nil {
		return 0, err
	}
	switch window := x.buf[x.start:x.end]; {
	case bytes.HasPrefix(window, []byte("<!--")):
		x.start += len("<!--")
		return 0, x.skipPast("-->")
	case bytes.HasPrefix(window, []byte("<![CDATA[")):
		x.start, x.cdata = x.start+longest, true
		return 0, nil
	case bytes.HasPrefix(window, []byte("<!")):
		return 0, damaged("an XML part has a document type, which workbooks don't have")
	case bytes.HasPrefix(window, []byte("<?")):
		return 0, x.readDeclaration()
	}
	tag, err := x.readTag()
	if err != nil {
		return 0, err
	}
	if tag[0] == '/' {
		if x.depth--; x.depth < 0 {
			return 0, damaged("an XML part has an end without a beginning")
		}
		x.name = localName(bytes.TrimRight(tag[1:], " \t\r\n"))
		return endElement, nil
	}
	if x.depth++; x.depth > maxDepth {
		return 0, damaged("an XML part is nested too deeply")
	}
	if tag[len(tag)-1] == '/' {
		tag, x.empty = tag[:len(tag)-1], true
	}
	x.attrs = nil
	if i := bytes.IndexAny(tag, " \t\r\n"); i >= 0 {
		tag, x.attrs = tag[:i], tag[i:]
	}
	x.name = localName(tag)
	return startElement, nil
}

func localName(name []byte) []byte { return name[bytes.IndexByte(name, ':')+1:] }

// readTag returns what is between < and >.
func (x *xmlScanner) readTag() ([]byte, error) {
	var quote byte
	for i := 1; ; i++ {
		if i >= maxTag {
			return nil, damaged("an XML part has a tag that is too long")
		}
		if x.start+i >= x.end {
			if err := x.fill(i + 1); err != nil {
				return nil, err
			}
			if x.start+i >= x.end {
				return nil, damaged("an XML part ends early")
			}
		}
		c := x.buf[x.start+i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '<' || c == '>' && i == 1:
			return nil, damaged("an XML part has a stray <")
		case c == '>':
			tag := x.buf[x.start+1 : x.start+i]
			x.start += i + 1
			return tag, nil
		}
	}
}

// readDeclaration reads <?…?>, of which only the encoding matters.
func (x *xmlScanner) readDeclaration() error {
	if err := x.fill(256); err != nil {
		return err
	}
	head := x.buf[x.start:min(x.end, x.start+256)]
	if i := bytes.Index(head, []byte("?>")); i >= 0 && bytes.HasPrefix(head, []byte("<?xml ")) {
		x.attrs = head[len("<?xml"):i]
		switch e := bytes.ToLower(x.attr("encoding")); string(e) {
		case "", "utf-8", "utf8", "us-ascii", "ascii", "utf-16":
		default:
			return damaged("an XML part is in an encoding that workbooks don't use")
		}
	}
	return x.skipPast("?>")
}

// readText reads characters up to the next tag, or the most of it that the buffer
// holds.
func (x *xmlScanner) readText() (token, error) {
	window := x.buf[x.start:x.end]
	i := bytes.IndexByte(window, '<')
	if i < 0 { // more of it may come, and a reference must not be cut in two
		if err := x.fill(len(window) + 1); err != nil {
			return 0, err
		}
		window = x.buf[x.start:x.end]
		if i = bytes.IndexByte(window, '<'); i < 0 {
			i = len(window)
			if x.err == nil {
				i = uncut(window)
			}
		}
	}
	x.start += i
	var err error
	x.text, err = x.decode(window[:i])
	return characters, err
}

// uncut returns how much of a text that goes on can be decoded: without a reference
// or a character at its end that may be cut off.
func uncut(text []byte) int {
	const longest = 12 // &#x10FFFF; and to spare
	n := len(text)
	if i := bytes.LastIndexByte(text, '&'); i > 0 && n-i < longest && bytes.IndexByte(text[i:], ';') < 0 {
		return i
	}
	for back := 1; back < utf8.UTFMax && back < n; back++ {
		if utf8.RuneStart(text[n-back]) {
			if !utf8.FullRune(text[n-back:]) {
				return n - back
			}
			break
		}
	}
	if n > 1 && text[n-1] == '\r' {
		return n - 1
	}
	return n
}

func (x *xmlScanner) readCDATA() (token, error) {
	const end = "]]>"
	if err := x.fill(len(end)); err != nil {
		return 0, err
	}
	window := x.buf[x.start:x.end]
	i := bytes.Index(window, []byte(end))
	switch {
	case i >= 0:
		x.cdata = false
		x.start += i + len(end)
	case len(window) < len(end):
		return 0, damaged("an XML part ends early")
	default:
		i = len(window) - len(end) + 1
		for i > 1 && !utf8.RuneStart(window[i]) {
			i--
		}
		x.start += i
	}
	if i == 0 {
		return 0, nil
	}
	x.text = window[:i]
	return characters, nil
}

// decode replaces references and line ends. The result is valid until the next token.
func (x *xmlScanner) decode(raw []byte) ([]byte, error) {
	if bytes.IndexByte(raw, '&') < 0 && bytes.IndexByte(raw, '\r') < 0 {
		return raw, nil
	}
	out := x.scratch[:0]
	for len(raw) > 0 {
		i := bytes.IndexAny(raw, "&\r")
		if i < 0 {
			out = append(out, raw...)
			break
		}
		out = append(out, raw[:i]...)
		if raw[i] == '\r' {
			out = append(out, '\n')
			raw = bytes.TrimPrefix(raw[i+1:], []byte("\n"))
			continue
		}
		r, size := reference(raw[i:])
		if size == 0 {
			return nil, damaged("an XML part uses an entity that XML doesn't have")
		}
		out = utf8.AppendRune(out, r)
		raw = raw[i+size:]
	}
	x.scratch = out
	return out, nil
}

// reference returns the character that a text begins with as a reference, and the
// length of the reference; 0 if it is none.
func reference(text []byte) (r rune, size int) {
	const longest = 12
	end := bytes.IndexByte(text[:min(len(text), longest)], ';')
	if end < 2 {
		return 0, 0
	}
	switch name := string(text[1:end]); {
	case name == "lt":
		r = '<'
	case name == "gt":
		r = '>'
	case name == "amp":
		r = '&'
	case name == "quot":
		r = '"'
	case name == "apos":
		r = '\''
	case name[0] == '#':
		digits, base := name[1:], 10
		if len(digits) > 0 && (digits[0] == 'x' || digits[0] == 'X') {
			digits, base = digits[1:], 16
		}
		n, err := strconv.ParseUint(digits, base, 32)
		if err != nil || n == 0 || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
			return 0, 0
		}
		r = rune(n)
	default:
		return 0, 0
	}
	return r, end + 1
}

// attr returns the value of an attribute of the start tag just read, whatever its
// prefix; nil if it has none. A name with a prefix means the very attribute.
func (x *xmlScanner) attr(name string) []byte {
	exact := bytes.IndexByte([]byte(name), ':') >= 0
	rest := x.attrs
	for {
		eq := bytes.IndexByte(rest, '=')
		if eq < 0 {
			return nil
		}
		key := bytes.TrimSpace(rest[:eq])
		rest = bytes.TrimLeft(rest[eq+1:], " \t\r\n")
		if len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
			return nil
		}
		end := bytes.IndexByte(rest[1:], rest[0])
		if end < 0 {
			return nil
		}
		value := rest[1 : 1+end]
		rest = rest[end+2:]
		if !exact {
			key = localName(key)
		}
		if string(key) == name {
			return attrValue(value)
		}
	}
}

// attrValue replaces references in the value of an attribute. One that XML doesn't
// have stays as it is.
func attrValue(raw []byte) []byte {
	if bytes.IndexByte(raw, '&') < 0 {
		return raw
	}
	var out []byte
	for len(raw) > 0 {
		if raw[0] == '&' {
			if r, size := reference(raw); size > 0 {
				out = utf8.AppendRune(out, r)
				raw = raw[size:]
				continue
			}
		}
		out, raw = append(out, raw[0]), raw[1:]
	}
	return out
}

// number returns an attribute that is a whole number, or other if there is none.
func (x *xmlScanner) number(name string, other int) (int, error) {
	value := x.attr(name)
	if value == nil {
		return other, nil
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 31)
	if err != nil {
		return 0, damaged("an XML part has an attribute that should be a number")
	}
	return int(n), nil
}

// skipElement reads to the end of the element whose start tag was just read.
func (x *xmlScanner) skipElement() error {
	for depth := x.depth - 1; x.depth > depth; {
		if _, err := x.next(); err != nil {
			return unexpected(err)
		}
	}
	return nil
}

// unexpected turns the end of a document where it must not end into an error.
func unexpected(err error) error {
	if err == io.EOF {
		return damaged("an XML part ends early")
	}
	return err
}

func (x *xmlScanner) skipPast(end string) error {
	for {
		if err := x.fill(len(end)); err != nil {
			return err
		}
		window := x.buf[x.start:x.end]
		if i := bytes.Index(window, []byte(end)); i >= 0 {
			x.start += i + len(end)
			return nil
		}
		if x.err != nil {
			return damaged("an XML part ends early")
		}
		x.start += len(window) - len(end) + 1
	}
}

// fill reads until the window has want bytes or the document ends. Any other end is
// an error.
func (x *xmlScanner) fill(want int) error {
	for x.end-x.start < want && x.err == nil {
		if x.start > 0 && (x.start == x.end || len(x.buf)-x.start < want || x.end == len(x.buf)) {
			x.end = copy(x.buf, x.buf[x.start:x.end])
			x.start = 0
		}
		if x.end == len(x.buf) {
			if want <= len(x.buf) {
				break
			}
			if want > maxTag+1 {
				return nil // a long text: it comes in pieces
			}
			x.buf = append(x.buf, make([]byte, len(x.buf))...)
		}
		n, err := x.r.Read(x.buf[x.end:])
		x.end += n
		x.err = err
	}
	if x.err != nil && x.err != io.EOF {
		return x.err
	}
	return nil
}
