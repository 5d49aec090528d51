package jobs_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/jobs/importer"
	"rollcall/report"
	"rollcall/roster"
)

// localesOf are the locales of all users, as stored.
func (h *testEnv) localesOf() string {
	h.Helper()
	return h.text(`SELECT string_agg(left(email, 1) || '=' || COALESCE(locale, 'NULL'), ' ' ORDER BY email) FROM users`)
}

// TestLocales: the column is stored in one form, a blank cell keeps or clears, a file
// without it changes nothing, what changes nothing is not written, and an undo brings
// the former ones back. The audit log and the rows of the preview say what changed.
func TestLocales(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	update := roster.Options{OnDuplicate: roster.UpdateDuplicates}
	for _, batch := range []int{1, 100} {
		h.empty()
		im := h.importer(importer.Config{BatchRows: batch})
		const people = "email,name,locale\na@example.com,A,de_ch\nb@example.com,B,\nc@example.com,C,PL\nd@example.com,D,Elvish\n"
		first := h.run(im, h.upload(people, roster.Options{}).ID)
		if got := h.localesOf(); got != "a=de-CH b=NULL c=pl" || first.Imported != 3 || first.Failed != 1 {
			t.Fatalf("batches of %d: %s, %+v", batch, got, first.Counts)
		}
		version := `SELECT string_agg(xmin::text, ' ' ORDER BY id) FROM users`
		before := h.text(version)
		for _, same := range []string{people, "email,name\na@example.com,A\nb@example.com,B\n", "email,name,locale\na@example.com,A,de-CH\nc@example.com,C,\n"} {
			if i := h.run(im, h.upload(same, update).ID); i.Updated != 0 || i.Unchanged < 2 || h.text(version) != before {
				t.Errorf("batches of %d: %q: %+v", batch, same, i.Counts)
			}
		}
		changed := h.run(im, h.upload("email,name,locale\na@example.com,A,\nb@example.com,B,fr\nc@example.com,C,it\n", update).ID)
		if got := h.localesOf(); got != "a=de-CH b=fr c=it" || changed.Updated != 2 {
			t.Errorf("batches of %d: %s, %+v", batch, got, changed.Counts)
		}
		if got := h.text(`SELECT string_agg((detail->'before'->>'locale') || '>' || (detail->'after'->>'locale'), ' ' ORDER BY detail->'after'->>'locale') FROM audit_log WHERE action = 'user.change' AND detail->>'import' = '` + changed.ID.String() + `'`); got != ">fr pl>it" {
			t.Errorf("audited %s", got)
		}
		clear := update
		clear.Blank = roster.BlankClear
		cleared := h.run(im, h.upload("email,name,locale\na@example.com,A,\nb@example.com,B,fr\n", clear).ID)
		if got := h.localesOf(); got != "a=NULL b=fr c=it" || cleared.Updated != 1 {
			t.Errorf("batches of %d: cleared: %s, %+v", batch, got, cleared.Counts)
		}
		h.undo(cleared.ID)
		if got := h.localesOf(); got != "a=de-CH b=fr c=it" {
			t.Errorf("batches of %d: undone: %s", batch, got)
		}
	}
}

// TestLocalesInPreview: a preview tells what the column changes, and what is wrong
// with it.
func TestLocalesInPreview(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	im := h.importer(importer.Config{})
	h.run(im, h.upload("email,name,locale\na@example.com,A,de\n", roster.Options{}).ID)
	i := h.run(im, h.upload("email,name,locale\na@example.com,A,nl\nb@example.com,B,Polski\n", roster.Options{DryRun: true, OnDuplicate: roster.UpdateDuplicates}).ID)
	rows, _, err := report.New(h.store).Rows(h.Context(), i.ID, 0, 10, false)
	if err != nil || len(rows) != 2 {
		t.Fatal(rows, err)
	}
	if diff := cmp.Diff(map[roster.Column]roster.FieldChange{roster.ColumnLocale: {From: "de", To: "nl"}}, rows[0].Changes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if p := rows[1].Problems; len(p) != 1 || p[0].Code != roster.InvalidLocale || p[0].Suggestion != "pl" || rows[1].Values[roster.ColumnLocale] != "Polski" {
		t.Errorf("%+v", rows[1])
	}
}

// TestLocalesOfSwappedUsers: rows that wait for others keep their locale.
func TestLocalesOfSwappedUsers(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	im := h.importer(importer.Config{BatchRows: 1})
	o := roster.Options{OnDuplicate: roster.UpdateDuplicates}
	file := "external_id,email,name,locale\n1,a@example.com,A,de\n2,b@example.com,B,fr\n"
	h.run(im, h.upload(file, o).ID)
	h.run(im, h.upload(strings.NewReplacer("a@", "b@", "b@", "a@", "de", "es").Replace(file), o).ID)
	if got := h.localesOf(); got != "a=fr b=es" {
		t.Error(got)
	}
}
