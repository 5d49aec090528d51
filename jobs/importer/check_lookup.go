package importer

import (
	"context"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/userfile"
)

// compare fails rows whose address appears in an earlier valid row.
func (b *checkedBatch) compare() {
	if b.hashRows {
		b.RowKeys, b.Keyed = make([]storage.RowKey, 0, 2*len(b.results)), b.Rows
	}
	for i := range b.results {
		v := &b.results[i]
		if b.hashRows {
			b.RowKeys = storage.AppendRowKeys(b.RowKeys, b.importID, v.person, v.rowError.Row)
		}
		if len(v.rowError.Problems) > 0 {
			b.failed.add(v.person, v.rowError.Row)
		}
		if v.key == "" {
			continue
		}
		var first, firstKey int64
		if len(v.rowError.Problems) == 0 {
			first, firstKey = remember(b.seen, b.keys, v.key, v.person.ExternalID, v.rowError.Row)
			if first == 0 && firstKey == 0 && v.person.ExternalID == "" && b.matching.HasExternalID {
				b.keyless.Add(v.key, v.rowError.Row)
			}
		} else {
			first, firstKey = b.seen.Row(v.key), keyRow(b.keys, v.person.ExternalID)
		}
		if firstKey != 0 {
			v.rowError.Problems = append(v.rowError.Problems, roster.ExternalIDInFile(v.person.ExternalID, firstKey))
		}
		if first != 0 {
			v.rowError.Problems = append(v.rowError.Problems, roster.DuplicateInFile(v.rowError.Email, first))
		}
		if first != 0 || firstKey != 0 {
			b.failed.add(v.person, v.rowError.Row)
			v.key = "" // one reason to call it a duplicate will do
		}
	}
}

// remember notes the address and key of a good row, unless an earlier one has
// either: first and firstKey are that row's number, else 0.
func remember(seen, keys *userfile.EmailSet, email, key string, row int64) (first, firstKey int64) {
	if firstKey = keyRow(keys, key); firstKey != 0 {
		return seen.Row(email), firstKey
	}
	if first = seen.Add(email, row); first == 0 && key != "" {
		keys.Add(key, row)
	}
	return first, 0
}

// keyRow is the good row that has a key, 0 for none.
func keyRow(keys *userfile.EmailSet, key string) int64 {
	if key == "" {
		return 0
	}
	return keys.Row(key)
}

// lookUp finds the users that the rows of a batch are about, all in one query.
func (w *importRun) lookUp(ctx context.Context, b *checkedBatch) error {
	if w.claim.Import.Options.OnDuplicate == roster.UpdateDuplicates {
		return w.planUpdates(ctx, b)
	}
	if b.matching.HasExternalID {
		return w.planUpdates(ctx, b)
	}
	if err := w.failTaken(ctx, b.results); err != nil {
		return err
	}
	for i := range b.results {
		b.results[i].plan = creation(b.results[i].person.Role)
	}
	return nil
}

var createUser, createAdmin = storage.RowPlan{Action: roster.ActionCreate, Role: roster.RoleUser}, storage.RowPlan{Action: roster.ActionCreate, Role: roster.RoleAdmin}

// creation is the plan of a row that creates a user with this role.
func creation(role roster.Role) *storage.RowPlan {
	if role == roster.RoleAdmin {
		return &createAdmin
	}
	return &createUser
}

// planUpdates finds out what the good rows will do.
func (w *importRun) planUpdates(ctx context.Context, b *checkedBatch) error {
	rows, at := make([]storage.UserRow, 0, len(b.results)), make([]int, 0, len(b.results))
	for i, v := range b.results {
		if len(v.rowError.Problems) == 0 {
			rows, at = append(rows, storage.UserRow{Row: v.rowError.Row, Line: v.rowError.Line, UserFields: v.person}), append(at, i)
		}
	}
	ctx, cancel := w.importer.txContext(ctx)
	defer cancel()
	b.matching.AdminsBefore = w.adminsChange
	plans, err := w.importer.store.PlanRows(ctx, b.matching, rows, false)
	if err != nil {
		return err
	}
	update := w.claim.Import.Options.OnDuplicate == roster.UpdateDuplicates
	for k, plan := range plans {
		v := &b.results[at[k]]
		v.plan = plan
		switch again := b.sameUser(v.person, plan, v.rowError.Row); {
		case again != nil && update:
			v.rowError.Problems = []roster.Problem{*again}
		case plan.Problem != nil && update && plan.HolderKey != "" && w.waiting < storage.MaxDeferredRows:
			v.waits = true
			w.waiting++
		case plan.Problem != nil:
			v.rowError.Problems = []roster.Problem{*plan.Problem}
		case !update && plan.Action != roster.ActionCreate:
			v.rowError.Problems = []roster.Problem{existsProblem(v.person, plan)}
		}
		if len(v.rowError.Problems) == 0 {
			w.adminsChange += plan.ActiveAdmins
		}
	}
	return nil
}

// sameUser is the problem of a row about a user whom an earlier row is about, too:
// one of the two has the user's key and another address, and the other only the
// address that the user has had so far. nil if there is none.
func (b *checkedBatch) sameUser(p roster.UserFields, plan *storage.RowPlan, row int64) *roster.Problem {
	field, value, first := roster.ColumnEmail, p.Email, int64(0)
	if p.ExternalID == "" {
		first = keyRow(b.keys, plan.OldKey)
	} else if plan.OldKey == p.ExternalID && plan.OldEmailKey != p.EmailKey {
		field, value, first = roster.ColumnExternalID, p.ExternalID, b.keyless.Row(plan.OldEmailKey)
	}
	if first == 0 || first >= row {
		return nil
	}
	problem := roster.UserInFile(field, value, first)
	return &problem
}

// existsProblem is the problem of a row that has a user, in an import that updates
// none: by its key if that is under another address.
func existsProblem(p roster.UserFields, plan *storage.RowPlan) roster.Problem {
	if _, moves := plan.Changes[roster.ColumnEmail]; moves {
		return roster.ExternalIDExists(p.ExternalID)
	}
	return roster.AlreadyExists(p.Email)
}

// failTaken fails rows whose address has a user already.
func (w *importRun) failTaken(ctx context.Context, results []rowResult) error {
	keys := make([]string, 0, len(results))
	for _, v := range results {
		if v.key != "" {
			keys = append(keys, v.key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	ctx, cancel := w.importer.txContext(ctx)
	defer cancel()
	taken, err := w.importer.store.TakenKeys(ctx, keys)
	if err != nil {
		return err
	}
	for i, v := range results {
		if v.key != "" && taken[v.key] {
			results[i].rowError.Problems = append(v.rowError.Problems, roster.AlreadyExists(v.rowError.Email))
		}
	}
	return nil
}
