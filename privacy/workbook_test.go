package privacy_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular/workbook"
)

// staff is a workbook with Ann and Bob, one of them also in a comment.
func staff(t *testing.T, comment string) []byte {
	t.Helper()
	f := excelize.NewFile()
	err := errors.Join(
		f.SetSheetRow("Sheet1", "A1", &[]any{"email", "name", "department"}),
		f.SetSheetRow("Sheet1", "A2", &[]any{"bob@x.example", "Bob", "1 Road,\nTown"}),
		f.SetSheetRow("Sheet1", "A3", &[]any{"ann@x.example", "Ann Lee", "Sales"}),
		f.SetSheetRow("Sheet1", "A4", &[]any{"broken@", "Cleo", ""}),
		f.SetSheetRow("Sheet1", "A5", &[]any{"ann@x.example", "Ann Again", ""}),
		f.AddComment("Sheet1", excelize.Comment{Cell: "A2", Author: "x", Paragraph: []excelize.RichTextRun{{Text: "Ask " + comment}}}),
	)
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestErasureInWorkbooks: the person's rows are blanked where they are imported from, and
// the workbook, in which nothing can be blanked, is deleted.
func TestErasureInWorkbooks(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	imported := h.upload(operator, staff(t, "Bob"), true, roster.Options{})
	foreign := h.upload(operator, staff(t, "someone"), true, roster.Options{Sheet: "other"}) // fails: never converted
	f := excelize.NewFile()
	h.must(f.SetSheetRow("Sheet1", "A1", &[]any{"email", "name"}))
	h.must(f.AddComment("Sheet1", excelize.Comment{Cell: "A1", Author: "x", Paragraph: []excelize.RichTextRun{{Text: "Ask ann@"}, {Text: "x.example"}}}))
	b, err := f.WriteToBuffer()
	h.must(err)
	commented := h.upload(operator, b.Bytes(), true, roster.Options{})
	untouched := h.upload(operator, []byte("email,name\ndan@x.example,Dan\n"), true, roster.Options{})

	p, err := h.store.DataSubjectByKey(t.Context(), "ann@x.example")
	h.must(err)
	erased, err := h.office.Erase(t.Context(), p, operator)
	h.must(err)
	if len(erased.Files) != 3 {
		t.Errorf("%v", erased.Files)
	}
	for name, id := range map[string][16]byte{"imported": imported, "failed": foreign, "in a comment": commented} {
		if _, err := io.ReadAll(h.store.OpenUpload(t.Context(), id, 0)); !errors.Is(err, storage.ErrPurged) {
			t.Errorf("%s: the workbook is still there: %v", name, err)
		}
	}
	if _, err := io.ReadAll(h.store.OpenUpload(t.Context(), untouched, 0)); err != nil {
		t.Error(err)
	}
	i, err := h.store.Import(t.Context(), imported)
	h.must(err)
	rows, err := io.ReadAll(h.store.OpenRows(t.Context(), i, 0))
	h.must(err)
	if want := "email,name,department\nbob@x.example,Bob,\"1 Road,\nTown\"\n*************,*** ***,*****\nbroken@,Cleo\n*************,*** *****\n"; string(rows) != want {
		t.Errorf("%q", rows)
	}
	var failed, results bytes.Buffer
	h.must(report.New(h.store).WriteErrors(t.Context(), &failed, imported))
	h.must(report.New(h.store).WriteResults(t.Context(), &results, imported))
	if told := failed.String() + results.String(); strings.Contains(told, "ann@") || strings.Contains(told, "Ann") || !strings.Contains(told, "broken@") {
		t.Error(told)
	}
	if dump := h.dump(); strings.Contains(dump, "ann@x.example") || strings.Contains(dump, "ann again") {
		t.Error("the database still has the person")
	}
	if again, err := h.office.Erase(t.Context(), storage.DataSubject{UserID: p.UserID, Email: p.Email, EmailKey: p.EmailKey, Name: p.Name}, operator); !errors.Is(err, storage.ErrNotFound) || len(again.Files) != 0 {
		t.Errorf("%v %v", again, err)
	}
}

// TestTextsOfAWorkbook: whatever part of a workbook has an address, it is found.
func TestTextsOfAWorkbook(t *testing.T) {
	t.Parallel()
	file := staff(t, "eve@x.example")
	var all strings.Builder
	err := workbook.Texts(bytes.NewReader(file), int64(len(file)), workbook.Limits{}, func(r io.Reader) error {
		_, err := io.Copy(&all, r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"ann@x.example\n", "1 Road,\nTown", "Ask eve@x.example"} {
		if !strings.Contains(all.String(), text) {
			t.Errorf("%q isn't found", text)
		}
	}
}
