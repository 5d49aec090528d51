package userfile_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/roster"
)

// TestOwnFilesComeBack: files that we have written are read with their guards
// undone, whichever of the columns that we have added are still there.
func TestOwnFilesComeBack(t *testing.T) {
	t.Parallel()
	want := roster.UserFields{Email: "=calc@a.example", EmailKey: "=calc@a.example", Name: "=Ann", Role: "user", RoleGiven: true, Department: "@T"}
	own := []string{"'=calc@a.example", "'=Ann", "user", "'@T"}
	for name, added := range map[string]struct{ header, cells []string }{
		"error report":  {[]string{"error_row", "error_code", "error_field", "error_message", "error_fix"}, []string{"2", "invalid_email", "email", "m", "f"}},
		"list of users": {[]string{"status", "invitation", "invitation_sent_at", "invitation_expires_at", "added_at"}, []string{"active", "sent", "2026-01-01T00:00:00Z", "", "2026-01-01T00:00:00Z"}},
		"results":       {[]string{"row", "line", "status", "user_id", "error_code"}, []string{"2", "2", "imported", "0198", ""}},
	} {
		known := []string{"error_row", "error_code", "error_field", "error_message", "error_fix", "user_id", "invitation_sent_at", "invitation_expires_at", "added_at"}
		for mask := 1; mask < 1<<len(added.header); mask++ {
			header, cells := []string{"email", "name", "role", "department"}, slices.Clone(own)
			ours := false
			for i, h := range added.header {
				if mask>>i&1 == 1 {
					header, cells = append(header, h), append(cells, added.cells[i])
					ours = ours || slices.Contains(known, h)
				}
			}
			if !ours {
				continue // only columns that any file may have
			}
			for cut := len(cells); cut >= 4; cut-- {
				sheet := open(t, strings.Join(header, ",")+"\n"+strings.Join(cells[:cut], ",")+"\n", roster.Options{})
				if diff := cmp.Diff(want, person(t, sheet)); diff != "" {
					t.Errorf("%s, %v, %d cells: %s", name, header, cut, diff)
				}
				if w := sheet.Warnings(); len(w) > 0 {
					t.Errorf("%s, %v, %d cells: %+v", name, header, cut, w)
				}
			}
		}
	}
}

// TestUserListCutShort: of the exported list of users, the columns that no other
// program calls so may be deleted. Its guards are undone all the same, and its
// status does not get in the way.
func TestUserListCutShort(t *testing.T) {
	t.Parallel()
	const four = "email,name,role,department"
	for header, c := range map[string]struct{ cells, status string }{
		four + ",status":                      {"active", "active"},
		four + ",status,invitation":           {"invited,sent", ""},
		four + ",invitation":                  {"sent", ""},
		four + ",status,locale":               {"active,de", "active"},
		four + ",status,invitation,locale":    {"invited,sent,de", ""},
		"email,name,role,department,Status,,": {"disabled", "disabled"},
	} {
		sheet := open(t, header+"\n'=calc@a.example,'=Ann,user,'@T,"+c.cells+"\n", roster.Options{})
		if p := person(t, sheet); p.Email != "=calc@a.example" || p.Name != "=Ann" || p.Department != "@T" || string(p.Status) != c.status {
			t.Errorf("%s: %+v", header, p)
		}
		if w := sheet.Warnings(); len(w) > 0 && !strings.HasSuffix(header, ",") {
			t.Errorf("%s: %+v", header, w)
		}
	}
	for header, cells := range map[string]string{
		four:                             "",
		four + ",locale":                 "de",
		"email,name,department,role":     "",
		"name,email,role,status":         ",active",
		"email,name,role,phone,status":   ",active",
		"email,name,role,status,comment": "active,",
	} {
		row := map[bool]string{true: "'=Ann,a@x.example", false: "a@x.example,'=Ann"}[strings.HasPrefix(header, "name")]
		rest := map[bool]string{true: "", false: "," + cells}[cells == ""]
		sheet := open(t, header+"\n"+row+",,"[:len(",,")-1]+rest+"\n", roster.Options{})
		if r, err := sheet.Next(); err != nil || sheet.Values(r)[0] != "'=Ann" && sheet.Values(r)[1] != "'=Ann" {
			t.Errorf("%s: %+v, %v", header, r, err)
		}
	}
}

// TestOtherEscapesAreKept: in any other file an apostrophe is part of a name,
// and no address begins with one that guards.
func TestOtherEscapesAreKept(t *testing.T) {
	t.Parallel()
	if p := person(t, open(t, "email,name\na@x.example,'=Ann\n", roster.Options{})); p.Name != "'=Ann" {
		t.Errorf("%+v", p)
	}
	sheet := open(t, "email,name,role,department\n'=calc@a.example,Ann,user,x\n'-dash@a.example,Bob,,\n", roster.Options{})
	for _, want := range []string{"=calc@a.example", "-dash@a.example"} {
		row, err := sheet.Next()
		if err != nil || len(row.Problems) != 1 || row.Problems[0].Code != roster.InvalidEmail || row.Problems[0].Suggestion != want {
			t.Errorf("%+v, %v", row, err)
		}
	}
}

// TestEscapedHeaders: headers of a report are guarded, too, and found by the
// mapping of the first upload.
func TestEscapedHeaders(t *testing.T) {
	t.Parallel()
	sheet := open(t, "'@mail,'=Name,error_code\n'=a@x.example,'+Ann,\n",
		roster.Options{Mapping: map[string]string{"email": "@mail", "name": "=Name"}})
	if p := person(t, sheet); p.Email != "=a@x.example" || p.Name != "+Ann" {
		t.Errorf("%+v", p)
	}
}
