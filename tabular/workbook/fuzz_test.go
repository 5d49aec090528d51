package workbook_test

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/tabular"
	"rollcall/tabular/workbook"
)

// FuzzSheet: whatever is in a sheet, its texts and its formats, the result is an error
// of the workbook, or rows that package tabular can read.
func FuzzSheet(f *testing.F) {
	f.Add(`<row r="1"><c r="A1" t="s" s="1"><v>0</v></c><c t="inlineStr"><is><r><t>a</t></r><rPh><t>b</t></rPh></is></c></row>`, `<si><t>a&amp;b_x000D_</t></si>`, "yyyy-mm-dd;@")
	f.Add(`<row><c><f>1</f></c></row><mergeCell ref="A1:B2"/>`, ``, `"a"00\-00`)
	f.Add(`<x:row r="2" hidden="1"><x:c r="C2" t="e"><x:v>#N/A</x:v></x:c></x:row><![CDATA[x]]>`, `<si/>`, "[h]:mm")
	f.Fuzz(func(t *testing.T, rows, texts, format string) {
		var code bytes.Buffer
		if xml.EscapeText(&code, []byte(format)) != nil {
			return
		}
		file := withRows(t, rows, "xl/sharedStrings.xml", "<sst>"+texts+"</sst>",
			"xl/styles.xml", `<styleSheet><numFmts><numFmt numFmtId="200" formatCode="`+code.String()+`"/></numFmts><cellXfs><xf numFmtId="0"/><xf numFmtId="200"/></cellXfs></styleSheet>`)
		converts(t, file)
	})
}

// FuzzArchive: the same for any bytes.
func FuzzArchive(f *testing.F) {
	f.Add([]byte("PK\x03\x04"))
	f.Add([]byte("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"))
	for _, name := range []string{"libreoffice.xlsx", "libreoffice.ods", "libreoffice.xls"} {
		file, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) { converts(t, file) })
}

func converts(t *testing.T, file []byte) {
	t.Helper()
	book, err := workbook.Open(bytes.NewReader(file), int64(len(file)), smallLimits)
	var out output
	if err == nil {
		_, err = book.Convert(&out, workbook.Options{HeaderRow: 2, MaxRows: 1000, MaxBytes: 1 << 20})
	}
	if err != nil {
		if told := new(workbook.Error); !errors.As(err, &told) || told.Message == "" {
			t.Fatalf("%v", err)
		}
		return
	}
	reader, err := tabular.Open(&out, tabular.Options{Sheet: true})
	if err != nil {
		t.Fatal(err)
	}
	for {
		record, err := reader.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if f := record.Fault; f != nil && f.Kind != tabular.FaultTooLong && f.Kind != tabular.FaultTooManyCells {
			t.Fatalf("row %d: %s", record.Row, f.Message())
		}
	}
}

// TestTextsAgreeWithEncodingXML compares the texts of every part of real workbooks with
// what encoding/xml reads.
func TestTextsAgreeWithEncodingXML(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"libreoffice.xlsx", "libreoffice.ods"} {
		file, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		archive, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for _, part := range archive.File {
			if !strings.HasSuffix(part.Name, ".xml") {
				continue
			}
			r, err := part.Open()
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, words(t, r)...)
		}
		err = workbook.Texts(bytes.NewReader(file), int64(len(file)), workbook.Limits{}, func(r io.Reader) error {
			text, err := io.ReadAll(r)
			got = append(got, strings.Fields(string(text))...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		all := " " + strings.Join(got, " ") + " "
		for _, word := range want {
			if !strings.Contains(all, word) {
				t.Errorf("%s: %q is missing", name, word)
			}
		}
		if len(want) < 30 {
			t.Errorf("%s has only %d words", name, len(want))
		}
	}
}

// words are those of a document's texts.
func words(t *testing.T, r io.Reader) (list []string) {
	t.Helper()
	d := xml.NewDecoder(r)
	for {
		token, err := d.RawToken()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			list = append(list, strings.Fields(string(text))...)
		}
	}
}
