package report_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
)

// pages reads all rows, page by page, and checks that the pages are full.
func (o *testEnv) pages(id uuid.UUID, limit int, onlyErrors bool) (all []report.Row) {
	o.Helper()
	for after := int64(0); ; {
		rows, next, err := o.Rows(o.Context(), id, after, limit, onlyErrors)
		o.must(err)
		all = append(all, rows...)
		if next == 0 {
			return all
		}
		if len(rows) != limit || next != rows[limit-1].Row {
			o.Fatalf("%d rows up to %d behind row %d, and next %d", len(rows), rows[len(rows)-1].Row, after, next)
		}
		after = next
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	o := newTestEnv(t)
	o.run("email,name\ncy@example.com,Cy\n", roster.Options{})
	type values = map[roster.Column]string
	const file = "name,Phone,email,role\n Ada ,=1, ada@example.com ,\n\n,2,bob@example.com,Boss\nCy,'=3,CY@example.com,ADMIN\nDee,4\n"
	id := o.run(file, roster.Options{DryRun: true, OnDuplicate: roster.UpdateDuplicates})
	bob := []roster.Problem{
		{Field: roster.ColumnName, Code: roster.MissingRequiredField, Message: "The name is empty."},
		{Field: roster.ColumnRole, Code: roster.InvalidRole, Value: "Boss", Message: "The role must be user or admin."},
	}
	dee := []roster.Problem{{Code: roster.MalformedRow, Message: `The row has 2 cells; the header has 4: "email", "role" are missing.`}}
	want := []report.Row{
		{Row: 2, Line: 2, Values: values{"email": "ada@example.com", "name": "Ada", "role": "user"},
			Cells: []string{" Ada ", "=1", " ada@example.com ", ""}, Verdict: report.Import, Action: roster.ActionCreate},
		{Row: 4, Line: 4, Values: values{"email": "bob@example.com", "name": "", "role": "Boss"},
			Cells: []string{"", "2", "bob@example.com", "Boss"}, Verdict: report.Fail, Action: roster.ActionFail, RoleGiven: true, Problems: bob},
		{Row: 5, Line: 5, Values: values{"email": "CY@example.com", "name": "Cy", "role": "admin"},
			Cells: []string{"Cy", "'=3", "CY@example.com", "ADMIN"}, Verdict: report.Update, Action: roster.ActionUpdate, RoleGiven: true,
			Changes: map[roster.Column]roster.FieldChange{roster.ColumnRole: {From: "user", To: "admin"}}},
		{Row: 6, Line: 6, Values: values{"email": "", "name": "", "role": ""},
			Cells: []string{"Dee", "4"}, Verdict: report.Fail, Action: roster.ActionFail, Problems: dee},
	}
	for limit := 1; limit <= 5; limit++ {
		if diff := cmp.Diff(want, o.pages(id, limit, false)); diff != "" {
			t.Errorf("pages of %d:\n%s", limit, diff)
		}
		if diff := cmp.Diff([]report.Row{want[1], want[3]}, o.pages(id, limit, true)); diff != "" {
			t.Errorf("errors, pages of %d:\n%s", limit, diff)
		}
	}
	if rows, next, err := o.Rows(t.Context(), id, 6, 3, false); len(rows) != 0 || next != 0 || err != nil {
		t.Errorf("behind the end: %v, %d, %v", rows, next, err)
	}
}

// TestRowsVerdict shows the verdict on an address that already exists, before
// and after the import.
func TestRowsVerdict(t *testing.T) {
	t.Parallel()
	o := newTestEnv(t)
	const file = "email,name\nada@example.com,Ada\nbob@example.com,Bob\n"
	o.run("email,name\nada@example.com,Old\n", roster.Options{})
	verdicts := func(id uuid.UUID) (all string) {
		for _, row := range o.pages(id, 10, false) {
			all += string(row.Verdict) + ":" + string(row.Action) + " "
			if from := row.Changes[roster.ColumnName].From; from != "" {
				all += "(" + from + ") "
			}
		}
		return all
	}
	update := roster.Options{DryRun: true, OnDuplicate: roster.UpdateDuplicates}
	id := o.run(file, update)
	if got := verdicts(id); got != "update:update (Old) import:create " {
		t.Errorf("dry run: %s", got)
	}
	if _, err := o.store.ConfirmImport(t.Context(), id, storage.Approval{}, entry); err != nil {
		t.Fatal(err)
	}
	c := o.claim(id)
	if got := verdicts(id); got != "update:update (Old) import:create " {
		t.Errorf("confirmed: %s", got)
	}
	o.applySome(c, -1)
	if got := verdicts(id); got != "update:update import:create " {
		t.Errorf("completed: %s", got)
	}
	if got := verdicts(o.run(file, update)); got != "update:unchanged update:unchanged " {
		t.Errorf("the same again: %s", got)
	}
	if got := verdicts(o.run("x,y\n1,2\n", update)); got != "" {
		t.Errorf("a failed import: %s", got)
	}
}

// TestRowsUnchecked shows the rows of an import canceled before they were
// validated: with the problems of each row alone.
func TestRowsUnchecked(t *testing.T) {
	t.Parallel()
	o := newTestEnv(t)
	id := o.receive("email,name\nada@example.com,Ada\nbob@example.com,\n", roster.Options{})
	o.must(o.store.CancelImport(t.Context(), id, entry))
	rows := o.pages(id, 10, false)
	if len(rows) != 2 || rows[0].Verdict != report.Import || rows[1].Verdict != report.Fail || len(rows[1].Problems) != 1 {
		t.Errorf("%+v", rows)
	}
}

// TestRowsFromOffsets shows that a page read from a mark equals the one read from
// the start, in encodings with and without resume points, and that the rows
// between the start and the mark are not read.
func TestRowsFromOffsets(t *testing.T) {
	t.Parallel()
	const count = 24_000
	var file strings.Builder
	file.WriteString("email,name,note\n")
	for i := range count {
		switch {
		case i%50 == 0:
			file.WriteString("\n")
		case i%997 == 1:
			fmt.Fprintf(&file, "u%d@example.com,,\"two\nlines\"\n", i)
		default:
			fmt.Fprintf(&file, "u%d@example.com,Ü %d,%s\n", i, i, strings.Repeat("·", 40))
		}
	}
	for _, encoding := range []string{"utf-8", "utf-16le", "iso-2022-jp"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			o := newTestEnv(t)
			o.batch = 2000
			text := file.String()
			if encoding == "iso-2022-jp" { // has neither sign
				text = strings.NewReplacer("Ü", "山", "·", "・").Replace(text)
			}
			id := o.run(encoded(t, encoding, text), roster.Options{Encoding: encoding, DryRun: true})
			all := o.pages(id, 4000, false)
			if len(all) != count-count/50 {
				t.Fatalf("%d rows", len(all))
			}
			var failed []report.Row
			for _, row := range all {
				if row.Verdict == report.Fail {
					failed = append(failed, row)
				}
			}
			if want := count/997 + 1; len(failed) < want-2 || len(failed) > want {
				t.Fatalf("%d rows that failed, want %d but for blank ones", len(failed), want)
			}
			for _, limit := range []int{3, 1000} {
				if diff := cmp.Diff(failed, o.pages(id, limit, true)); diff != "" {
					t.Errorf("errors, pages of %d:\n%s", limit, diff)
				}
			}
			for from := 0; from < len(all); from += 1999 {
				want := all[from+1 : min(from+4, len(all))]
				got, _, err := o.Rows(t.Context(), id, all[from].Row, 3, false)
				o.must(err)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("behind row %d:\n%s", all[from].Row, diff)
				}
			}
			if encoding == "iso-2022-jp" {
				return // can only be decoded from the start
			}
			o.sql(`DELETE FROM import_chunks WHERE import_id = $1 AND seq = 1`, id)
			if _, _, err := o.Rows(t.Context(), id, all[len(all)-4].Row, 3, false); err != nil {
				t.Errorf("the last page reads the middle of the file: %v", err)
			}
			if _, _, err := o.Rows(t.Context(), id, all[len(all)/2].Row, 1000, false); err == nil {
				t.Error("the middle of the file is still there")
			}
		})
	}
}
