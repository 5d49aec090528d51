package storage_test

import (
	"testing"

	"rollcall/roster"
	"rollcall/storage"
)

// TestUnchangedRowsWriteNothing: a row that changes nothing neither writes nor
// locks its user, and is counted as what it is.
func TestUnchangedRowsWriteNothing(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.imported(roster.Options{}, "ada", "bea", "cleo")
	h.exec(`UPDATE users SET department = 'Maths'`)
	const versions = `SELECT string_agg(xmin || ' ' || xmax, ',' ORDER BY id) FROM users WHERE name <> 'Cleopatra'`
	h.exec(`UPDATE users SET name = 'Cleopatra' WHERE name = 'cleo'`)
	before := one[string](h, versions)
	maths := func(n *storage.UserRow) { n.Department = "Maths" }
	a, i := h.update(by.Actor, true, newcomer(2, "ada", maths), newcomer(3, "bea"), newcomer(4, "cleo", maths, role(roster.RoleUser)))
	if a.Unchanged != 2 || a.Updated != 1 || a.Imported != 0 || i.Unchanged != 2 || i.Updated != 1 || i.Unprocessed() != 0 {
		t.Errorf("%+v, import %+v", a, i.Counts)
	}
	if after := one[string](h, `SELECT string_agg(xmin || ' ' || xmax, ',' ORDER BY id) FROM users WHERE name <> 'cleo'`); after != before {
		t.Errorf("rows that change nothing were written or locked: %s, were %s", after, before)
	}
	h.audited("user.change", by.TargetID, 1)
	updated, err := h.UpdatedRows(h.ctx, i.ID, 2, 4)
	h.must(err)
	if len(updated) != 1 || h.user(updated[4]).Name != "cleo" {
		t.Errorf("updated rows %v", updated)
	}
}

// TestBlankCells: a blank department keeps what is stored or clears it, as the
// import says; a file without the column does neither.
func TestBlankCells(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	_, people := h.imported(roster.Options{}, "ada")
	for _, c := range []struct {
		matching storage.Matching
		want     string
		changed  roster.Action
	}{
		{storage.Matching{HasDepartment: true}, "Maths", roster.ActionUnchanged},
		{storage.Matching{HasDepartment: true, Blank: roster.BlankKeep}, "Maths", roster.ActionUnchanged},
		{storage.Matching{HasDepartment: true, Blank: roster.BlankClear}, "", roster.ActionUpdate},
		{storage.Matching{Blank: roster.BlankClear}, "Maths", roster.ActionUnchanged},
	} {
		h.exec(`UPDATE users SET department = 'Maths'`)
		plans, err := h.PlanRows(h.ctx, c.matching, []storage.UserRow{newcomer(2, "ada"), newcomer(3, "new")}, true)
		h.must(err)
		if plans[0].Action != c.changed || plans[0].UserID != people[0].ID || plans[1].Action != roster.ActionCreate {
			t.Errorf("%+v plans %+v", c.matching, plans)
		}
		if change := plans[0].Changes[roster.ColumnDepartment]; c.changed == roster.ActionUpdate && change != (roster.FieldChange{From: "Maths"}) {
			t.Errorf("%+v changes %+v", c.matching, change)
		}
		claim := h.importing(roster.Options{OnDuplicate: roster.UpdateDuplicates}, 1)
		_, err = h.ApplyBatch(h.ctx, claim, storage.Batch{To: at(3), Rows: 1, Newcomers: []storage.UserRow{newcomer(2, "ada")}, Matching: c.matching, Last: true})
		h.must(err)
		if got := h.user(people[0].ID).Department; got != c.want {
			t.Errorf("%+v leaves %q, want %q", c.matching, got, c.want)
		}
	}
}
