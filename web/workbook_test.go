package web_test

import (
	"testing"

	"github.com/xuri/excelize/v2"
)

// TestWorkbookInWizard: a workbook is uploaded, another sheet is chosen with one click,
// and the header below its title with another; then the sheet is there to be changed.
func TestWorkbookInWizard(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	f := excelize.NewFile()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(f.SetSheetRow("Sheet1", "A1", &[]any{"email", "name"}))
	must(f.SetSheetRow("Sheet1", "A2", &[]any{"ann@example.com", "Ann"}))
	for _, sheet := range []string{"New hires", "Old"} {
		_, err := f.NewSheet(sheet)
		must(err)
		must(f.SetSheetRow(sheet, "A1", &[]any{"2026"}))
		must(f.SetSheetRow(sheet, "A3", &[]any{"email", "name"}))
		must(f.SetSheetRow(sheet, "A4", &[]any{"bob@example.com", "Bob"}))
	}
	must(f.SetSheetVisible("Old", false))
	file, err := f.WriteToBuffer()
	must(err)
	location := b.upload("staff.xlsx", file.String(), "dry_run", "true").header.Get("Location")
	p := b.get(location).says(".state h2", "1 row can be imported").says(".suggestion p", "The sheet “Sheet1” was read.").says(".suggestion button", "Use the sheet “New hires”")
	if len(p.find("#sheet option")) != 4 || len(p.find("#encoding"))+len(p.find("#delimiter")) != 0 {
		t.Error("the settings of a workbook are its sheet and header row")
	}
	next, p := b.again(location, "sheet", "New hires")
	p.says(".state h2", "This file can't be imported").says(".suggestion button", "Use row 3 as the header")
	next, p = b.again(next, "header_row", "3")
	p.says(".state h2", "1 row can be imported").says(".preview tbody td[data-label=Name]", "Bob")
	if got := attribute(p.find("#header_row")[0], "value"); got != "3" {
		t.Errorf("header row %q", got)
	}
	next, p = b.again(next, "sheet", "Old", "header_row", "3")
	p.says(".state h2", "1 row can be imported")
	for _, bad := range []string{"0", "x", "1001"} {
		if p := b.post(next+"/reread", "header_row", bad); p.status != 422 {
			t.Errorf("header row %s: %d", bad, p.status)
		}
	}
	next, p = b.again(next, "sheet", "Leavers")
	p.says(".state h2", "This file can't be imported").says("form.file-settings label[for=sheet]", "Sheet")
	_, p = b.again(next, "sheet", "", "header_row", "")
	p.says(".state h2", "1 row can be imported")
}
