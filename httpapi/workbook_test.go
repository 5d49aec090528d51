package httpapi_test

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"rollcall/apitypes"
)

// workbookFile is a workbook with a title above the header of its second sheet.
func workbookFile(t *testing.T) string {
	t.Helper()
	f := excelize.NewFile()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(f.SetSheetRow("Sheet1", "A1", &[]any{"email", "name"}))
	must(f.SetSheetRow("Sheet1", "A2", &[]any{"ann@x.example", "Ann"}))
	must(f.SetSheetRow("Sheet1", "A4", &[]any{"broken", "Bob"}))
	_, err := f.NewSheet("New hires")
	must(err)
	must(f.SetSheetRow("New hires", "A1", &[]any{"2026"}))
	must(f.SetSheetRow("New hires", "A2", &[]any{"email", "name"}))
	must(f.SetSheetRow("New hires", "A3", &[]any{"cleo@x.example", "Cleo"}))
	b, err := f.WriteToBuffer()
	must(err)
	return b.String()
}

// TestWorkbookUpload: the documented call takes a workbook, whatever its name says, and
// returns it as it was.
func TestWorkbookUpload(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	content := workbookFile(t)
	a := h.upload([]field{file(content)})
	h.want(a, 200)
	i := as[apitypes.Import](t, a)
	if i.Imported != 1 || i.Failed != 1 || i.Errors[0].Row != 4 || i.Errors[0].Line != 4 || i.Workbook == nil || i.Workbook.Sheet != "Sheet1" || len(i.Workbook.Sheets) != 2 {
		t.Errorf("%s", a.body)
	}
	if got := h.get(i.Links.File); string(got.body) != content || got.header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%d bytes, %v", len(got.body), got.header)
	}
	report := h.get(i.Links.ErrorsCSV)
	if !bytes.Contains(report.body, []byte("\r\nbroken,Bob,4,invalid_email,email,")) {
		t.Errorf("%s", report.body)
	}
	a = h.upload([]field{file(content), {"sheet", "", "new hires"}, {"header_row", "", "2"}})
	h.want(a, 200)
	if i = as[apitypes.Import](t, a); i.Imported != 1 || i.Workbook.Sheet != "New hires" {
		t.Errorf("%s", a.body)
	}
}

// TestWorkbookProblems: what is wrong with a workbook or its options is said by name.
func TestWorkbookProblems(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	content := workbookFile(t)
	p := h.wantProblem(h.upload([]field{file(content), {"sheet", "", "Leavers"}}), 422, "missing_sheet")
	if !strings.Contains(p.Detail, `"Sheet1", "New hires"`) || p.Title != "Sheet not found" {
		t.Errorf("%+v", p)
	}
	a := h.upload([]field{file(content), {"sheet", "", "New hires"}})
	h.wantProblem(a, 422, "missing_column")
	if !bytes.Contains(a.body, []byte(`"header_row":2`)) {
		t.Errorf("%s", a.body)
	}
	locked := excelize.NewFile()
	var b bytes.Buffer
	if err := locked.Write(&b, excelize.Options{Password: "secret"}); err != nil {
		t.Fatal(err)
	}
	h.wantProblem(h.upload([]field{file(b.String())}), 422, "protected_workbook")
	if p := h.wantProblem(h.upload([]field{file("PK\x03\x04 not a workbook")}), 422, "malformed_file"); !strings.Contains(p.Detail, "incomplete") {
		t.Errorf("%+v", p)
	}
	for _, value := range []string{"0", "-1", "first", "1001"} {
		c := uploadCall([]field{file(content)})
		c.path += "?header_row=" + url.QueryEscape(value)
		h.wantProblem(h.do(c), 400, "invalid_parameter")
	}
	h.wantProblem(h.upload([]field{file(content), {"sheet", "", strings.Repeat("x", 1001)}}), 400, "invalid_parameter")
}

// TestErrorWorkbook: errors.xlsx that is uploaded unchanged fails the same rows; with
// the cells fixed they are imported.
func TestErrorWorkbook(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	i := as[apitypes.Import](t, h.upload([]field{file("email,name,role,phone\nann@x.example,Ann,,\nbob,Bob,boss,=1+1\n\ncleo@x.example,,user,'=2\n")}))
	a := h.get(i.Links.ErrorsXLSX)
	h.want(a, 200)
	if got := a.header.Get("Content-Disposition"); got != "attachment; filename=people-errors.xlsx" {
		t.Error(got)
	}
	if got := a.header.Get("Content-Type"); got != "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" {
		t.Error(got)
	}
	for range 2 { // a report of a report, too
		again := as[apitypes.Import](t, h.upload([]field{file(string(a.body))}))
		if again.Total == nil || *again.Total != 2 || again.Failed != 2 || again.Errors[0].Reason != "invalid_email" || again.Errors[1].Reason != "missing_required_field" || len(again.Warnings) != 1 {
			t.Fatalf("%+v", again)
		}
		report := string(h.get(again.Links.ErrorsCSV).body)
		if !strings.Contains(report, "\r\nbob,Bob,boss,'=1+1,2,") || !strings.Contains(report, "\r\ncleo@x.example,,user,''=2,3,") {
			t.Errorf("%s", report)
		}
		a = h.get(again.Links.ErrorsXLSX)
	}
	f, err := excelize.OpenReader(bytes.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for cell, value := range map[string]string{"A2": "bob@x.example", "C2": "admin", "B3": "Cleo"} {
		if err := f.SetCellStr(f.GetSheetName(0), cell, value); err != nil {
			t.Fatal(err)
		}
	}
	fixed, err := f.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	if i := as[apitypes.Import](t, h.upload([]field{file(fixed.String())})); i.Imported != 2 || i.Failed != 0 || i.Admins != 1 {
		t.Errorf("%+v", i)
	}
}

// TestTemplateWorkbook comes back as a list without rows.
func TestTemplateWorkbook(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	a := h.get(importPath + "/template.xlsx")
	h.want(a, 200)
	if got := a.header.Get("Content-Disposition"); got != "attachment; filename=users-template.xlsx" {
		t.Error(got)
	}
	if i := as[apitypes.Import](t, h.upload([]field{file(string(a.body))})); i.Status != "completed" || i.Imported != 0 || len(i.Warnings) != 0 {
		t.Errorf("%+v", i)
	}
}
