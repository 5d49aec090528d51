package workbook

import (
	"bytes"
	"errors"
	"io"
	"slices"
)

// Texts calls each with the texts of every file in a workbook, one after the other:
// cells of all sheets, comments, links, properties. The runs of a rich text follow
// each other directly; anything else is on lines of its own. A file that isn't XML is
// given as it is.
//
// The error is an *[Error] if the archive can't be unpacked, or comes from r or each.
func Texts(r io.ReaderAt, size int64, limits Limits, each func(io.Reader) error) error {
	a, err := openArchive(r, size, limits)
	if err != nil {
		return err
	}
	a.left = 1 << 62 // each part has its limit, and they are read one by one
	names := make([]string, 0, len(a.entries))
	for name := range a.entries {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p, x, err := a.scan(name, a.limits.PartBytes)
		if err != nil {
			return err
		}
		text := &textReader{x: x}
		err = each(text)
		p.close()
		if err == nil && !text.broken {
			continue
		}
		if err != nil && !text.broken {
			return err
		}
		if p, err = a.open(name, a.limits.PartBytes); err != nil {
			return err
		}
		err = each(p)
		p.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// textReader reads the texts of an XML document, and the values of its attributes.
type textReader struct {
	x       *xmlScanner
	pending []byte
	broken  bool // it is no XML
}

// inline are the elements that are within a text: of runs and their fonts.
var inline = []string{"t", "r", "rPr", "b", "i", "u", "strike", "sz", "color", "rFont", "family", "scheme", "charset", "vertAlign", "outline", "shadow", "span", "a"}

func (t *textReader) Read(p []byte) (int, error) {
	for len(t.pending) == 0 {
		kind, err := t.x.next()
		if errors.As(err, new(*Error)) {
			t.broken = true
		}
		if err != nil {
			return 0, err
		}
		switch {
		case kind == characters:
			t.pending = t.x.text
		case slices.Contains(inline, string(t.x.name)) && (kind == endElement || !bytes.Contains(t.x.attrs, []byte("@"))):
		case kind == startElement && len(t.x.attrs) > 0:
			t.pending = append(append([]byte{'\n'}, attrValue(t.x.attrs)...), '\n')
		default:
			t.pending = []byte{'\n'}
		}
	}
	n := copy(p, t.pending)
	t.pending = t.pending[n:]
	return n, nil
}
