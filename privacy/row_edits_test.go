package privacy_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"rollcall/jobs/importer"
	"rollcall/privacy"
	"rollcall/report"
	"rollcall/roster"
)

// TestErasedPersonIsNotInEdits: a typo in a file was corrected into the address of
// someone who is to be erased. While the import waits to be confirmed it would create
// them again; afterwards the row of the file goes with its edit, and others stay.
func TestErasedPersonIsNotInEdits(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ctx := t.Context()
	h.upload(operator, []byte("email,name\nzenobia@example.com,Zenobia Quill\n"), true, roster.Options{})
	id := h.upload(operator, []byte("email,name\nzenobia-at-example,Zed\nanother@example,Zed\nzenobia-at-example,Somebody Else\nother@example.com,Other Person\n"), true, roster.Options{DryRun: true})
	editor := importer.NewRowEditor(h.store, importer.Config{})
	value := func(s string) *string { return &s }
	for row, cells := range map[int64]importer.CellChanges{
		2: {roster.ColumnEmail: value("Zenobia@Example.com")},
		3: {roster.ColumnName: value("Zenobia Quill")},
		5: {roster.ColumnName: value("Renamed Person")},
	} {
		_, err := editor.Edit(ctx, id, map[int64]importer.CellChanges{row: cells}, operator)
		h.must(err)
	}
	p, err := h.store.DataSubjectByKey(ctx, "zenobia@example.com")
	h.must(err)
	told, err := h.office.Report(ctx, p, operator)
	h.must(err)
	if len(told.Files) != 2 || len(told.Edits) != 1 || told.Edits[0].Row != 2 {
		t.Errorf("files %v, edits %+v", told.Files, told.Edits)
	}
	_, err = h.office.Erase(ctx, p, operator)
	if why, ok := errors.AsType[*privacy.BusyError](err); !ok || why.ImportID != id {
		t.Fatalf("an import that waits: %v", err)
	}
	h.must(h.store.CancelImport(ctx, id, operator))
	_, err = h.office.Erase(ctx, p, operator)
	h.must(err)

	i, err := h.store.Import(ctx, id)
	h.must(err)
	file, err := io.ReadAll(h.store.OpenRows(ctx, i, 0))
	h.must(err)
	lines := strings.Split(string(file), "\n")
	if strings.Contains(lines[1], "zenobia") || strings.Contains(lines[1], "Zed") || lines[3] != "zenobia-at-example,Somebody Else" {
		t.Errorf("the file is\n%s", file)
	}
	edits, err := h.store.RowEdits(ctx, id)
	h.must(err)
	if len(edits) != 1 || edits[5].Cells[roster.ColumnName] != "Renamed Person" {
		t.Errorf("edits %+v", edits)
	}
	var results bytes.Buffer
	h.must(report.New(h.store).WriteResults(ctx, &results, id))
	if !strings.Contains(results.String(), "5,5,other@example.com,unprocessed") || strings.Contains(strings.ToLower(results.String()), "zenobia@example.com") {
		t.Errorf("results\n%s", &results)
	}
}
