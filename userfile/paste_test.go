package userfile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rollcall/roster"
	"rollcall/userfile"
)

// pastedRows reads pasted text as an import does: a line for each row, with its number.
func pastedRows(t *testing.T, text string) []string {
	t.Helper()
	p := userfile.FromPaste(text)
	r, err := userfile.Open(strings.NewReader(string(p.File)), roster.Options{Mapping: p.Mapping})
	if err != nil {
		t.Fatalf("%v: %q", err, p.File)
	}
	var rows []string
	for {
		row, err := r.Next()
		if err != nil {
			return rows
		}
		told := fmt.Sprintf("%d %s/%s/%s/%s", row.Row, row.Person.Name, row.Person.Email, row.Person.Role, row.Person.Department)
		for _, p := range row.Problems {
			told += " " + string(p.Code)
		}
		rows = append(rows, told)
	}
}

func TestPaste(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text   string
		header string // that was added
		rows   []string
	}{
		"cells with a header": {"email\tname\tdepartment\r\nann@x.example\tAnn Lee\tIT\r\n\r\nbob@x.example\tBob Day\t", "",
			[]string{"2 Ann Lee/ann@x.example/user/IT", "4 Bob Day/bob@x.example/user/"}},
		"cells without a header": {"Ann Lee\tann@x.example\tadmin\tIT\nBob Day\tbob\tuser\t\n", "name,email,role,Column 4",
			[]string{"2 Ann Lee/ann@x.example/admin/", "3 Bob Day/bob/user/ invalid_email"}},
		"names in two columns": {"Ann\tLee\tann@x.example\nBob\tDay\tbob@x.example", "first_name,last_name,email",
			[]string{"2 Ann Lee/ann@x.example/user/", "3 Bob Day/bob@x.example/user/"}},
		"one word behind the address": {"ann@x.example\tAnn\tactive", "email,name,status", []string{"2 Ann/ann@x.example/user/"}},
		"numbers are no names":        {"007\tann@x.example\tAnn Lee", "Column 1,email,name", []string{"2 Ann Lee/ann@x.example/user/"}},
		"quotes of spreadsheets": {"name\temail\n\"Ann\nLee\"\tann@x.example\n\"Annie\" Lee\tannie@x.example\n\"Bob\tbob@x.example\nCy \"C\" Day\tcy@x.example\n\"say \"\"hi\"\"\"\tdee@x.example", "",
			[]string{"2 Ann\nLee/ann@x.example/user/ malformed_row", "3 \"Annie\" Lee/annie@x.example/user/", "4 \"Bob/bob@x.example/user/ malformed_row", "5 Cy \"C\" Day/cy@x.example/user/", "6 say \"hi\"/dee@x.example/user/"}},
		"CSV":                  {"email;name\nann@x.example;Ann", "", []string{"2 Ann/ann@x.example/user/"}},
		"CSV without a header": {"ann@x.example;Ann Lee\nbob@x.example;Bob Day", "email,name", []string{"2 Ann Lee/ann@x.example/user/", "3 Bob Day/bob@x.example/user/"}},
		"addresses on lines": {"Ann Lee <ann@x.example>\n\n\"Day, Bob\" <bob@x.example>\nCy\n<dee@x.example>", "name,email",
			[]string{"2 Ann Lee/ann@x.example/user/", "4 Day, Bob/bob@x.example/user/", "5 Cy//user/ missing_required_field", "6 /dee@x.example/user/ missing_required_field"}},
		"addresses with commas": {"Ann Lee <ann@x.example>, Day, Bob <bob@x.example>,", "name,email",
			[]string{"2 Ann Lee/ann@x.example/user/", "3 Day, Bob/bob@x.example/user/"}},
		"addresses of Outlook": {"Lee, Ann <ann@x.example>; Day, Bob <bob@x.example>; Cy <cy.x.example>", "name,email",
			[]string{"2 Lee, Ann/ann@x.example/user/", "3 Day, Bob/bob@x.example/user/", "4 Cy/cy.x.example/user/ invalid_email"}},
		"something behind an address": {"\"Ann \\\"A\\\" Lee\" <ann@x.example> junk\nBob <bob@x.example>", "name,email",
			[]string{"2 /\"Ann \\\"A\\\" Lee\" <ann@x.example> junk/user/ invalid_email missing_required_field", "3 Bob/bob@x.example/user/"}},
		"nothing but addresses": {"ann@x.example, bob@x.example\ncy@x.example", "name,email",
			[]string{"2 /ann@x.example/user/ missing_required_field", "3 /bob@x.example/user/ missing_required_field", "4 /cy@x.example/user/ missing_required_field"}},
		"cells with addresses": {"name\temail\nAnn\tAnn <ann@x.example>", "", []string{"2 Ann/Ann <ann@x.example>/user/ invalid_email"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(userfile.FromPaste(c.text).Header, ","); got != c.header {
				t.Errorf("header %q, want %q", got, c.header)
			}
			got := pastedRows(t, c.text)
			if diff := cmp.Diff(c.rows, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPasteSaysWhatItAdded: a header is named, and what row its first one is.
func TestPasteSaysWhatItAdded(t *testing.T) {
	t.Parallel()
	w := userfile.FromPaste("ann@x.example\tAnn Lee\tLondon").Warning()
	if w == nil || w.Code != roster.WarnHeaderAdded || !strings.Contains(w.Message, "row 1: email, name, Column 3.") || strings.Contains(w.Message, "Ann") {
		t.Errorf("%+v", w)
	}
	if w := userfile.FromPaste("email\tname\nann@x.example\tAnn").Warning(); w != nil {
		t.Errorf("%+v", w)
	}
	if p := userfile.FromPaste("Kontakt\tOrt\nAnn\tLondon"); p.Header != nil {
		t.Errorf("%q", p.Header)
	}
}

// TestPasteKeepsRows: any text makes a file, and every row of a spreadsheet stays one
// with its cells.
func TestPasteKeepsRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		userfile.FromPaste(rapid.String().Draw(r, "text"))
		cell := rapid.StringOf(rapid.SampledFrom([]rune("ab ,;\"<>@")))
		cells := rapid.SliceOfN(rapid.SliceOfN(cell, 2, 2), 1, 5).Draw(r, "cells")
		text, want := "email\tname\n", 0
		for _, row := range cells {
			for i, c := range row {
				if strings.Contains(c, "\"") { // as spreadsheets write what could be taken for a quoted cell
					row[i] = "x" + c
				}
			}
			text += strings.Join(row, "\t") + "\n"
			if strings.TrimSpace(strings.Join(row, "")) != "" {
				want++
			}
		}
		p := userfile.FromPaste(text)
		reader, err := userfile.Open(strings.NewReader(string(p.File)), roster.Options{})
		if err != nil {
			r.Fatal(err)
		}
		n := 0
		for {
			row, err := reader.Next()
			if err != nil {
				break
			}
			got, want := reader.Values(row), cells[row.Row-2]
			if strings.TrimSpace(got[0]) != strings.TrimSpace(want[0]) || len(got) > 1 && strings.TrimSpace(got[1]) != strings.TrimSpace(want[1]) {
				r.Fatalf("row %d: %q, want %q", row.Row, got, want)
			}
			n++
		}
		if n != want {
			r.Fatalf("%d rows, want %d: %q", n, want, p.File)
		}
	})
}
