package report_test

import (
	"bytes"
	"encoding/csv"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"rollcall/tabular"
)

// FuzzCells: whatever the cells of a file contain, its report has as many cells
// in as many records, none is a formula, and without the guards each is what it
// was, except for what no CSV file can contain.
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
			if err := writeCells(&out, string(delimiter), []string{one, two}, []string{two, one}); err != nil {
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
				if want, got := shown([]string{one, two, two, one}[k]), tabular.UnescapeFormula(cell); got != want {
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

// isFormula reports whether a spreadsheet might calculate a cell.
func isFormula(cell string) bool {
	if cell != "" && strings.ContainsRune("\t\r\n", rune(cell[0])) {
		return true
	}
	cell = strings.TrimLeftFunc(cell, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || unicode.IsControl(r) })
	first, _ := utf8.DecodeRuneInString(cell)
	return strings.ContainsRune("=+-@＝＋－＠", first) && cell != ""
}

// writeCells writes records as reports do.
func writeCells(w io.Writer, delimiter string, records ...[]string) error {
	out := tabular.NewWriter(w, tabular.WriterOptions{Mark: true, Delimiter: delimiter})
	for _, cells := range records {
		if err := out.Write(cells...); err != nil {
			return err
		}
	}
	return out.Flush()
}
