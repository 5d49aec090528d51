package jobs_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/jobs/importer"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
)

// rotated is a file of n people with keys; each has the address of the one shift
// further on.
func rotated(n, shift int) string {
	rows := make([]string, n)
	for k := range rows {
		rows[k] = fmt.Sprintf("%d=p%d", k, (k+shift)%n)
	}
	return keyed(rows...)
}

// TestUndoOfSwapsAcrossSteps: people who swapped addresses get them back, however
// far apart they are in the file, and whoever was changed since keeps everybody in
// the way.
func TestUndoOfSwapsAcrossSteps(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	im := h.importer(importer.Config{})
	const n = 2_200 // two steps
	h.run(im, h.upload(rotated(n, 0), full).ID)
	before := h.people()
	for shift, swapped := range map[int]bool{n / 2: true, 1: false} {
		i := h.run(im, h.upload(rotated(n, shift), full).ID)
		if got := h.people(); i.Updated != n || slices.Equal(got, before) {
			t.Fatalf("shifted by %d: %s %+v", shift, i.Status, i.Counts)
		}
		if u := h.undo(i.ID); u.Restored != n || u.Kept != 0 || !slices.Equal(h.people(), before) {
			t.Errorf("shifted by %d: %+v", shift, u)
		}
		if !swapped {
			continue
		}
		// Of a swap that was touched since, neither can go back.
		i = h.run(im, h.upload(rotated(n, shift), full).ID)
		name := "By hand"
		users, err := h.store.Users(t.Context(), storage.UserFilter{EmailKey: "p0@example.com", Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.store.ChangeUser(t.Context(), users[0].ID, storage.UserChange{Name: &name}, tester); err != nil {
			t.Fatal(err)
		}
		if u := h.undo(i.ID); u.Restored != n-2 || u.Kept != 2 {
			t.Errorf("one of them changed since: %+v", u)
		}
		h.run(im, h.upload(rotated(n, 0), full).ID)
	}
}

// TestMoreEntangledRowsThanTheLimit: beyond the limit rows are refused, in order,
// with those who need their addresses. The import does not fail.
func TestMoreEntangledRowsThanTheLimit(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	im := h.importer(importer.Config{})
	const n = storage.MaxDeferredRows + 100
	h.run(im, h.upload(rotated(n, 0), full).ID)
	before := h.people()
	i := h.run(im, h.upload(rotated(n, 1), roster.Options{OnDuplicate: roster.UpdateDuplicates}).ID) // one cycle: it is broken
	if i.Status != roster.Completed || i.Counts.Failed != n || !slices.Equal(h.people(), before) {
		t.Errorf("one cycle: %s %+v", i.Status, i.Counts)
	}
	pairs := make([]string, n)
	for k := range pairs {
		pairs[k] = fmt.Sprintf("%d=p%d", k, k^1)
	}
	i = h.run(im, h.upload(keyed(pairs...), full).ID)
	if i.Status != roster.Completed || i.Updated != storage.MaxDeferredRows || i.Counts.Failed != n-storage.MaxDeferredRows {
		t.Errorf("pairs: %s %+v", i.Status, i.Counts)
	}
	if u := h.undo(i.ID); u.Restored != storage.MaxDeferredRows || !slices.Equal(h.people(), before) {
		t.Errorf("after the undo: %+v", u)
	}
}

// TestCanceledWithRowsThatWait: rows that had to wait for others, and never got in,
// are unprocessed in the results, and what they were about is not kept.
func TestCanceledWithRowsThatWait(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"rows", "deferred"} {
		h := newTestEnv(t)
		im := h.importer(importer.Config{BatchRows: 2})
		h.run(im, h.upload(keyed("1=a", "2=b", "3=c", "4=d", "5=e"), full).ID)
		id := h.upload(keyed("1=b", "2=a", "3=c", "4=x", "5=y"), full).ID
		h.runUntil(id, func() bool {
			var at string
			var row int64
			if err := h.store.DB().QueryRowContext(t.Context(), `SELECT stage, cursor_row FROM imports WHERE id = $1 AND status = 'importing'`, id).Scan(&at, &row); err != nil {
				return false
			}
			return at == stage && (stage != "rows" || row > 3)
		})
		if err := h.store.CancelImport(t.Context(), id, tester); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := report.New(h.store).WriteResults(t.Context(), &out, id); err != nil {
			t.Fatal(err)
		}
		var outcomes []string
		for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n")[1:] {
			outcomes = append(outcomes, strings.Split(line, ",")[3])
		}
		want := []string{"unprocessed", "unprocessed", "unchanged", "updated", "updated"}
		if stage == "rows" {
			want = []string{"unprocessed", "unprocessed", "unprocessed", "unprocessed", "unprocessed"}
		}
		i := h.read(id)
		unprocessed := 0
		for _, o := range outcomes {
			if o == "unprocessed" {
				unprocessed++
			}
		}
		if !slices.Equal(outcomes, want) || i.Unprocessed() != int64(unprocessed) {
			t.Errorf("canceled at %s: %v, want %v; %d unprocessed", stage, outcomes, want, i.Unprocessed())
		}
		var kept int
		if err := h.store.DB().QueryRowContext(t.Context(), `SELECT count(*) FROM import_deferred_rows WHERE holder_key <> '' OR fields <> '{}'`).Scan(&kept); err != nil || kept > 0 {
			t.Errorf("canceled at %s: %d rows still say whom they were about, %v", stage, kept, err)
		}
		h.undo(id)
		if got := h.people(); !slices.Equal(got, []string{"1=a", "2=b", "3=c", "4=d", "5=e"}) {
			t.Errorf("canceled at %s and undone: %v", stage, got)
		}
	}
}

// runUntil works on an import in the smallest slices until reached reports true.
func (h *testEnv) runUntil(id uuid.UUID, reached func() bool) {
	h.Helper()
	im := h.importer(importer.Config{BatchRows: 2, Slice: time.Nanosecond, Writers: 1})
	for range 100 {
		if reached() {
			return
		}
		if _, err := im.Run(h.Context(), id); err != nil {
			h.Fatal(err)
		}
	}
	h.Fatal("it never got there")
}
