package report_test

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"rollcall/report"
	"rollcall/tabular"
)

// FuzzCells: whatever stands in the cells of a file, the report of it has as
// many cells in as many records, none is a formula, and with the guards undone
// each is what it was, but for what no CSV file can hold.
func FuzzCells(f *testing.F) {
	for _, seed := range [][2]string{
		{"", ""}, {"=1+1", "'=1+1"}, {"+", "-"}, {"@SUM(A1)", "\t=1"}, {"\r", "\n"}, {"＝1", "－1"}, {"a\"b", "\"=1"}, {" =1", "\u200b@x"},
		{"a,=1", "a;=1"}, {"a\t=1", "a|=1"}, {"\x00=1", "\ufeff=1"}, {"''", "' ="}, {"x\r\n=1", "x\n\r@"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		for _, delimiter := range ",;\t|" {
			var out bytes.Buffer
			if err := report.WriteCells(&out, string(delimiter), []string{one, two}, []string{two, one}); err != nil {
				t.Fatal(err)
			}
			r := csv.NewReader(strings.NewReader(strings.TrimPrefix(out.String(), bom)))
			r.Comma, r.FieldsPerRecord = delimiter, 2
			records, err := r.ReadAll()
			if err != nil || len(records) != 2 {
				t.Fatalf("%q: %d records, %v", out.String(), len(records), err)
			}
			for k, cell := range slices.Concat(records...) {
				if isFormula(cell) {
					t.Errorf("%q is a formula", cell)
				}
				if want, got := shown([]string{one, two, two, one}[k]), tabular.Unguard(cell); got != want {
					t.Errorf("%q is read as %q", want, got)
				}
			}
		}
	})
}

// shown is a cell as encoding/csv reads it: line ends become LF, and a NUL is
// replaced by the report.
func shown(cell string) string {
	return strings.ReplaceAll(strings.ReplaceAll(cell, "\x00", "\ufffd"), "\r\n", "\n")
}

// isFormula tells whether a spreadsheet might calculate a cell.
func isFormula(cell string) bool {
	if cell != "" && strings.ContainsRune("\t\r\n", rune(cell[0])) {
		return true
	}
	cell = strings.TrimLeftFunc(cell, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || unicode.IsControl(r) })
	first, _ := utf8.DecodeRuneInString(cell)
	return strings.ContainsRune("=+-@＝＋－＠", first) && cell != ""
}
