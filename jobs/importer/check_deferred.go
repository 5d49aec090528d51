package importer

import (
	"context"
	"slices"

	"rollcall/roster"
	"rollcall/storage"
)

func (b *checkedBatch) deferredRow(v rowResult) storage.DeferredRow {
	return storage.DeferredRow{
		UserRow:   storage.UserRow{Row: v.rowError.Row, Line: v.rowError.Line, UserFields: v.person},
		HolderKey: v.plan.HolderKey, HasDepartment: b.matching.HasDepartment, HasLocale: b.matching.HasLocale, Attributes: b.matching.Attributes, Plan: *v.plan,
	}
}

// settleDeferred decides, now that the whole file is known, about the rows whose
// address belongs to another user: each goes in if a good row of the file gives
// that user another address. The last batch then counts all of them.
func (w *importRun) settleDeferred(ctx context.Context, b *checkedBatch) error {
	if !b.matching.HasExternalID {
		return nil
	}
	ctx, cancel := w.importer.txContext(ctx)
	defer cancel()
	stored, err := w.importer.store.DeferredRows(ctx, w.claim.Import.ID)
	if err != nil {
		return err
	}
	all := slices.Clone(stored)
	for _, v := range b.results {
		if v.waits {
			all = append(all, b.deferredRow(v))
		}
	}
	if len(all) == 0 {
		return nil
	}
	failed, holderRows, err := w.holderRows(ctx, b, all)
	if err != nil {
		return err
	}
	good := settle(all, holderRows, failed)
	w.countDeferred(b, all, int64(len(stored)), good)
	return nil
}

// settle tells which deferred rows can go in. holderRows are the rows about the users
// who have their addresses, 0 for none, and failed those of them that fail.
func settle(all []storage.DeferredRow, holderRows []int64, failed map[int64]bool) (good map[int64]bool) {
	good = map[int64]bool{}
	wantedBy := map[int64]int64{} // the row that wants the address of a row's user
	var out []int64               // who does not get an address, and those who wanted theirs
	for k, r := range all {
		row := holderRows[k]
		good[r.Row], wantedBy[row] = true, r.Row
		if row == 0 || failed[row] {
			out = append(out, r.Row)
		}
	}
	for len(out) > 0 {
		row := out[0]
		good[row], out = false, out[1:]
		if next, wanted := wantedBy[row]; wanted {
			out = append(out, next)
		}
	}
	return good
}

// holderRows finds for each deferred row the one that is about the user who has
// its address, 0 for none, and which of those fail.
func (w *importRun) holderRows(ctx context.Context, b *checkedBatch, all []storage.DeferredRow) (failed map[int64]bool, rows []int64, err error) {
	for _, r := range all {
		rows = append(rows, b.keys.Row(r.HolderKey))
	}
	if failed, err = w.importer.store.FailedAmong(ctx, w.claim.Import.ID, rows); err != nil {
		return nil, nil, err
	}
	for _, v := range b.results {
		if len(v.rowError.Problems) > 0 {
			failed[v.rowError.Row] = true
		}
	}
	return failed, rows, nil
}

// countDeferred adds the deferred rows to the batch: of this batch, those that
// cannot go in fail like any other row.
func (w *importRun) countDeferred(b *checkedBatch, all []storage.DeferredRow, stored int64, good map[int64]bool) {
	for k, r := range all {
		switch {
		case good[r.Row]:
			b.countKept(&r.Plan)
			b.count(r.Row, r.Role, &r.Plan)
		case int64(k) < stored:
			b.Undeferred = append(b.Undeferred, r.Row)
			b.RowErrors = append(b.RowErrors, roster.RowError{Row: r.Row, Line: r.Line, Email: r.Email,
				Problems: []roster.Problem{roster.OtherExternalID(r.Email)}})
		}
	}
	for i := range b.results {
		if v := &b.results[i]; v.waits && !good[v.rowError.Row] {
			v.waits, v.rowError.Problems = false, []roster.Problem{roster.OtherExternalID(v.person.Email)}
		}
	}
}
