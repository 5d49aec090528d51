package jobs_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/jobs/importer"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
)

// TestPreviewOfAdministrators: what a dry run says about the administrators in its
// file is what the import then does: whose role stays, whose address or key may
// not be changed, and that the caller and the last one are no updates.
func TestPreviewOfAdministrators(t *testing.T) {
	t.Parallel()
	const keyed = "external_id,email,name,role\n1,boss@example.com,Boss,admin\n2,ann@example.com,Ann,user\n"
	h := newTestEnv(t)
	for name, c := range map[string]struct {
		scopes  []string // nil: the user ann, who is made an administrator
		file    string
		actions string
		kept    int64
	}{
		"a role, without the right": {[]string{"imports"}, "external_id,email,name,role\n1,boss@example.com,Boss,user\n", "unchanged", 1},
		"a name":                    {[]string{"imports"}, "external_id,email,name,role\n1,boss@example.com,New Name,user\n", "update", 1},
		"an address":                {[]string{"imports"}, "external_id,email,name\n1,me@elsewhere.example,Boss\n2,ann2@example.com,Ann\n", "fail update", 0},
		"a key":                     {[]string{"imports"}, "external_id,email,name\n9,hand@example.com,Hand\n", "fail", 0},
		"a status":                  {[]string{"imports"}, "email,name,status\nboss@example.com,Boss,disabled\n", "unchanged", 1},
		"an address, with it":       {[]string{"admin"}, "external_id,email,name\n1,boss2@example.com,Boss\n", "update", 0},
		"a key, with it":            {[]string{"admin"}, "external_id,email,name\n9,hand@example.com,Hand\n", "update", 0},
		"a role, with it":           {[]string{"admin"}, "email,name,role\nboss@example.com,Boss,user\n", "update", 0},
		"all, with it":              {[]string{"admin"}, "email,name,role\nboss@example.com,Boss,user\nhand@example.com,Hand,user\n", "update unchanged", 1},
		"all, one promoted":         {[]string{"admin"}, "email,name,role\nann@example.com,Ann,admin\nboss@example.com,Boss,user\nhand@example.com,Hand,user\n", "update update update", 0},
		"the caller's own":          {nil, "email,name,role\nann@example.com,Ann,user\nboss@example.com,Boss,user\n", "unchanged update", 1},
	} {
		t.Run(name, func(t *testing.T) {
			h.empty()
			im := h.importer(importer.Config{})
			h.run(im, h.upload(keyed, roster.Options{}).ID)
			h.execute(`UPDATE users SET status = 'active', password_hash = 'hash'`)
			h.addAdmin("hand@example.com")
			h.execute(`UPDATE users SET name = 'Hand' WHERE email = 'hand@example.com'`)
			by := roster.Actor{Kind: roster.ActorUser}
			if c.scopes != nil {
				by = h.addToken(c.scopes...)
			} else if err := h.store.DB().QueryRowContext(t.Context(), `UPDATE users SET role = 'admin' WHERE email = 'ann@example.com' RETURNING id`).Scan(&by.ID); err != nil {
				t.Fatal(err)
			}
			dry := h.run(im, h.uploadBy(by, c.file, roster.Options{OnDuplicate: roster.UpdateDuplicates, DryRun: true}).ID)
			rows, _, err := report.New(h.store).Rows(t.Context(), dry.ID, 0, 10, false)
			if err != nil {
				t.Fatal(err)
			}
			var actions string
			for _, r := range rows {
				actions += " " + string(r.Action)
				if _, tells := r.Changes[roster.ColumnRole]; tells && r.Action == roster.ActionUnchanged {
					t.Errorf("row %d: %+v", r.Row, r)
				}
			}
			if actions != " "+c.actions || roster.RolesKept(dry.Warnings) != c.kept {
				t.Errorf("the preview says%s, %d roles kept, want %s, %d", actions, roster.RolesKept(dry.Warnings), c.actions, c.kept)
			}
			real := h.run(im, h.uploadBy(by, c.file, roster.Options{OnDuplicate: roster.UpdateDuplicates}).ID)
			planned := fmt.Sprint(dry.Plan.Update, dry.Plan.Unchanged, dry.Counts.Failed, roster.RolesKept(dry.Warnings))
			if done := fmt.Sprint(real.Updated, real.Unchanged, real.Counts.Failed, roster.RolesKept(real.Warnings)); done != planned || real.Status != roster.Completed {
				t.Errorf("planned %s, done %s (%s)", planned, done, real.Status)
			}
			if diff := cmp.Diff(dry.Plan, real.Plan); diff != "" || slices.ContainsFunc(real.Warnings, func(w roster.Warning) bool { return w.Message == "" }) {
				t.Errorf("%s %+v", diff, real.Warnings)
			}
		})
	}
}

func (h *testEnv) execute(statement string) {
	h.Helper()
	if _, err := h.store.DB().ExecContext(h.Context(), statement); err != nil {
		h.Fatal(err)
	}
}

// TestConfirmedRolesAreCountedOnce: what the preview said of kept roles is not
// added to what the import keeps.
func TestConfirmedRolesAreCountedOnce(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.addAdmin("boss@example.com")
	h.addAdmin("other@example.com")
	by, im := h.addToken("imports"), h.importer(importer.Config{BatchRows: 1})
	const file = "email,name,role\na@example.com,A,user\nboss@example.com,B,user\nother@example.com,C,user\n"
	dry := h.run(im, h.uploadBy(by, file, roster.Options{OnDuplicate: roster.UpdateDuplicates, DryRun: true}).ID)
	if n := roster.RolesKept(dry.Warnings); n != 2 {
		t.Errorf("%d roles kept in the preview", n)
	}
	if _, err := h.store.ConfirmImport(t.Context(), dry.ID, storage.Approval{}, tester); err != nil {
		t.Fatal(err)
	}
	if done := h.run(im, dry.ID); roster.RolesKept(done.Warnings) != 2 || done.Status != roster.Completed {
		t.Errorf("%s, %+v", done.Status, done.Warnings)
	}
}
