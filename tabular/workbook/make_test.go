package workbook_test

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"rollcall/tabular"
	"rollcall/tabular/workbook"
)

// output collects a converted sheet.
type output struct{ bytes.Buffer }

func (o *output) Restart() error { o.Reset(); return nil }

// read converts a sheet and returns its rows by number.
func read(t *testing.T, file []byte, o workbook.Options) (map[int64][]string, workbook.Result, error) {
	t.Helper()
	book, err := workbook.Open(bytes.NewReader(file), int64(len(file)), workbook.Limits{})
	if err != nil {
		return nil, workbook.Result{}, err
	}
	var out output
	result, err := book.Convert(&out, o)
	if err != nil {
		return nil, result, err
	}
	reader, err := tabular.Open(&out, tabular.Options{Sheet: true})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[int64][]string{}
	for {
		record, err := reader.Next()
		if err != nil {
			return rows, result, nil
		}
		if record.Line != record.Row {
			t.Errorf("row %d is in line %d", record.Row, record.Line)
		}
		cells := make([]string, len(record.Cells))
		for i, c := range record.Cells {
			cells[i] = string(c)
		}
		if record.Fault != nil {
			cells = append(cells, "fault: "+string(record.Fault.Kind))
		}
		rows[record.Row] = cells
	}
}

// mustRead is read of a file that can be read.
func mustRead(t *testing.T, file []byte, o workbook.Options) (map[int64][]string, workbook.Result) {
	t.Helper()
	rows, result, err := read(t, file, o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return rows, result
}

// saved returns a workbook's file.
func saved(t *testing.T, f *excelize.File, o ...excelize.Options) []byte {
	t.Helper()
	b, err := f.WriteToBuffer()
	if len(o) > 0 {
		var out bytes.Buffer
		err = f.Write(&out, o...)
		b = &out
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zipped makes an archive of names and contents in turn.
func zipped(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err == nil {
			_, err = f.Write([]byte(files[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// plain are the parts of a workbook with one sheet, but for the sheet.
func plain(more ...string) []string {
	return append([]string{
		"[Content_Types].xml", `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>`,
		"_rels/.rels", `<Relationships><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
		"xl/workbook.xml", `<workbook xmlns:r="r"><sheets><sheet name="Staff" sheetId="1" r:id="rId1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels", `<Relationships><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>` +
			`<Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings" Target="sharedStrings.xml"/>` +
			`<Relationship Id="rId3" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>`,
	}, more...)
}

const sheetPart = "xl/worksheets/sheet1.xml"

// withRows is a workbook with this XML as its rows.
func withRows(t *testing.T, rows string, more ...string) []byte {
	t.Helper()
	return zipped(t, plain(append([]string{sheetPart, `<worksheet><sheetData>` + rows + `</sheetData></worksheet>`}, more...)...)...)
}

// ods is an OpenDocument spreadsheet with this XML as its tables.
func ods(t *testing.T, tables string) []byte {
	t.Helper()
	return zipped(t, "mimetype", "application/vnd.oasis.opendocument.spreadsheet", "content.xml",
		`<office:document-content xmlns:office="o" xmlns:table="t" xmlns:text="x"><office:automatic-styles>`+
			`<style:style style:name="ta2" style:family="table"><style:table-properties table:display="false"/></style:style></office:automatic-styles>`+
			`<office:body><office:spreadsheet>`+tables+`</office:spreadsheet></office:body></office:document-content>`)
}

func joined(cells []string) string { return strings.Join(cells, "|") }
