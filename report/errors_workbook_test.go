package report_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"rollcall/report"
	"rollcall/roster"
	"rollcall/tabular/workbook"
)

// sheetOutput collects a converted sheet.
type sheetOutput struct{ bytes.Buffer }

func (o *sheetOutput) Restart() error { o.Reset(); return nil }

// converted are the rows of the first sheet of a workbook, as an import reads them.
func converted(t testing.TB, file []byte) []byte {
	t.Helper()
	book, err := workbook.Open(bytes.NewReader(file), int64(len(file)), workbook.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var out sheetOutput
	if _, err := book.Convert(&out, workbook.Options{}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// workbookRows are the cells of a workbook's first sheet, read by another program.
func workbookRows(t testing.TB, file []byte) [][]string {
	t.Helper()
	f, err := excelize.OpenReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := f.GetRows(f.GetSheetName(0))
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestUnfixedWorkbookStaysFailed: a workbook with errors that is uploaded unchanged
// fails the same rows in the same way, again and again.
func TestUnfixedWorkbookStaysFailed(t *testing.T) {
	t.Parallel()
	for name, file := range failsForShape {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			people, first, err := report.UnstoredWorkbook([]byte(file), roster.Options{}, false)
			if err != nil || len(people) > 0 {
				t.Fatalf("%+v, %v", people, err)
			}
			people, second, err := report.UnstoredWorkbook(converted(t, first), roster.Options{}, true)
			if err != nil || len(people) > 0 {
				t.Fatalf("uploaded again: %+v, %v", people, err)
			}
			_, third, err := report.UnstoredWorkbook(converted(t, second), roster.Options{}, true)
			if err != nil {
				t.Fatal(err)
			}
			one, two, three := workbookRows(t, first), workbookRows(t, second), workbookRows(t, third)
			if len(one) < 2 || len(two) != len(one) {
				t.Errorf("%d rows, then %d", len(one), len(two))
			}
			width := slices.Index(one[0], "error_row")
			for i := range one {
				if diff := cmp.Diff(firstCells(one[i], width), firstCells(two[i], width)); diff != "" {
					t.Errorf("row %d: %s", i+1, diff)
				}
				if diff := cmp.Diff(firstCells(two[i], width), firstCells(three[i], width)); diff != "" {
					t.Errorf("row %d, the third time: %s", i+1, diff)
				}
			}
		})
	}
}

func firstCells(cells []string, n int) []string { return cells[:min(n, len(cells))] }

// TestValuesInWorkbook: the values of failed rows are in the workbook as they are in
// the file, and come back as they were, whatever they look like.
func TestValuesInWorkbook(t *testing.T) {
	t.Parallel()
	values := []string{"=1+1", "'=1+1", "''@x", "+49 30 1", "-", "00123", "1e5", "2026-01-02", "'plain", " x", "a;=1", "a;'=1", "_x000D_", "TRUE", "#REF"}
	file := "email,name,note\n"
	for _, v := range values {
		file += fmt.Sprintf("no address,Ann,%q\n", v)
	}
	for range 3 {
		_, book, err := report.UnstoredWorkbook([]byte(file), roster.Options{}, strings.HasPrefix(file, "PK"))
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range workbookRows(t, book)[1:] {
			want := values[i]
			if slices.Contains([]string{"'=1+1", "''@x", "a;'=1"}, want) { // else the apostrophe would be taken for a guard
				want = strings.Replace(want, "'", "''", 1)
			}
			if row[2] != want {
				t.Errorf("%q is written as %q", values[i], row[2])
			}
		}
		_, again, err := report.UnstoredWorkbook(converted(t, book), roster.Options{}, true)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ownOnly(workbookRows(t, book)), ownOnly(workbookRows(t, again))); diff != "" {
			t.Error(diff)
		}
	}
}

// ownOnly drops what says where a row was and what was wrong.
func ownOnly(rows [][]string) (own [][]string) {
	for _, row := range rows {
		own = append(own, row[:3])
	}
	return own
}

// TestErrorWorkbook: of an import in the database. Cells with a problem are red and say
// why; fixed, the rows can be imported.
func TestErrorWorkbook(t *testing.T) {
	t.Parallel()
	o := newTestEnv(t)
	id := o.run("email,name,role,phone\nann@x.example,Ann,user,1\nbob@@x,Bob,boss,=2\ncy@x.example,,user,003\ndee@x.example,Dee,user,x,y\n", roster.Options{})
	var out bytes.Buffer
	o.must(o.WriteErrorsWorkbook(t.Context(), &out, id))
	f, err := excelize.OpenReader(&out)
	o.must(err)
	defer f.Close()
	sheet := f.GetSheetName(0)
	rows, err := f.GetRows(sheet)
	o.must(err)
	if len(rows) != 4 || strings.Join(rows[0], ",") != "email,name,role,phone,error_row,error_code,error_field,error_message,error_fix" ||
		strings.Join(rows[1][:7], ",") != "bob@@x,Bob,boss,=2,3,invalid_email,email" || strings.Join(rows[2][:6], ",") != "cy@x.example,,user,003,4,missing_required_field" {
		t.Fatalf("%q", rows)
	}
	comments, err := f.GetComments(sheet)
	o.must(err)
	notes := map[string]string{}
	for _, c := range comments {
		notes[c.Cell] = c.Text
	}
	for cell, says := range map[string]string{"A2": "@", "C2": "role must be", "B3": "name is empty", "D4": "cells"} {
		if !strings.Contains(notes[cell], says) {
			t.Errorf("note of %s: %q", cell, notes[cell])
		}
	}
	for _, row := range []string{"2", "3", "4"} {
		for _, column := range []string{"A", "B", "C", "D"} {
			style, err := f.GetCellStyle(sheet, column+row)
			o.must(err)
			look, err := f.GetStyle(style)
			o.must(err)
			if red := look.Fill.Pattern == 1; red != (notes[column+row] != "") {
				t.Errorf("%s%s is red: %v", column, row, red)
			}
		}
	}
	for cell, value := range map[string]string{"A2": "bob@x.example", "C2": "user", "B3": "Cy", "D4": "x y"} {
		o.must(f.SetCellStr(sheet, cell, value))
	}
	fixed, err := f.WriteToBuffer()
	o.must(err)
	people, _, err := report.UnstoredWorkbook(converted(t, fixed.Bytes()), roster.Options{}, true)
	o.must(err)
	var got []string
	for _, p := range people {
		got = append(got, p.Email+" "+p.Name)
	}
	if strings.Join(got, ",") != "bob@x.example Bob,cy@x.example Cy,dee@x.example Dee" {
		t.Errorf("%q", got)
	}
}

// TestErrorWorkbookOfFailedFile has one row, with what is wrong with the file.
func TestErrorWorkbookOfFailedFile(t *testing.T) {
	t.Parallel()
	o := newTestEnv(t)
	var out bytes.Buffer
	o.must(o.WriteErrorsWorkbook(t.Context(), &out, o.run("email,phone\na@x.example,1\n", roster.Options{})))
	if rows := workbookRows(t, out.Bytes()); len(rows) != 2 || rows[1][1] != "missing_column" {
		t.Errorf("%q", rows)
	}
}

// TestLongCellsInWorkbook: what Excel can't hold in a cell loses its middle, and its
// row still fails until it is fixed.
func TestLongCellsInWorkbook(t *testing.T) {
	t.Parallel()
	for _, long := range []string{strings.Repeat("x", 100_000), strings.Repeat("😀", 30_000), "\"" + strings.Repeat("y", 40_000) + "\" z"} {
		people, book, err := report.UnstoredWorkbook([]byte("email,name,note\nno address,Ann,"+long+"\n"), roster.Options{}, false)
		if err != nil || len(people) > 0 {
			t.Fatal(people, err)
		}
		for _, row := range workbookRows(t, book) {
			for _, cell := range row {
				if n := len([]rune(cell)) + strings.Count(cell, "😀"); n > workbook.MaxText {
					t.Errorf("%d characters", n)
				}
			}
		}
		if people, _, err := report.UnstoredWorkbook(converted(t, book), roster.Options{}, true); err != nil || len(people) > 0 {
			t.Error(people, err)
		}
	}
}

// TestTemplateWorkbook: filled in as it is and uploaded, it is a list of users.
func TestTemplateWorkbook(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := report.WriteTemplateWorkbook(&out, []string{"cost_center"}); err != nil {
		t.Fatal(err)
	}
	if got := string(converted(t, out.Bytes())); got != "email,name,role,department,external_id,status,locale,cost_center\n" {
		t.Errorf("%q", got)
	}
	f, err := excelize.OpenReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := fmt.Sprint(f.GetSheetList()); got != "[Users Instructions]" {
		t.Error(got)
	}
	lists, err := f.GetDataValidations("Users")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, l := range lists {
		told[l.Sqref] = strings.Trim(l.Formula1, `"`)
	}
	if len(told) != 2 || told["C2:C1048576"] != "user,admin" || told["F2:F1048576"] != "active,disabled" {
		t.Errorf("%q", told)
	}
	for _, column := range []string{"A", "E", "G", "H"} {
		id, err := f.GetColStyle("Users", column)
		if err != nil {
			t.Fatal(err)
		}
		if style, err := f.GetStyle(id); err != nil || style.NumFmt != 49 {
			t.Errorf("%s: %+v, %v", column, style, err)
		}
	}
	help, err := f.GetRows(roster.InstructionsSheet)
	if err != nil || len(help) < 10 || help[1][0] != "email" || !strings.Contains(help[1][1], "Required") {
		t.Errorf("%q, %v", help, err)
	}
	if err := f.SetSheetRow("Users", "A2", &[]any{"ann@x.example", "Ann", "admin", "IT", "00042", "active", "de-CH", "007"}); err != nil {
		t.Fatal(err)
	}
	filled, err := f.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	people, _, err := report.UnstoredWorkbook(converted(t, filled.Bytes()), roster.Options{Attributes: []string{"cost_center"}}, true)
	if err != nil || len(people) != 1 || people[0].ExternalID != "00042" || people[0].Role != "admin" || people[0].Locale != "de-CH" {
		t.Errorf("%+v, %v", people, err)
	}
}

// TestErrorWorkbookSavedByLibreOffice: a workbook with errors that LibreOffice 7.4 has
// opened and saved has the values it had.
func TestErrorWorkbookSavedByLibreOffice(t *testing.T) {
	t.Parallel()
	saved, err := os.ReadFile("testdata/errors-libreoffice.xlsx")
	if err != nil {
		t.Fatal(err)
	}
	people, again, err := report.UnstoredWorkbook(converted(t, saved), roster.Options{}, true)
	if err != nil || len(people) > 0 {
		t.Fatalf("%+v, %v", people, err)
	}
	want := [][]string{
		{"email", "name", "role", "phone", "note"},
		{"bob@@x", "Bob", "boss", "=2", "00123"},
		{"cy@x.example", "", "user", "+49 30 1", "a\nb"},
		{"dee@x.example", "Dee", "user", "''=1", "x\ny [fix this cell]"}, // a guard before an apostrophe
		{"no", " Ann", "", "_x000D_", "2026-01-02"},
	}
	for i, row := range workbookRows(t, again) {
		if diff := cmp.Diff(want[i], firstCells(row, len(want[i]))); diff != "" {
			t.Errorf("row %d: %s", i+1, diff)
		}
	}
}
