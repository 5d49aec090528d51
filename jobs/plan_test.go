package jobs_test

import (
	"testing"

	"rollcall/jobs/importer"
	"rollcall/roster"
	"rollcall/storage"
)

// TestPlan: what the check finds is what the import does.
func TestPlan(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	im := h.importer(importer.Config{BatchRows: 2})
	h.run(im, h.upload("email,name,role,department\nada@example.com,Ada,admin,Maths\nbea@example.com,Bea,,Law\ncy@example.com,Cy,,\n", roster.Options{}).ID)
	const file = "email,name,role,department\nada@example.com,Ada,user,\nbea@example.com,Bea,,\ncy@example.com,Cyrus,admin,\nbad,Bad,,\ndee@example.com,Dee,admin,\n"
	i := h.run(im, h.upload(file, roster.Options{OnDuplicate: roster.UpdateDuplicates, DryRun: true}).ID)
	want := roster.Plan{Create: 1, Update: 2, Unchanged: 1, AdminsGained: 2, AdminsLost: 1}
	if i.Status != roster.Ready || i.Plan != want || i.Valid != 4 {
		t.Errorf("%s: %+v, want %+v", i.Status, i.Plan, want)
	}
	if _, err := h.store.ConfirmImport(t.Context(), i.ID, storage.Approval{}, tester); err != nil {
		t.Fatal(err)
	}
	i = h.run(im, i.ID)
	if i.Imported != want.Create || i.Updated != want.Update || i.Unchanged != want.Unchanged || i.Counts.Failed != 1 {
		t.Errorf("%+v", i.Counts)
	}
	i = h.run(im, h.upload(file, roster.Options{OnDuplicate: roster.UpdateDuplicates}).ID)
	if i.Plan != (roster.Plan{Unchanged: 4}) || i.Unchanged != 4 || i.Updated != 0 || *i.Total != i.Processed {
		t.Errorf("the same again: %+v, %+v", i.Plan, i.Counts)
	}
}
