package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"rollcall/jobs/importer"
	"rollcall/roster"
	"rollcall/storage"
)

// workbookOf makes a workbook with these rows in its first sheet.
func workbookOf(t *testing.T, sheet string, rows ...[]any) *excelize.File {
	t.Helper()
	f := excelize.NewFile()
	if err := f.SetSheetName("Sheet1", sheet); err != nil {
		t.Fatal(err)
	}
	fill(t, f, sheet, rows...)
	return f
}

func fill(t *testing.T, f *excelize.File, sheet string, rows ...[]any) {
	t.Helper()
	for n, row := range rows {
		if err := f.SetSheetRow(sheet, fmt.Sprintf("A%d", n+1), &row); err != nil {
			t.Fatal(err)
		}
	}
}

func bytesOf(t *testing.T, f *excelize.File) string {
	t.Helper()
	b, err := f.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestWorkbookIsImported: the rows of its first visible sheet, with the numbers of the
// sheet; the upload stays as it was.
func TestWorkbookIsImported(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	f := workbookOf(t, "Staff", []any{"Name", "Email", "Role", "Phone"}, []any{"Ann Lee", "ann@x.example", "user", 123, nil, "a note"}, nil, []any{"Bob", "bob@x.example"},
		[]any{"#N/A", "cleo@x.example"}, []any{"Dan", "not an address"})
	if err := f.SetCellFormula("Staff", "A7", "B7"); err != nil {
		t.Fatal(err)
	}
	fill(t, f, "Staff")
	if err := errors.Join(f.SetCellValue("Staff", "B7", "eve@x.example"), f.SetRowVisible("Staff", 4, false)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.NewSheet("Old"); err != nil {
		t.Fatal(err)
	}
	file := bytesOf(t, f)
	i := h.run(h.importer(importer.Config{BatchRows: 1, Slice: time.Nanosecond}), h.upload(file, roster.Options{}).ID)
	if i.Status != roster.Completed || *i.Total != 5 || i.Imported != 3 || i.Counts.Failed != 2 {
		t.Fatalf("%s %+v %+v", i.Status, i.Counts, i.Failure)
	}
	refused, err := h.store.RowErrors(t.Context(), i.ID, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, r := range refused {
		told = append(told, fmt.Sprintf("%d/%d %s %s", r.Row, r.Line, r.Problems[0].Field, r.Problems[0].Message))
	}
	want := []string{"6/6 email", "7/7 name The cell contains a formula whose result isn't stored in the file."}
	for n := range want {
		if n >= len(told) || !strings.HasPrefix(told[n], want[n]) {
			t.Errorf("%q", told)
		}
	}
	var codes []string
	for _, w := range i.Warnings {
		codes = append(codes, fmt.Sprint(w.Code, w.FirstRows))
	}
	slices.Sort(codes)
	if got := strings.Join(codes, " "); got != "hidden_rows[4] other_sheets[] placeholder_names[5] unknown_columns[] unnamed_columns[2]" {
		t.Error(got)
	}
	if i.Workbook == nil || i.Workbook.Sheet != "Staff" || fmt.Sprint(i.Workbook.Sheets) != "[{Staff false} {Old false}]" || i.Workbook.HiddenRows != 1 {
		t.Errorf("%+v", i.Workbook)
	}
	if got, err := io.ReadAll(h.store.OpenUpload(t.Context(), i.ID, 0)); err != nil || string(got) != file {
		t.Errorf("the upload has changed: %v", err)
	}
}

// TestSheetAndHeaderRow: another sheet, and a header below a title, part of which is
// merged with cells above.
func TestSheetAndHeaderRow(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	im := h.importer(importer.Config{})
	f := workbookOf(t, "Notes", []any{"Nothing here"})
	if _, err := f.NewSheet("New hires"); err != nil {
		t.Fatal(err)
	}
	fill(t, f, "New hires", []any{"Staff 2026"}, []any{"Email", "Person"}, []any{nil, "Name", "Role"}, []any{"ann@x.example", "Ann", "user"})
	if err := f.MergeCell("New hires", "A2", "A3"); err != nil {
		t.Fatal(err)
	}
	file := bytesOf(t, f)
	if i := h.run(im, h.upload(file, roster.Options{Sheet: "new hires", HeaderRow: 3}).ID); i.Imported != 1 || *i.Total != 1 {
		t.Errorf("%s %+v %+v", i.Status, i.Counts, i.Failure)
	}
	i := h.run(im, h.upload(file, roster.Options{Sheet: "Leavers"}).ID)
	if i.Failure == nil || i.Failure.Code != roster.MissingSheet || !strings.Contains(i.Failure.Message, `"Notes", "New hires"`) || len(i.Workbook.Sheets) != 2 {
		t.Errorf("%+v", i.Failure)
	}
	plain := bytesOf(t, workbookOf(t, "a", []any{"Staff 2026"}, nil, []any{"email", "name"}, []any{"bob@x.example", "Bob"}))
	if i = h.run(im, h.upload(plain, roster.Options{}).ID); i.Failure == nil || i.Failure.HeaderRow != 3 {
		t.Errorf("%+v", i.Failure)
	}
	for _, file := range []string{plain, "Staff 2026\n\nemail,name\nbob@x.example,Bob\n"} {
		if i = h.run(im, h.upload(file, roster.Options{HeaderRow: 3, OnDuplicate: roster.UpdateDuplicates}).ID); i.Status != roster.Completed || *i.Total != 1 {
			t.Errorf("%s %+v", i.Status, i.Failure)
		}
		if i = h.run(im, h.upload(file, roster.Options{HeaderRow: 2}).ID); i.Failure == nil || i.Failure.Code != roster.MissingColumn {
			t.Errorf("a blank header row: %+v", i.Failure)
		}
	}
}

// TestConversionIsFenced: a worker that lost its claim in the middle of a conversion
// can add nothing, and the next one starts over.
func TestConversionIsFenced(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	rows := [][]any{{"email", "name"}}
	for n := range 100 {
		rows = append(rows, []any{fmt.Sprintf("p%d@x.example", n), strings.Repeat("x", 100)})
	}
	id := h.upload(bytesOf(t, workbookOf(t, "a", rows...)), roster.Options{}).ID
	lost, err := h.store.ClaimImport(t.Context(), id, time.Millisecond)
	if err == nil {
		err = h.store.BeginSheet(t.Context(), lost, roster.Workbook{})
	}
	if err == nil {
		err = h.store.AddSheetChunk(t.Context(), lost, 0, []byte("email,name\nwrong@x.example,Wrong\n"))
	}
	if err == nil {
		err = h.store.AddSheetChunk(t.Context(), lost, 1, bytes.Repeat([]byte("x"), 100))
	}
	if err != nil {
		t.Fatal(err)
	}
	h.lapse()
	if i := h.run(h.importer(importer.Config{}), id); i.Imported != 100 {
		t.Fatalf("%s %+v %+v", i.Status, i.Counts, i.Failure)
	}
	for name, err := range map[string]error{
		"begin": h.store.BeginSheet(t.Context(), lost, roster.Workbook{}),
		"add":   h.store.AddSheetChunk(t.Context(), lost, 2, []byte("x")),
		"renew": h.store.RenewLease(t.Context(), lost),
		"save":  h.store.SaveSheet(t.Context(), lost, 1, roster.Workbook{}, nil),
	} {
		if !errors.Is(err, storage.ErrClaimLost) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestInterruptedConversion: a worker that shuts down in the middle hands the import
// back without a mark against it; one that takes too long fails.
func TestInterruptedConversion(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	file := bytesOf(t, workbookOf(t, "a", []any{"email", "name"}, []any{"ann@x.example", "Ann"}))
	id := h.upload(file, roster.Options{}).ID
	for n := range 8 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*3*time.Millisecond)
		_, err := h.importer(importer.Config{}).Run(ctx, id)
		cancel()
		if err != nil && !storage.Interrupted(err) {
			t.Fatal(err)
		}
		h.lapse()
	}
	if i := h.run(h.importer(importer.Config{}), id); i.Imported != 1 {
		t.Errorf("%s %+v %+v", i.Status, i.Counts, i.Failure)
	}
	i := h.run(h.importer(importer.Config{ConvertTimeout: time.Nanosecond}), h.upload(file, roster.Options{}).ID)
	if i.Failure == nil || i.Failure.Code != roster.MalformedFile || !strings.Contains(i.Failure.Message, "takes longer") {
		t.Errorf("%s %+v", i.Status, i.Failure)
	}
}

// TestRetentionOfWorkbooks: the converted sheet is deleted with the workbook.
func TestRetentionOfWorkbooks(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	i := h.run(h.importer(importer.Config{}), h.upload(bytesOf(t, workbookOf(t, "Jane Roe", []any{"email", "name"}, []any{"ann@x.example", "Ann"})), roster.Options{Sheet: "Jane Roe"}).ID)
	for done := false; !done; {
		var err error
		if done, err = h.store.PurgeImport(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
	var left int
	if err := h.store.DB().QueryRow(`SELECT (SELECT count(*) FROM import_sheets) + (SELECT count(*) FROM import_chunks)`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d chunks are left, %v", left, err)
	}
	if i = h.read(i.ID); !i.Purged() || i.Workbook != nil || i.Options.Sheet != "" {
		t.Errorf("%+v %+v", i.Workbook, i.Options)
	}
	if _, err := io.ReadAll(h.store.OpenRows(t.Context(), i, 0)); !errors.Is(err, storage.ErrPurged) {
		t.Error(err)
	}
}
