package workbook_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"rollcall/tabular/workbook"
)

// styled is a workbook made by excelize with all that matters about values.
func styled(t *testing.T) *excelize.File {
	t.Helper()
	f := excelize.NewFile()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	style := func(code string) int {
		id, err := f.NewStyle(&excelize.Style{CustomNumFmt: &code})
		must(err)
		return id
	}
	must(f.SetSheetName("Sheet1", "Staff"))
	must(f.SetSheetRow("Staff", "A1", &[]any{"Email", "Name", "Employee no.", "Joined", "Seen", "Active", "Score", "Formula", "Phone"}))
	joined := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	must(f.SetSheetRow("Staff", "A2", &[]any{"ann@x.example", "Ännchen Müller", 123, joined, joined.Add(14*time.Hour + 5*time.Minute), true, 0.1 + 0.2, "", 79012345678}))
	must(f.SetSheetRow("Staff", "A4", &[]any{"bob@x.example", "Bob \"B\" Lee, Jr.\nLondon", 42, 45000.25, 0.5, false, 1234567.5, "#N/A", 123456789012345680}))
	must(f.SetCellRichText("Staff", "B5", []excelize.RichTextRun{{Text: "Cleo "}, {Text: "Day", Font: &excelize.Font{Bold: true}}}))
	must(f.SetCellValue("Staff", "A5", "cleo@x.example"))
	must(f.SetCellFormula("Staff", "H5", "1+1"))
	must(f.SetCellStyle("Staff", "C2", "C5", style("00000")))
	must(f.SetCellStyle("Staff", "D2", "D5", style("dd/mm/yyyy")))
	must(f.SetCellStyle("Staff", "E2", "E2", style("yyyy\\-mm\\-dd hh:mm")))
	must(f.SetCellStyle("Staff", "E4", "E4", style("h:mm AM/PM")))
	must(f.SetCellStyle("Staff", "G4", "G4", style("#,##0.00")))
	must(f.SetCellStyle("Staff", "I2", "I2", style("+00 000 000-000")))
	must(f.SetRowVisible("Staff", 4, false))
	_, err := f.NewSheet("Old")
	must(err)
	must(f.SetSheetRow("Old", "A1", &[]any{"email", "name"}))
	must(f.SetSheetRow("Old", "A2", &[]any{"old@x.example", "Old"}))
	must(f.SetSheetVisible("Old", false))
	_, err = f.NewSheet("Notes")
	must(err)
	return f
}

var styledRows = map[int64]string{
	1: "Email|Name|Employee no.|Joined|Seen|Active|Score|Formula|Phone",
	2: "ann@x.example|Ännchen Müller|00123|2026-11-30|2026-11-30T14:05:00|TRUE|0.3||+79 012 345-678",
	4: "bob@x.example|Bob \"B\" Lee, Jr.\nLondon|00042|2023-03-15|12:00:00|FALSE|1234567.5|#N/A|123456789012345680",
	5: "cleo@x.example|Cleo Day||||||" + workbook.Fault + "F",
}

func compare(t *testing.T, got map[int64][]string, want map[int64]string) {
	t.Helper()
	for row, cells := range want {
		if joined(got[row]) != cells {
			t.Errorf("row %d:\n got %q\nwant %q", row, joined(got[row]), cells)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d rows, not %d: %v", len(got), len(want), got)
	}
}

// TestValuesAreWhatPeopleSee: numbers, dates, texts and formulas of a workbook made
// by excelize.
func TestValuesAreWhatPeopleSee(t *testing.T) {
	t.Parallel()
	rows, result := mustRead(t, saved(t, styled(t)), workbook.Options{})
	compare(t, rows, styledRows)
	if result.Sheet != "Staff" || result.Rows != 4 || result.HiddenRows != 1 || fmt.Sprint(result.FirstRows) != "[4]" {
		t.Errorf("%+v", result)
	}
}

// TestLibreOfficeFiles: the same workbook opened and saved by LibreOffice 7.4, as
// .xlsx and as .ods. It computes the formula, keeps 15 digits of a number, and writes
// a truth value without a format for one as a number to .ods.
func TestLibreOfficeFiles(t *testing.T) {
	t.Parallel()
	want := maps.Clone(styledRows)
	want[4] = strings.Replace(want[4], "123456789012345680", "123456789012346000", 1)
	want[5] = "cleo@x.example|Cleo Day||||||2"
	for _, name := range []string{"libreoffice.xlsx", "libreoffice.ods"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			want := maps.Clone(want)
			if strings.HasSuffix(name, ".ods") {
				want[2] = strings.Replace(want[2], "TRUE", "1", 1)
				want[4] = strings.Replace(want[4], "FALSE", "0", 1)
			}
			rows, result := mustRead(t, file, workbook.Options{})
			compare(t, rows, want)
			if result.HiddenRows != 1 || result.Sheet != "Staff" {
				t.Errorf("%+v", result)
			}
			book, err := workbook.Open(bytes.NewReader(file), int64(len(file)), workbook.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(book.Sheets()); got != "[{Staff false} {Old true} {Notes false}]" {
				t.Error(got)
			}
			rows, _ = mustRead(t, file, workbook.Options{Sheet: "old"})
			compare(t, rows, map[int64]string{1: "email|name", 2: "old@x.example|Old"})
		})
	}
}
