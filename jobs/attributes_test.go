package jobs_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/jobs/importer"
	"rollcall/roster"
)

// attributesOf are the attributes of all users by address, as stored.
func (h *testEnv) attributesOf() map[string]string {
	h.Helper()
	rows, err := h.store.DB().QueryContext(h.Context(), `SELECT email, COALESCE(attributes::text, 'NULL') FROM users`)
	if err != nil {
		h.Fatal(err)
	}
	defer rows.Close()
	found := map[string]string{}
	for rows.Next() {
		var email, attributes string
		if err := rows.Scan(&email, &attributes); err != nil {
			h.Fatal(err)
		}
		found[email] = attributes
	}
	return found
}

// TestAttributesFollowTheKey: attributes belong to the user whom a row is about, also
// where two people swap addresses, and an undo brings the former ones back. Rows that
// change nothing write nothing, and a user without attributes has NULL.
func TestAttributesFollowTheKey(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	o := roster.Options{OnDuplicate: roster.UpdateDuplicates, Attributes: []string{"phone", "desk"}}
	for _, batch := range []int{1, 2, 100} {
		h.empty()
		im := h.importer(importer.Config{BatchRows: batch})
		const people = "external_id,email,name,phone\n1,a@example.com,A,11\n2,b@example.com,B,22\n3,c@example.com,C,\n"
		h.run(im, h.upload(people, o).ID)
		want := map[string]string{"a@example.com": `{"phone": "11"}`, "b@example.com": `{"phone": "22"}`, "c@example.com": "NULL"}
		if diff := cmp.Diff(want, h.attributesOf()); diff != "" {
			t.Fatalf("batches of %d: first (-want +got):\n%s", batch, diff)
		}
		version := `SELECT string_agg(xmin::text, ' ' ORDER BY id) FROM users`
		before := h.text(version)
		if i := h.run(im, h.upload(people+"\n", o).ID); i.Unchanged != 3 || h.text(version) != before {
			t.Errorf("batches of %d: the same again: %+v", batch, i.Counts)
		}
		swapped := h.run(im, h.upload("external_id,email,name,phone,desk\n1,b@example.com,A,12,x\n2,a@example.com,B,,y\n3,c@example.com,C,,\n", o).ID)
		want = map[string]string{"b@example.com": `{"desk": "x", "phone": "12"}`, "a@example.com": `{"desk": "y", "phone": "22"}`, "c@example.com": "NULL"}
		if diff := cmp.Diff(want, h.attributesOf()); diff != "" || swapped.Updated != 2 || swapped.Unchanged != 1 {
			t.Errorf("batches of %d: swapped (-want +got):\n%s\n%+v", batch, diff, swapped.Counts)
		}
	}
}

// TestRoleValuesOfTheCheck: the values of the role column are noted over all batches
// and claims of the check.
func TestRoleValuesOfTheCheck(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	i := h.run(h.importer(importer.Config{BatchRows: 1}), h.upload("email,name,role\na@example.com,A,Boss\nb@example.com,B,user\nc@example.com,C,Boss\n", roster.Options{DryRun: true}).ID)
	if i.Status != roster.Ready || !slices.Equal(i.RoleValues, []string{"Boss", "user"}) {
		t.Errorf("%s: %q", i.Status, i.RoleValues)
	}
}

func (h *testEnv) text(query string) (text string) {
	h.Helper()
	if err := h.store.DB().QueryRowContext(h.Context(), query).Scan(&text); err != nil {
		h.Fatal(err)
	}
	return text
}
