package report_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/htmlindex"

	"rollcall/roster"
	"rollcall/tabular"
)

// messy has something wrong in every row but the first.
const messy = "Full Name;E-mail;Phone;role;Department\n" +
	"Ada Lovelace;ada@x.example;+44 1;admin;Engines\n" +
	"Böb;b@@x.example;=1+1;user;\"Sales; East\"\n" +
	"\n" +
	";cy@x.example;'=1;;\n" +
	"Dée;dee@x.example;-;boss;'plain\n" +
	"Eve;ADA@x.example;\"a\n\"\"b\"\"\";;@home\n" +
	"Fay;fay@x.example;;user\n" +
	"Guy;guy@x.example;;user;North;South\n" +
	"=Hal;;;;\n"

// mend fixes the report on messy, cell by cell as in a spreadsheet.
var mend = strings.NewReplacer(
	"b@@x", "bob@x",
	";cy@x", "Cy;cy@x", // the cell in front of the address was empty
	";boss;", ";;",
	"ADA@x", "eve@x",
	"'=Hal;;", "'=Hal;hal@x.example;",
	"\"North\nSouth\"", "North South",
)

func TestCorrectedReport(t *testing.T) {
	t.Parallel()
	o := newTestEnv(t)
	options := roster.Options{Mapping: map[string]string{"name": "Full name", "email": "e-mail"}}
	first := o.errorReport(o.run(messy, options))
	if got := len(records(t, first)); got != 1+6 {
		t.Fatalf("%d records in the first report, want the header and 6:\n%s", got, first)
	}

	good, bad := persons(t, mend.Replace(first), options.Mapping)
	if len(bad) > 0 {
		t.Fatalf("fixed, but still failed: %+v", bad)
	}
	want := map[string]string{
		"bob@x.example": "Böb/Sales; East", "cy@x.example": "Cy/", "dee@x.example": "Dée/'plain",
		"eve@x.example": "Eve/@home", "guy@x.example": "Guy/North South", "hal@x.example": "=Hal/",
	}
	got := map[string]string{}
	for key, p := range good {
		got[key] = p.Name + "/" + p.Department
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fixed:\n%s", diff)
	}
}

// TestUncorrectedReport shows that rows uploaded again without changes come back
// unchanged.
func TestUncorrectedReport(t *testing.T) {
	t.Parallel()
	o := newTestEnv(t)
	options := roster.Options{Mapping: map[string]string{"name": "Full name", "email": "e-mail"}}
	first := o.errorReport(o.run(messy, options)) // Ada exists now, so Eve's address is still taken
	if diff := cmp.Diff(own(t, first), own(t, o.errorReport(o.run(first, options)))); diff != "" {
		t.Error(diff)
	}
}

// own are the records of an error report without the error_ columns.
func own(t *testing.T, file string) [][]string {
	t.Helper()
	all := records(t, file)
	for i, rec := range all {
		all[i] = rec[:len(rec)-5]
	}
	return all
}

// encoded writes text in an encoding, by its WHATWG name.
func encoded(t *testing.T, name, text string) string {
	t.Helper()
	if order, is := map[string]binary.AppendByteOrder{"utf-16le": binary.LittleEndian, "utf-16be": binary.BigEndian}[name]; is {
		var b []byte
		for _, unit := range utf16.Encode([]rune(text)) {
			b = order.AppendUint16(b, unit)
		}
		return string(b)
	}
	e, err := htmlindex.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	text, err = e.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestEveryEncodingAndDelimiter shows that the file's own cells survive into
// the report and back, whatever encoding and delimiter the file has.
func TestEveryEncodingAndDelimiter(t *testing.T) {
	t.Parallel()
	o := newTestEnv(t)
	for name, test := range map[string]struct{ declared, encoding, mark, word string }{
		"UTF-8":            {"", "utf-8", "", "Žižek €"},
		"UTF-8 marked":     {"", "utf-8", bom, "Žižek €"},
		"UTF-16LE":         {"utf-16", "utf-16le", bom, "Žižek € 😀"},
		"UTF-16BE":         {"utf-16be", "utf-16be", "", "Žižek € 😀"},
		"found UTF-16":     {"auto", "utf-16le", bom, "Žižek 😀"},
		"Windows-1252":     {"windows-1252", "windows-1252", "", "Müller €"},
		"Latin 1":          {"iso-8859-1", "windows-1252", "", "Müller"},
		"Latin 2":          {"iso-8859-2", "iso-8859-2", "", "Žižek"},
		"Macintosh":        {"macintosh", "macintosh", "", "Müller €"},
		"Cyrillic":         {"windows-1251", "windows-1251", "", "Иван"},
		"Japanese":         {"shift_jis", "shift_jis", "", "山田 太郎"},
		"Japanese, stated": {"iso-2022-jp", "iso-2022-jp", "", "山田 太郎"},
		"Chinese":          {"gb18030", "gb18030", "", "李雷 \uFFFD"},
	} {
		for _, delimiter := range []string{",", ";", "\t", "|"} {
			t.Run(fmt.Sprintf("%s/%q", name, delimiter), func(t *testing.T) {
				t.Parallel()
				cells := [][]string{{"email", "name", test.word}, {"x", "=" + test.word, "1"}, {"y", "", "'" + test.word}}
				var file strings.Builder
				file.WriteString(test.mark)
				for _, rec := range cells {
					file.WriteString(strings.Join(rec, delimiter) + "\n")
				}
				got := o.errorReport(o.run(encoded(t, test.encoding, file.String()), roster.Options{Encoding: test.declared}))
				if header, _, _ := strings.Cut(got, "\r\n"); header != bom+strings.Join(cells[0], delimiter)+
					delimiter+strings.Join([]string{"error_row", "error_code", "error_field", "error_message", "error_fix"}, delimiter) {
					t.Errorf("header %q", header)
				}
				cells[1][1] = "'" + cells[1][1] // guarded
				if diff := cmp.Diff(cells, own(t, got)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// TestAnyCell shows that any cell at all comes back unchanged from the report.
func TestAnyCell(t *testing.T) {
	t.Parallel()
	const seed = 20260101
	random := rand.New(rand.NewPCG(seed, 0))
	alphabet := []rune("aé😀'=+-@,;|\t\r\n \u00a0\u200b＝\"0")
	var want []string
	for range 500 {
		cell := make([]rune, random.IntN(6))
		for i := range cell {
			cell[i] = alphabet[random.IntN(len(alphabet))]
		}
		want = append(want, string(cell))
	}
	o := newTestEnv(t)
	for _, delimiter := range []string{",", ";", "\t", "|"} {
		var file strings.Builder
		file.WriteString(strings.Join([]string{"email", "note", "name"}, delimiter) + "\n")
		for _, cell := range want {
			file.WriteString(strings.Join([]string{"x", `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`, "\n"}, delimiter))
		}
		first := o.errorReport(o.run(file.String(), roster.Options{Delimiter: delimiter}))
		second := o.errorReport(o.run(first, roster.Options{}))
		if first != second {
			t.Errorf("delimiter %q: the report of the report differs", delimiter)
		}
		var got []string
		for _, rec := range own(t, second)[1:] {
			got = append(got, tabular.UnescapeFormula(rec[1]))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("delimiter %q, seed %d:\n%s", delimiter, seed, diff)
		}
	}
}

// TestReportOfBrokenRows shows what is left of rows that cannot be read.
func TestReportOfBrokenRows(t *testing.T) {
	t.Parallel()
	o := newTestEnv(t)
	long := strings.Repeat("x", tabular.DefaultMaxRecordBytes)
	file := "email,name\n" +
		"a@example.com,Ann \xff\n" +
		"b@example.com,B\x00b\n" +
		"c@example.com," + long + "\n" +
		"d@example.com,\"Dee\n" +
		"e@example.com,\n"
	report := records(t, o.errorReport(o.run(file, roster.Options{})))
	got := map[string]string{}
	for _, rec := range report[1:] {
		got[rec[0]] = rec[2] + " " + rec[3]
	}
	want := map[string]string{
		"a@example.com": "2 encoding_error", "b@example.com": "3 malformed_row", "c@example.com": "4 value_too_long",
		"d@example.com": "5 malformed_row", "e@example.com": "6 missing_required_field",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if name := report[1][1]; name != "Ann \uFFFD" {
		t.Errorf("invalid bytes appear as %q", name)
	}
	if name := report[2][1]; name != "B\uFFFDb" {
		t.Errorf("a NUL appears as %q", name)
	}
	if name := report[3][1]; !strings.HasPrefix(name, "xxxx") || len(name) > 1<<16 {
		t.Errorf("of a row too long there are %d bytes", len(name))
	}
	if name := report[4][1]; name != `"Dee` {
		t.Errorf("an open quote appears as %q", name)
	}
}
