package workbook

import (
	"bytes"
	"io"
	"path"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// xlsx is an Office Open XML workbook (ISO/IEC 29500, part 1, section 18), with or
// without macros, which are never read.
type xlsx struct {
	archive   *archive
	list      []Sheet
	parts     []string // of the sheets
	since1904 bool

	stringsPart, stylesPart string
	loaded                  bool
	strings                 stringTable
	formats                 []numberFormat // of the cell styles, by number
}

func (b *xlsx) sheets() []Sheet { return b.list }

// openXLSX reads the list of sheets.
func openXLSX(a *archive) (*xlsx, error) {
	main, err := mainPart(a)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(main, ".bin") {
		return nil, foreign("This is an Excel binary workbook (.xlsb), which can't be read.", fixSave)
	}
	b := &xlsx{archive: a}
	related, err := relationships(a, main)
	if err != nil {
		return nil, err
	}
	targets := map[string]string{}
	for _, r := range related {
		switch {
		case r.external: // nothing outside the file is read
		case strings.HasSuffix(r.kind, "/worksheet"):
			targets[r.id] = r.target
		case strings.HasSuffix(r.kind, "/sharedStrings"):
			b.stringsPart = r.target
		case strings.HasSuffix(r.kind, "/styles"):
			b.stylesPart = r.target
		}
	}
	p, x, err := a.scan(main, maxSmallPart)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, damaged("its main part is missing")
	}
	defer p.close()
	return b, b.readList(x, targets)
}

// readList reads the main part.
func (b *xlsx) readList(x *xmlScanner, targets map[string]string) error {
	for first := true; ; {
		t, err := x.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if t != startElement {
			continue
		}
		switch name := string(x.name); {
		case first && name != "workbook":
			return otherDocument(name)
		case name == "workbookPr":
			b.since1904 = isTrue(x.attr("date1904"))
		case name == "sheet" && x.depth == 3:
			target, ok := targets[string(x.attr("id"))]
			if !ok { // a chart, or a macro sheet
				break
			}
			if len(b.list) == b.archive.limits.Sheets {
				return tooLarge("The workbook has more than %d sheets.", b.archive.limits.Sheets)
			}
			state := string(x.attr("state"))
			b.list = append(b.list, Sheet{Name: sheetName(x.attr("name")), Hidden: state == "hidden" || state == "veryHidden"})
			b.parts = append(b.parts, target)
		}
		first = false
	}
}

// sheetName is the name of a sheet, cut to what fits in a message. Excel allows 31
// characters.
func sheetName(raw []byte) string {
	const most = 255
	name := string(bytes.ToValidUTF8(unescape(raw), []byte("\uFFFD")))
	if runes := []rune(name); len(runes) > most {
		name = string(runes[:most])
	}
	return strings.ReplaceAll(name, "\x00", "\uFFFD")
}

func otherDocument(root string) *Error {
	switch root {
	case "document":
		return foreign("This is a Word document (.docx), not a list.", fixExport)
	case "presentation":
		return foreign("This is a PowerPoint presentation (.pptx), not a list.", fixExport)
	}
	return foreign("This is an Office document, but not a workbook.", fixExport)
}

func isTrue(value []byte) bool { return string(value) == "1" || string(value) == "true" }

// mainPart finds the name of the part that everything else hangs on.
func mainPart(a *archive) (string, error) {
	related, err := relationships(a, "")
	if err != nil {
		return "", err
	}
	for _, r := range related {
		if strings.HasSuffix(r.kind, "/officeDocument") && !r.external {
			return r.target, nil
		}
	}
	return "", damaged("its main part is missing")
}

type relationship struct {
	id, kind, target string
	external         bool
}

// relationships reads those of a part; "" is the archive as a whole.
func relationships(a *archive, of string) (list []relationship, err error) {
	const most = 10_000
	name := "_rels/.rels"
	if of != "" {
		name = path.Join(path.Dir(of), "_rels", path.Base(of)+".rels")
	}
	p, x, err := a.scan(name, maxSmallPart)
	if p == nil || err != nil {
		return nil, err
	}
	defer p.close()
	for {
		t, err := x.next()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		if t != startElement || string(x.name) != "Relationship" {
			continue
		}
		if len(list) == most {
			return nil, tooLarge("The workbook has more than %d parts.", most)
		}
		list = append(list, relationship{
			id: string(x.attr("Id")), kind: string(x.attr("Type")), target: resolve(of, string(x.attr("Target"))),
			external: strings.EqualFold(string(x.attr("TargetMode")), "External"),
		})
	}
}

// load reads what the cells of all sheets refer to.
func (b *xlsx) load() error {
	if b.loaded {
		return nil
	}
	b.loaded = true
	b.strings.limit = b.archive.limits.TextBytes
	if err := b.loadStrings(); err != nil {
		return err
	}
	return b.loadFormats()
}

func (b *xlsx) loadStrings() error {
	p, x, err := b.archive.scan(b.stringsPart, b.archive.limits.PartBytes)
	if p == nil || err != nil {
		return err
	}
	defer p.close()
	var text []byte
	for {
		t, err := x.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if t != startElement || string(x.name) != "si" {
			continue
		}
		if text, err = richText(x, text[:0]); err != nil {
			return err
		}
		if err := b.strings.add(unescape(text)); err != nil {
			return err
		}
	}
}

// richText appends the text of the element whose start tag was just read: the runs
// of a rich text, and not how to pronounce it.
func richText(x *xmlScanner, text []byte) ([]byte, error) {
	inText := 0 // depth of the element t
	for depth := x.depth - 1; ; {
		t, err := x.next()
		if err != nil {
			return text, unexpected(err)
		}
		switch t {
		case startElement:
			switch string(x.name) {
			case "t":
				inText = x.depth
			case "rPh":
				if err := x.skipElement(); err != nil {
					return text, err
				}
			}
		case endElement:
			if x.depth == depth {
				return text, nil
			}
			if x.depth < inText {
				inText = 0
			}
		case characters:
			if inText > 0 && len(text) <= maxRowText {
				text = append(text, x.text...)
			}
		}
	}
}

// unescape replaces _x000D_, which is how Excel writes a character that XML may not
// have (ST_Xstring).
func unescape(text []byte) []byte {
	const size = len("_x000D_")
	i := bytes.Index(text, []byte("_x"))
	if i < 0 {
		return text
	}
	out := append([]byte(nil), text[:i]...)
	for text = text[i:]; len(text) > 0; {
		if len(text) >= size && text[0] == '_' && text[1] == 'x' && text[size-1] == '_' {
			if n, err := strconv.ParseUint(string(text[2:size-1]), 16, 16); err == nil {
				r := rune(n)
				if utf16.IsSurrogate(r) || r == 0 {
					r = utf8.RuneError
				}
				out = utf8.AppendRune(out, r)
				text = text[size:]
				continue
			}
		}
		out, text = append(out, text[0]), text[1:]
	}
	return out
}

// loadFormats reads which number format each cell style has.
func (b *xlsx) loadFormats() error {
	p, x, err := b.archive.scan(b.stylesPart, maxSmallPart)
	if p == nil || err != nil {
		return err
	}
	defer p.close()
	codes, inCells := map[int]numberFormat{}, 0
	for {
		t, err := x.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if t == endElement && x.depth < inCells {
			inCells = 0
		}
		if t != startElement {
			continue
		}
		if len(codes)+len(b.formats) > b.archive.limits.Formats {
			return tooLarge("The workbook has more than %d cell formats.", b.archive.limits.Formats)
		}
		switch string(x.name) {
		case "numFmt":
			id, err := x.number("numFmtId", 0)
			if err != nil {
				return err
			}
			if x.depth == 3 { // not one within dxf
				codes[id] = parseFormat(string(x.attr("formatCode")))
			}
		case "cellXfs":
			inCells = x.depth
		case "xf":
			if inCells == 0 || x.depth != inCells+1 {
				break
			}
			id, err := x.number("numFmtId", 0)
			if err != nil {
				return err
			}
			format, ok := codes[id]
			if !ok {
				format = builtInFormat(id)
			}
			b.formats = append(b.formats, format)
		}
	}
}
