package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"rollcall/jobs/importer"
	"rollcall/roster"
	"rollcall/storage"
)

// editColumns are the columns of the files that the model edits.
var editColumns = []roster.Column{roster.ColumnExternalID, roster.ColumnEmail, roster.ColumnName, roster.ColumnRole, roster.ColumnDepartment}

// verdicts is all that a preview says about an import.
type verdicts struct {
	Status             roster.Status
	Valid, Failed      int64
	Admins             int64
	Plan               roster.Plan
	DepartmentsCleared int64
	Limit              int64
	Kept, MissingKept  int64 // rows in warnings
	Errors             []string
	Actions            map[roster.Action][]int64
	Gained, Lost       []int64
	Deferred           []string
	Missing            []string
}

func (h *testEnv) verdicts(id uuid.UUID) verdicts {
	h.Helper()
	ctx := h.Context()
	i := h.read(id)
	v := verdicts{Status: i.Status, Valid: i.Valid, Failed: i.Counts.Failed, Admins: i.Admins, Plan: i.Plan, DepartmentsCleared: i.DepartmentsCleared,
		Kept: roster.RolesKept(i.Warnings), Actions: map[roster.Action][]int64{}}
	if i.DisableLimit != nil {
		v.Limit = *i.DisableLimit
	}
	for _, w := range i.Warnings {
		if w.Code == roster.WarnMissingKept {
			v.MissingKept = w.Rows
		}
	}
	rowErrors, err := h.store.RowErrors(ctx, id, 0, 1000)
	for _, r := range rowErrors {
		text := fmt.Sprint(r.Row)
		for _, p := range r.Problems {
			text += fmt.Sprintf(" %s:%s:%s:%s", p.Field, p.Code, p.Value, p.Message)
		}
		v.Errors = append(v.Errors, text)
	}
	for _, action := range []roster.Action{roster.ActionCreate, roster.ActionUpdate, roster.ActionUnchanged} {
		rows, actionErr := h.store.ActionRows(ctx, id, action, 0, 1000)
		err = errors.Join(err, actionErr)
		v.Actions[action] = append([]int64{}, rows...)
	}
	gained, lost, adminErr := h.store.AdminRows(ctx, id)
	v.Gained, v.Lost = append([]int64{}, gained...), append([]int64{}, lost...)
	deferred, deferredErr := h.store.DeferredRows(ctx, id)
	for _, d := range deferred {
		v.Deferred = append(v.Deferred, fmt.Sprint(d.Row, " ", d.HolderKey, " ", d.Email, " ", d.Plan.Action))
	}
	missing, missingErr := h.store.MissingUsers(ctx, id, 0, 1000)
	for _, m := range missing {
		v.Missing = append(v.Missing, m.User.Email)
	}
	slices.Sort(v.Missing)
	if err := errors.Join(err, adminErr, deferredErr, missingErr); err != nil {
		h.Fatal(err)
	}
	return v
}

func editedFile(rows [][]string) string {
	var file strings.Builder
	file.WriteString("external_id,email,name,role,department\n")
	for _, row := range rows {
		file.WriteString(strings.Join(row, ",") + "\n")
	}
	return file.String()
}

// TestRowEditModel edits random files at random and compares everything that the
// preview says with a check of the file that has these cells. In the end the edited
// import is confirmed, and does what was previewed.
func TestRowEditModel(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ctx := context.WithoutCancel(t.Context())
	random := rand.New(rand.NewPCG(7, 16))
	editor := importer.NewRowEditor(h.store, importer.Config{})
	cell := func(column roster.Column) string {
		pick := func(values ...string) string { return values[random.IntN(len(values))] }
		switch column {
		case roster.ColumnExternalID:
			return pick("", "", "1", "2", "3", "4", "5")
		case roster.ColumnEmail:
			return pick("a", "b", "c", "d", "e", "f", "g") + pick("@example.com", "@example.com", "@example.com", "@Example.COM", "")
		case roster.ColumnName:
			return pick("N", "N", "N", "M", "")
		case roster.ColumnRole:
			return pick("user", "", "", "admin", "boss")
		}
		return pick("", "Sales", "Ops")
	}
	variants := []roster.Options{
		{OnDuplicate: roster.SkipDuplicates, DryRun: true},
		{OnDuplicate: roster.UpdateDuplicates, DryRun: true, Blank: roster.BlankClear},
		{OnDuplicate: roster.UpdateDuplicates, DryRun: true, Missing: roster.MissingDisable, MaxDisable: "1"},
	}
	for round := range 12 {
		h.empty()
		im := h.importer(importer.Config{BatchRows: 1 + random.IntN(4)})
		options := variants[round%len(variants)]
		var seed [][]string
		for k, letter := range []string{"a", "b", "c", "d", "e"} {
			key := ""
			if random.IntN(3) > 0 {
				key = fmt.Sprint(k + 1)
			}
			seed = append(seed, []string{key, letter + "@example.com", "N", cell(roster.ColumnRole), cell(roster.ColumnDepartment)})
		}
		h.run(im, h.upload(editedFile(seed), roster.Options{OnDuplicate: roster.UpdateDuplicates}).ID)
		var file, rows [][]string
		for range 1 + random.IntN(8) {
			var row []string
			for _, column := range editColumns {
				row = append(row, cell(column))
			}
			file, rows = append(file, row), append(rows, slices.Clone(row))
		}
		i := h.run(im, h.upload(editedFile(file), options).ID)
		if i.Status == roster.Failed { // an empty roster
			continue
		}
		var log []string
		for range 6 {
			before := cloneRows(rows)
			changes := map[int64]importer.CellChanges{}
			for range 1 + random.IntN(2) {
				k := random.IntN(len(rows))
				row, column := int64(k+2), random.IntN(len(editColumns))
				value := cell(editColumns[column])
				cells := changes[row]
				if cells == nil {
					cells = importer.CellChanges{}
					changes[row] = cells
				}
				if cells[editColumns[column]] = &value; random.IntN(5) == 0 {
					cells[editColumns[column]], value = nil, file[k][column]
				}
				rows[k][column] = value
				log = append(log, fmt.Sprintf("row %d %s=%q", row, editColumns[column], value))
			}
			_, err := editor.Edit(ctx, i.ID, changes, tester)
			fresh := h.run(im, h.upload(editedFile(rows), options).ID)
			if fresh.Status == roster.Failed {
				if !errors.Is(err, storage.ErrNoValidRow) {
					t.Fatalf("round %d: the file fails with %s, the edit with %v", round, fresh.Failure.Code, err)
				}
				rows = before
				continue
			}
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if got, want := h.verdicts(i.ID), h.verdicts(fresh.ID); !reflect.DeepEqual(got, want) {
				t.Fatalf("round %d, %+v\nusers\n%sfile\n%sthen %s:\n got %+v\nwant %+v", round, options, editedFile(seed), editedFile(file), strings.Join(log, "; "), got, want)
			}
		}
		h.confirmAsPreviewed(im, i.ID)
	}
}

func cloneRows(rows [][]string) (cloned [][]string) {
	for _, row := range rows {
		cloned = append(cloned, slices.Clone(row))
	}
	return cloned
}

// confirmAsPreviewed confirms an import and compares what it does with its plan.
func (h *testEnv) confirmAsPreviewed(im *importer.Importer, id uuid.UUID) {
	h.Helper()
	i := h.read(id)
	plan, failed := i.Plan, i.Counts.Failed
	if _, err := h.store.ConfirmImport(h.Context(), id, storage.Approval{AllowDisable: &plan.Disable, Admin: true}, tester); err != nil {
		h.Fatal(err)
	}
	done := h.run(im, id)
	got := roster.Plan{Create: done.Imported, Update: done.Updated, Unchanged: done.Unchanged, Disable: done.Disabled, AdminsGained: plan.AdminsGained, AdminsLost: plan.AdminsLost}
	if done.Status != roster.Completed || got != plan || done.Counts.Failed != failed {
		h.Fatalf("previewed %+v and %d failed, done %+v and %d failed", plan, failed, got, done.Counts.Failed)
	}
}

// TestEditHeldImport: an import that was no dry run, and is held, has its rows found by
// what they are known by as well.
func TestEditHeldImport(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	im := h.importer(importer.Config{BatchRows: 2})
	editor := importer.NewRowEditor(h.store, importer.Config{})
	var all, kept []string
	for n := range 40 {
		all = append(all, fmt.Sprintf("%d=p%d", n, n))
	}
	kept = append(all[:10:10], all[20:]...)
	h.run(im, h.upload(keyed(all...), full).ID)
	options := full
	options.MaxDisable = "9"
	i := h.run(im, h.upload(keyed(kept...), options).ID)
	if i.Status != roster.Held || i.Plan.Disable != 10 {
		t.Fatalf("%s, %d to be disabled", i.Status, i.Plan.Disable)
	}
	for _, step := range []struct {
		row    int64
		email  string
		tied   []int64
		failed int64
	}{
		{3, "p39@example.com", []int64{31}, 2}, // neither gets the address of user 39
		{3, "p1@example.com", []int64{31}, 0},
	} {
		tied, err := editor.Edit(t.Context(), i.ID, map[int64]importer.CellChanges{step.row: {roster.ColumnEmail: &step.email}}, tester)
		if now := h.read(i.ID); err != nil || !slices.Equal(tied, step.tied) || now.Counts.Failed != step.failed || now.Status != roster.Held {
			t.Errorf("%s in row %d: tied %v, %d failed, %s, error %v", step.email, step.row, tied, now.Counts.Failed, now.Status, err)
		}
	}
}

// TestEditFullRoster: edits hold and free a dry run as its check would, find everyone
// once the last row is fixed that might be about anyone, and never leave a roster
// without a valid row.
func TestEditFullRoster(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	im := h.importer(importer.Config{})
	editor := importer.NewRowEditor(h.store, importer.Config{})
	h.run(im, h.upload(keyed("1=a", "2=b", "3=c", "4=d"), full).ID)
	options := full
	options.DryRun, options.MaxDisable = true, "2"
	i := h.run(im, h.upload("external_id,email,name\n1,a@example.com,N\n,oops,N\n", options).ID)
	for _, step := range []struct {
		row     int64
		column  roster.Column
		value   string
		status  roster.Status
		disable int64
	}{
		{2, roster.ColumnName, "M", roster.Ready, 0}, // row 3 might be about anyone
		{3, roster.ColumnEmail, "x@example.com", roster.Held, 3},
		{3, roster.ColumnEmail, "B@example.com", roster.Ready, 2},
		{3, roster.ColumnEmail, "b@example", roster.Ready, 0},
		{3, roster.ColumnExternalID, "4", roster.Ready, 2}, // fails, and is about d
		{3, roster.ColumnEmail, "d@example.com", roster.Ready, 2},
		{2, roster.ColumnExternalID, "7", roster.Ready, 2}, // fails, and is about a
	} {
		cells := importer.CellChanges{step.column: &step.value}
		if _, err := editor.Edit(t.Context(), i.ID, map[int64]importer.CellChanges{step.row: cells}, tester); err != nil {
			t.Fatal(err)
		}
		if now := h.read(i.ID); now.Status != step.status || now.Plan.Disable != step.disable {
			t.Errorf("row %d, %s %s: %s, %d to be disabled; want %s, %d", step.row, step.column, step.value, now.Status, now.Plan.Disable, step.status, step.disable)
		}
	}
	before := h.verdicts(i.ID)
	blank := ""
	if _, err := editor.Edit(t.Context(), i.ID, map[int64]importer.CellChanges{3: {roster.ColumnName: &blank}}, tester); !errors.Is(err, storage.ErrNoValidRow) {
		t.Errorf("the last valid row: %v", err)
	}
	if after := h.verdicts(i.ID); !reflect.DeepEqual(before, after) {
		t.Errorf("a refused edit has changed %+v to %+v", before, after)
	}
}
