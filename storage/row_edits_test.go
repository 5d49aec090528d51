package storage_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"rollcall/roster"
	"rollcall/storage"
)

// editable is a dry run of n rows that waits to be confirmed: every third fails, the
// others create users.
func (h *testEnv) editable(n int64) *roster.Import {
	h.Helper()
	c := h.claim(h.receive(roster.Options{DryRun: true}).ID)
	b := storage.Checked{To: at(n + 2), Rows: n, Actions: storage.ActionRows{}, Last: true, Layout: &storage.Layout{Header: []string{"email", "name"}}}
	for row := int64(2); row < n+2; row++ {
		b.RowKeys = append(b.RowKeys, storage.RowKey{Hash: storage.EmailHash(c.Import.ID, fmt.Sprintf("p%d@example.com", row)), Row: row})
		if row%3 == 0 {
			b.RowErrors = append(b.RowErrors, failedRow(row, "bad"))
			continue
		}
		b.Valid++
		b.Plan.Create++
		b.Actions[roster.ActionCreate] = append(b.Actions[roster.ActionCreate], row)
	}
	h.must(h.SaveChecked(h.ctx, c, b))
	return h.read(c.Import.ID)
}

func failedRow(row int64, value string) roster.RowError {
	return roster.RowError{Row: row, Line: row, Email: value, Problems: []roster.Problem{{Field: roster.ColumnEmail, Code: roster.InvalidEmail, Value: value, Message: "No."}}}
}

// TestSaveEdits replaces the verdicts of rows among thousands, in every block they may
// be in, and leaves the others.
func TestSaveEdits(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	const n = 7000
	i := h.editable(n)
	fail, create := map[int64]string{}, map[int64]bool{}
	for row := int64(2); row < n+2; row++ {
		if row%3 == 0 {
			fail[row] = "bad"
		} else {
			create[row] = true
		}
	}
	// Rows 2 and 7001 are at the ends; 6000 and 6003 are within one block, or two.
	for _, move := range [][]int64{{3}, {2}, {7001, 6999}, {3000, 6000, 6003}, {3, 2}, {2, 3}} {
		b := storage.EditedRows{Rows: move, Actions: storage.ActionRows{}, Plan: roster.Plan{}}
		for _, row := range move {
			if create[row] {
				delete(create, row)
				fail[row] = "worse"
				b.RowErrors = append(b.RowErrors, failedRow(row, "worse"))
				b.Valid--
			} else {
				delete(fail, row)
				create[row] = true
				b.Actions[roster.ActionCreate] = append(b.Actions[roster.ActionCreate], row)
				b.Valid++
			}
			b.Edits = append(b.Edits, storage.RowEdit{Row: row, Cells: map[roster.Column]string{roster.ColumnEmail: "x"}})
		}
		b.Plan.Create = b.Valid
		h.must(h.SaveEdits(h.ctx, i, b, by))
		if err := h.SaveEdits(h.ctx, i, b, by); !errors.Is(err, storage.ErrEditConflict) {
			t.Errorf("the same revision again: %v", err)
		}
		i = h.read(i.ID)
		if i.Valid != int64(len(create)) || i.Counts.Failed != int64(len(fail)) || i.Plan.Create != i.Valid {
			t.Errorf("%v: valid %d, failed %d, plan %+v; want %d and %d", move, i.Valid, i.Counts.Failed, i.Plan, len(create), len(fail))
		}
	}
	rows, err := h.ActionRows(h.ctx, i.ID, roster.ActionCreate, 0, n)
	h.must(err)
	if len(rows) != len(create) || !slices.IsSorted(rows) || slices.ContainsFunc(rows, func(row int64) bool { return !create[row] }) {
		t.Errorf("%d rows to be created, want %d", len(rows), len(create))
	}
	rowErrors, err := h.RowErrors(h.ctx, i.ID, 0, n)
	h.must(err)
	if len(rowErrors) != len(fail) {
		t.Errorf("%d rows fail, want %d", len(rowErrors), len(fail))
	}
	for _, r := range rowErrors {
		if r.Email != fail[r.Row] {
			t.Errorf("row %d has %q, want %q", r.Row, r.Email, fail[r.Row])
		}
	}
	verdicts, err := h.RowVerdicts(h.ctx, i.ID, []int64{2, 3, 6, 7001, 9999})
	h.must(err)
	if verdicts[3].Action != roster.ActionCreate || verdicts[2].Error == nil || verdicts[6].Error == nil || verdicts[7001].Error == nil || verdicts[9999] != (storage.RowVerdict{}) {
		t.Errorf("verdicts %+v", verdicts)
	}
	h.audited("import.edit", i.ID, 6)
	found, err := h.RowsWithHashes(h.ctx, i.ID, []uint64{storage.EmailHash(i.ID, "p6789@example.com"), storage.EmailHash(i.ID, "nobody@example.com")})
	h.must(err)
	if !slices.Equal(found, []int64{6789}) {
		t.Errorf("rows with the hash: %v", found)
	}
}

// TestTooManyEdits: the limit is that of the import, and what breaks it changes
// nothing.
func TestTooManyEdits(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	i := h.editable(9)
	edits := func(from, to int64) (b storage.EditedRows) {
		for row := from; row < to; row++ {
			b.Edits = append(b.Edits, storage.RowEdit{Row: row, Cells: map[roster.Column]string{}})
		}
		return b
	}
	h.must(h.SaveEdits(h.ctx, i, edits(0, storage.MaxRowEdits), by))
	i = h.read(i.ID)
	h.must(h.SaveEdits(h.ctx, i, edits(0, 9), by))
	i = h.read(i.ID)
	if err := h.SaveEdits(h.ctx, i, edits(storage.MaxRowEdits, storage.MaxRowEdits+1), by); !errors.Is(err, storage.ErrTooManyEdits) {
		t.Errorf("one more: %v", err)
	}
	if n := one[int](h, `SELECT count(*) FROM import_edits`); n != storage.MaxRowEdits || h.read(i.ID).Revision != i.Revision {
		t.Errorf("%d edits", n)
	}
}

// TestEditedImportNeedsANewWorker: a worker of an earlier version, which claims without
// edits_fence, does not get an edited import; and an import that it has checked can't
// be edited.
func TestEditedImportNeedsANewWorker(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	i := h.editable(3)
	h.must(h.SaveEdits(h.ctx, i, storage.EditedRows{}, by))
	_, err := h.ConfirmImport(h.ctx, i.ID, storage.Approval{}, by)
	h.must(err)
	h.exec(`UPDATE imports SET fence = fence + 1, lease_until = now() + interval '1 hour' WHERE id = $1`, i.ID)
	if n := one[int](h, `SELECT count(*) FROM imports WHERE lease_until IS NOT NULL`); n != 0 {
		t.Error("an old worker has claimed it")
	}
	if _, err := h.ClaimImport(h.ctx, i.ID, time.Minute); err != nil {
		t.Errorf("a new one: %v", err)
	}
	if n := one[int](h, `SELECT count(*) FROM import_row_keys`); n != 0 {
		t.Errorf("%d blocks of hashes are left", n)
	}
	old := h.editable(3)
	h.exec(`UPDATE imports SET keyed_rows = 2 WHERE id = $1`, old.ID)
	if _, err := h.EditableImport(h.ctx, old.ID); !errors.Is(err, storage.ErrNotEditable) {
		t.Errorf("checked in part by an old worker: %v", err)
	}
	if _, err := h.EditableImport(h.ctx, i.ID); !errors.Is(err, storage.ErrWrongState) {
		t.Errorf("while it is imported: %v", err)
	}
}
