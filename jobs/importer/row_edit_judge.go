package importer

import (
	"context"
	"reflect"
	"slices"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/userfile"
)

// judge judges the tied rows as the check would judge a file that has no others, and
// works out by how much that changes the counts of the import.
func (t *editRun) judge(ctx context.Context) error {
	numbers := t.inOrder()
	before, err := t.plansBefore(ctx, numbers)
	if err != nil {
		return err
	}
	t.run.adminsChange = -int(t.of.Import.Plan.AdminsLost - before.Plan.AdminsLost)
	b := t.batch(numbers)
	for _, row := range numbers {
		r := t.rows[row]
		own := slices.Clone(t.ownProblems(r))
		v := rowResult{person: r.person, key: r.person.EmailKey, rowError: roster.RowError{Row: row, Line: r.line, Email: r.person.Email, Problems: own}}
		if len(own) > 0 && own[0].Field == "" { // its cells are not to be trusted
			v.key = ""
		}
		b.results = append(b.results, v)
	}
	b.compare()
	if err := t.run.lookUp(ctx, b); err != nil {
		return err
	}
	t.settle(b)
	now := t.count(b)
	t.compareVerdicts(b)
	s := &t.saved
	s.Rows, s.RowErrors, s.Actions, s.Deferred = numbers, b.RowErrors, b.Actions, b.Deferred
	s.Valid, s.Admins = now.Valid-before.Valid, now.Admins-before.Admins
	s.Plan = roster.Plan{
		Create: now.Plan.Create - before.Plan.Create, Update: now.Plan.Update - before.Plan.Update, Unchanged: now.Plan.Unchanged - before.Plan.Unchanged,
		AdminsGained: now.Plan.AdminsGained - before.Plan.AdminsGained, AdminsLost: now.Plan.AdminsLost - before.Plan.AdminsLost,
	}
	s.DepartmentsCleared = now.DepartmentsCleared - before.DepartmentsCleared
	s.AdminRows, s.AdminLostRows = now.AdminRows, now.AdminLostRows
	if kept := now.kept - before.kept; kept != 0 {
		s.Warnings = roster.WithRolesKept(t.of.Import.Warnings, max(roster.RolesKept(t.of.Import.Warnings)+kept, 0))
	}
	return nil
}

// batch is a batch without rows.
func (t *editRun) batch(numbers []int64) *checkedBatch {
	b := &checkedBatch{
		importID: t.of.Import.ID, matching: storage.MatchingOf(t.of.Import, t.hasColumn), results: make([]rowResult, 0, len(numbers)),
		seen: userfile.NewEmailSet(), keys: userfile.NewEmailSet(), keyless: userfile.NewEmailSet(), failed: newFailedUsers(),
	}
	b.matching.KeepAdmins = t.checker.keepAdmins
	b.Actions = storage.ActionRows{}
	return b
}

// plansBefore counts what the tied rows add to the counts of the import as it is. Which
// of them are valid and what they do is stored; whose role they change is looked up,
// and is as it was in the check unless users have changed since.
func (t *editRun) plansBefore(ctx context.Context, numbers []int64) (*checkedBatch, error) {
	b := t.batch(numbers)
	var rows []storage.UserRow
	for _, row := range numbers {
		r := t.rows[row]
		if was := t.before[row]; was != nil {
			r = was
		}
		if t.verdicts[row].Error == nil {
			rows = append(rows, storage.UserRow{Row: row, Line: r.line, UserFields: r.person})
		}
	}
	plans := make([]*storage.RowPlan, len(rows))
	for k, r := range rows {
		plans[k] = creation(r.Role)
	}
	if len(rows) > 0 && (t.of.Import.Options.OnDuplicate == roster.UpdateDuplicates || b.matching.HasExternalID) {
		ctx, cancel := t.run.importer.txContext(ctx)
		defer cancel()
		var err error
		if plans, err = t.run.importer.store.PlanRows(ctx, b.matching, rows, true); err != nil {
			return nil, err
		}
	}
	for k, r := range rows {
		plan := *plans[k]
		if action := t.verdicts[r.Row].Action; action != "" {
			plan.Action = action
		}
		b.countKept(&plan)
		b.count(r.Row, r.Role, &plan)
	}
	return b, nil
}

// settle decides about the rows that wait for others.
func (t *editRun) settle(b *checkedBatch) {
	var waiting []storage.DeferredRow
	var holders []int64
	failed := map[int64]bool{}
	for _, v := range b.results {
		if v.waits {
			waiting = append(waiting, b.deferredRow(v))
			holders = append(holders, b.keys.Row(v.plan.HolderKey))
		}
		failed[v.rowError.Row] = len(v.rowError.Problems) > 0
	}
	good := settle(waiting, holders, failed)
	for k := range b.results {
		if v := &b.results[k]; v.waits && !good[v.rowError.Row] {
			v.waits, v.rowError.Problems = false, []roster.Problem{roster.OtherExternalID(v.person.Email)}
		}
	}
}

// count counts the results of a batch, those that wait included.
func (t *editRun) count(b *checkedBatch) *checkedBatch {
	for _, v := range b.results {
		if len(v.rowError.Problems) > 0 {
			b.RowErrors = append(b.RowErrors, v.rowError)
			continue
		}
		if v.waits {
			b.Deferred = append(b.Deferred, b.deferredRow(v))
		}
		b.countKept(v.plan)
		b.count(v.rowError.Row, v.person.Role, v.plan)
	}
	return b
}

// compareVerdicts finds the tied rows, other than those edited, of which the verdict
// changes.
func (t *editRun) compareVerdicts(b *checkedBatch) {
	for _, v := range b.results {
		row, was := v.rowError.Row, t.verdicts[v.rowError.Row]
		same := was.Error == nil && len(v.rowError.Problems) == 0 && was.Action == v.plan.Action ||
			was.Error != nil && reflect.DeepEqual(was.Error.Problems, v.rowError.Problems)
		if !same && t.before[row] == nil {
			t.changed = append(t.changed, row)
		}
	}
}

func (t *editRun) tiedRows() []int64 { return t.changed }
