package userfile_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/roster"
	"rollcall/userfile"
)

// TestUsersExportWithAttributes: the exported list of users is known as ours with
// declared attributes behind its columns, and changes no status.
func TestUsersExportWithAttributes(t *testing.T) {
	t.Parallel()
	header := strings.Join(append(userfile.UserListColumns(), "cost_center"), ",")
	file := header + "\na@example.com,'=A,user,,invited,sent,,,,de,'+4711\n"
	reader, err := userfile.Open(strings.NewReader(file), roster.Options{Attributes: []string{"cost_center"}})
	if err != nil {
		t.Fatal(err)
	}
	row, err := reader.Next()
	if err != nil || len(row.Problems) > 0 {
		t.Fatalf("%+v, %v", row, err)
	}
	if row.Person.Name != "=A" || row.Person.Status != "" || row.Person.Locale != "de" || row.Person.Attributes.Map()["cost_center"] != "+4711" {
		t.Errorf("%+v", row.Person)
	}
	if w := reader.Warnings(); len(w) > 0 {
		t.Errorf("warnings %+v", w)
	}
}

// TestResumedReaderMapsValues: a row read from the middle of the file means the same.
func TestResumedReaderMapsValues(t *testing.T) {
	t.Parallel()
	o := roster.Options{
		Attributes: []string{"phone", "cost_center"},
		ValueMap:   roster.ValueMap{"role": {"Boss": "admin"}, "phone": {"none": ""}, "cost_center": {"A": "1"}},
	}
	const file = "email,name,role,phone,Cost Center\na@example.com,A,Boss,none,A\nb@example.com,B, Boss ,7,B\n"
	whole, err := userfile.Open(strings.NewReader(file), o)
	if err != nil {
		t.Fatal(err)
	}
	first, err := whole.Next()
	if err != nil || first.Person.Role != roster.RoleAdmin || first.Person.Attributes != `{"cost_center":"1"}` {
		t.Fatalf("%+v, %v", first, err)
	}
	at := first.End
	resumed, err := userfile.Resume(strings.NewReader(file[at.Offset:]), whole.Format(), whole.Header(), o, at)
	if err != nil {
		t.Fatal(err)
	}
	second, err := resumed.Next()
	if err != nil || second.Person.Role != roster.RoleAdmin || second.Person.Attributes != `{"cost_center":"B","phone":"7"}` {
		t.Errorf("%+v, %v", second, err)
	}
}

func TestRoleValues(t *testing.T) {
	t.Parallel()
	var file strings.Builder
	file.WriteString("email,name,role\n")
	for k := range 200 {
		fmt.Fprintf(&file, "u%d@example.com,U, Role %d \n", k, k/2)
	}
	file.WriteString("x@example.com,X,\n")
	reader, err := userfile.Open(strings.NewReader(file.String()), roster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = reader.Next()
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	got := reader.RoleValues()
	if len(got) != roster.MaxRoleValues+1 || !cmp.Equal(got[:2], []string{"Role 0", "Role 1"}) || slices.Contains(got, "") {
		t.Errorf("%d values: %q", len(got), got)
	}
}

// TestEveryColumnIsMapped: what can be mapped by the rules is mapped in files.
func TestEveryColumnIsMapped(t *testing.T) {
	t.Parallel()
	for _, column := range roster.ColumnsWith([]string{"phone"}) {
		if column == roster.ColumnEmail || column == roster.ColumnName || column == roster.ColumnExternalID {
			continue
		}
		m, err := roster.ParseValueMap(`{"`+string(column)+`": {"\u0001": ""}}`, roster.ColumnsWith([]string{"phone"}))
		if err != nil {
			t.Errorf("%s: %v", column, err)
			continue
		}
		file := "email,name," + string(column) + "\na@example.com,A,\x01\n"
		for want, o := range []roster.Options{{Attributes: []string{"phone"}, ValueMap: m}, {Attributes: []string{"phone"}}} {
			reader, err := userfile.Open(strings.NewReader(file), o)
			if err != nil {
				t.Fatal(err)
			}
			if row, err := reader.Next(); err != nil || len(row.Problems) != want {
				t.Errorf("%s with the map %v: %+v, %v", column, o.ValueMap, row, err)
			}
		}
	}
}
