package workbook_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"rollcall/tabular/workbook"
)

// corpusRows are the cells of a workbook made by LibreOffice 7.4, as people see them:
// an empty first sheet, merged header cells, a date format of another country, an id
// with zeros by its format and one as text, dates before and in a leap year, formulas
// with a result and with an error, a hidden row, several lines and blanks in a cell.
var corpusRows = map[int64]string{
	1: "Personal 2026",
	2: "E-Mail|Person",
	3: "E-Mail|Name|Personalnr.|Textnr.|Eintritt|Zuletzt|Uhrzeit|Aktiv|Quote|Formel|Fehler",
	4: "jg@x.example|Jürgen Groß|000042|00042|2026-02-28|2024-02-29T23:59:00|07:05:00|TRUE|0.125|43|" + workbook.Fault + "E#N/A",
	8: "zoe@x.example|Zoë <&> “Ž” 😀\nzweite Zeile|123456789012|=1+1|1904-01-02|||FALSE|-0.5|Jürgen Groß, Dr.| a  b ",
}

// TestLibreOfficeCorpus compares every cell of the corpus as .xlsx and .ods, with dates
// that count from 1900 and from 1904.
func TestLibreOfficeCorpus(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"corpus-1900.xlsx", "corpus-1900.ods", "corpus-1904.xlsx", "corpus-1904.ods"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			rows, result := mustRead(t, file, workbook.Options{HeaderRow: 3})
			compare(t, rows, corpusRows)
			if result.Sheet != "Größe & Maß" || result.HiddenRows != 1 || len(result.FirstRows) != 1 || result.FirstRows[0] != 8 {
				t.Errorf("%+v", result)
			}
			want := maps.Clone(corpusRows) // only the header gets the values of merged cells
			want[3] = strings.TrimPrefix(want[3], "E-Mail")
			rows, _ = mustRead(t, file, workbook.Options{HeaderRow: 2})
			compare(t, rows, want)
			rows, _ = mustRead(t, file, workbook.Options{Sheet: "Alt"})
			compare(t, rows, map[int64]string{1: "email|name"})
		})
	}
}

// TestLibreOfficeLikeExcelize: where the two programs mean the same by a value, we and
// excelize read the same.
func TestLibreOfficeLikeExcelize(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"corpus-1900.xlsx", "corpus-1904.xlsx", "libreoffice.xlsx"} {
		file, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		f, err := excelize.OpenReader(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		for _, sheet := range f.GetSheetList() {
			theirs, err := f.GetRows(sheet)
			if err != nil {
				t.Fatal(err)
			}
			ours, _ := mustRead(t, file, workbook.Options{Sheet: sheet})
			compared := 0
			for i, row := range theirs {
				for k, want := range row {
					kind, err := f.GetCellType(sheet, cellName(t, k+1, i+1))
					if err != nil {
						t.Fatal(err)
					}
					if kind != excelize.CellTypeSharedString && kind != excelize.CellTypeBool {
						continue // it shows numbers and dates in the format of a country
					}
					if compared++; k >= len(ours[int64(i+1)]) || ours[int64(i+1)][k] != want {
						t.Errorf("%s, %s: %q, not %q", name, cellName(t, k+1, i+1), ours[int64(i+1)], want)
					}
				}
			}
			if compared == 0 && len(theirs) > 0 {
				t.Errorf("%s: nothing compared on %s", name, sheet)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func cellName(t *testing.T, column, row int) string {
	t.Helper()
	name, err := excelize.CoordinatesToCellName(column, row)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// TestDatesFrom1904: a workbook of excelize whose days count from 1904, as those of old
// Macs.
func TestDatesFrom1904(t *testing.T) {
	t.Parallel()
	f := excelize.NewFile()
	yes, code := true, "yyyy-mm-dd"
	if err := f.SetWorkbookProps(&excelize.WorkbookPropsOptions{Date1904: &yes}); err != nil {
		t.Fatal(err)
	}
	style, err := f.NewStyle(&excelize.Style{CustomNumFmt: &code})
	if err != nil {
		t.Fatal(err)
	}
	for cell, serial := range map[string]float64{"A1": 0, "B1": 1, "C1": 59, "D1": 60, "E1": 44530} {
		if err := f.SetCellValue("Sheet1", cell, serial); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.SetCellStyle("Sheet1", "A1", "E1", style); err != nil {
		t.Fatal(err)
	}
	rows, _ := mustRead(t, saved(t, f), workbook.Options{})
	compare(t, rows, map[int64]string{1: "1904-01-01|1904-01-02|1904-02-29|1904-03-01|2025-12-01"})
}
