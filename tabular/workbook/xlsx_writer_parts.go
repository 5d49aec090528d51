package workbook

import (
	"fmt"
	"strconv"
	"strings"
)

// writeBook writes the parts that say what the workbook consists of.
func (w *Writer) writeBook() error {
	const types = "application/vnd.openxmlformats-officedocument.spreadsheetml."
	var book, related, content strings.Builder
	for i, name := range w.sheets {
		n := strconv.Itoa(i + 1)
		fmt.Fprintf(&book, `<sheet name="%s" sheetId="%s" r:id="rId%s"/>`, attributeText(name), n, n)
		fmt.Fprintf(&related, `<Relationship Id="rId%s" Type="%s/worksheet" Target="worksheets/sheet%s.xml"/>`, n, relNS, n)
		fmt.Fprintf(&content, `<Override PartName="/xl/worksheets/sheet%s.xml" ContentType="%sworksheet+xml"/>`, n, types)
		if w.noted[i] {
			fmt.Fprintf(&content, `<Override PartName="/xl/comments%s.xml" ContentType="%scomments+xml"/>`, n, types)
		}
	}
	for _, p := range [...]struct{ name, content string }{
		{"xl/workbook.xml", `<workbook xmlns="` + mainNS + `" xmlns:r="` + relNS + `"><bookViews><workbookView/></bookViews><sheets>` + book.String() + `</sheets></workbook>`},
		{"xl/_rels/workbook.xml.rels", `<Relationships xmlns="` + packageNS + `">` + related.String() +
			`<Relationship Id="rIdStyles" Type="` + relNS + `/styles" Target="styles.xml"/></Relationships>`},
		{"xl/styles.xml", styles},
		{"[Content_Types].xml", `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">` +
			`<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>` +
			`<Default Extension="vml" ContentType="application/vnd.openxmlformats-officedocument.vmlDrawing"/>` +
			`<Override PartName="/xl/workbook.xml" ContentType="` + types + `sheet.main+xml"/><Override PartName="/xl/styles.xml" ContentType="` + types + `styles+xml"/>` +
			content.String() + `</Types>`},
	} {
		if err := w.part(p.name, p.content); err != nil {
			return err
		}
	}
	return nil
}

func attributeText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}

// styles has the [Style]s, behind the default one. 49 is the number format Text.
const styles = `<styleSheet xmlns="` + mainNS + `">` +
	`<fonts count="3"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font>` +
	`<font><sz val="11"/><color rgb="FF595959"/><name val="Calibri"/></font></fonts>` +
	`<fills count="4"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>` +
	`<fill><patternFill patternType="solid"><fgColor rgb="FFE7E9ED"/><bgColor indexed="64"/></patternFill></fill><fill><patternFill patternType="solid"><fgColor rgb="FFFFC7CE"/><bgColor indexed="64"/></patternFill></fill></fills>` +
	`<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>` +
	`<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>` +
	`<cellXfs count="6"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>` +
	`<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>` +
	`<xf numFmtId="49" fontId="1" fillId="2" borderId="0" xfId="0" applyNumberFormat="1" applyFont="1" applyFill="1"/>` +
	`<xf numFmtId="49" fontId="0" fillId="3" borderId="0" xfId="0" applyNumberFormat="1" applyFill="1"/>` +
	`<xf numFmtId="49" fontId="2" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" applyFont="1"/>` +
	`<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" applyAlignment="1"><alignment vertical="top" wrapText="1"/></xf></cellXfs>` +
	`</styleSheet>`

// writeNotes writes the notes of a sheet: their texts, and the boxes in which Excel
// shows them.
func (w *Writer) writeNotes(sheet string) error {
	notes := w.notes
	w.notes, w.noteSize = nil, 0
	err := w.part("xl/worksheets/_rels/sheet"+sheet+".xml.rels", `<Relationships xmlns="`+packageNS+`">`+
		`<Relationship Id="rId1" Type="`+relNS+`/vmlDrawing" Target="../drawings/notes`+sheet+`.vml"/>`+
		`<Relationship Id="rId2" Type="`+relNS+`/comments" Target="../comments`+sheet+`.xml"/></Relationships>`)
	if err != nil {
		return err
	}
	if err := w.begin("xl/comments" + sheet + ".xml"); err != nil {
		return err
	}
	w.raw(`<comments xmlns="`, mainNS, `"><authors><author/></authors><commentList>`)
	for _, n := range notes {
		w.raw(`<comment ref="`, columnName(n.column), strconv.Itoa(n.row), `" authorId="0"><text><t xml:space="preserve">`)
		w.text(n.text)
		w.raw(`</t></text></comment>`)
	}
	w.raw(`</commentList></comments>`)
	if err := w.begin("xl/drawings/notes" + sheet + ".vml"); err != nil {
		return err
	}
	w.raw(`<xml xmlns:v="urn:schemas-microsoft-com:vml" xmlns:o="urn:schemas-microsoft-com:office:office" xmlns:x="urn:schemas-microsoft-com:office:excel">`,
		`<v:shapetype id="note" coordsize="21600,21600" o:spt="202" path="m,l,21600r21600,l21600,xe"><v:stroke joinstyle="miter"/><v:path gradientshapeok="t" o:connecttype="rect"/></v:shapetype>`)
	for i, n := range notes {
		row, column := n.row-1, n.column
		fmt.Fprintf(w.out, `<v:shape id="n%d" type="#note" style="position:absolute;visibility:hidden" fillcolor="#ffffe1" o:insetmode="auto">`+
			`<v:fill color2="#ffffe1"/><v:textbox/><x:ClientData ObjectType="Note"><x:MoveWithCells/><x:SizeWithCells/><x:Anchor>%d,15,%d,2,%d,15,%d,4</x:Anchor>`+
			`<x:AutoFill>False</x:AutoFill><x:Row>%d</x:Row><x:Column>%d</x:Column></x:ClientData></v:shape>`,
			i+1, column+1, max(row-1, 0), column+3, row+4, row, column)
	}
	w.raw(`</xml>`)
	return w.end()
}
