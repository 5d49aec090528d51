package intake_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/intake"
	"rollcall/roster"
)

func open(t *testing.T, file string, o roster.Options) *intake.Sheet {
	t.Helper()
	sheet, err := intake.Open(strings.NewReader(file), o)
	if err != nil {
		t.Fatal(err)
	}
	return sheet
}

// person reads the next row, which must be good.
func person(t *testing.T, sheet *intake.Sheet) roster.Person {
	t.Helper()
	row, err := sheet.Next()
	if err != nil {
		t.Fatal(err)
	}
	if len(row.Problems) > 0 {
		t.Fatalf("row %d: %v", row.Row, row.Problems)
	}
	return row.Person
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	want := roster.Person{Email: "g@example.com", EmailKey: "g@example.com", Name: "Grace", Role: "admin", RoleGiven: true, Department: "Navy"}
	for name, c := range map[string]struct {
		file    string
		mapping map[string]string
		unknown []string
	}{
		"as in the template":  {file: "email,name,role,department\ng@example.com,Grace,admin,Navy\n"},
		"any order":           {file: "department,role,name,email\nNavy,admin,Grace,g@example.com\n"},
		"any case":            {file: "EMAIL,Name,rOLE,Department\ng@example.com,Grace,admin,Navy\n"},
		"BOM":                 {file: "\ufeffemail,name,role,department\ng@example.com,Grace,admin,Navy\n"},
		"BOM within":          {file: "name,\ufeffemail,role,department\nGrace,g@example.com,admin,Navy\n"},
		"NBSP around":         {file: "\u00a0email\u00a0, name ,role\u00a0,\tdepartment\ng@example.com,Grace,admin,Navy\n"},
		"dashes":              {file: "E-Mail,name,role,department\ng@example.com,Grace,admin,Navy\n"},
		"a long dash":         {file: "E\u2013mail,name,role,department\ng@example.com,Grace,admin,Navy\n"},
		"underscores, spaces": {file: "e_mail,n ame,r__ole,depart ment\ng@example.com,Grace,admin,Navy\n"},
		"quoted":              {file: "\"email\",\"name\",\"role\",\"department\"\ng@example.com,Grace,admin,Navy\n"},
		"unknown columns": {file: "Phone,email,name,Shoe size,role,department\n1,g@example.com,Grace,39,admin,Navy\n",
			unknown: []string{"Phone", "Shoe size"}},
		"unknown columns may stand twice": {file: "x,x,email,name,role,department\n,,g@example.com,Grace,admin,Navy\n",
			unknown: []string{"x", "x"}},
		"headers without a name": {file: ",email,,name,role,department,,\n,g@example.com,,Grace,admin,Navy\n"},
		"mapping": {file: "Work Email,Employee,Access,Team\ng@example.com,Grace,admin,Navy\n",
			mapping: map[string]string{"email": "work e-mail", "name": "EMPLOYEE", "role": "Access", "department": " team "}},
		"mapping beats the name": {file: "email,Work email,name,role,department\nother,g@example.com,Grace,admin,Navy\n",
			mapping: map[string]string{"email": "Work email"}, unknown: []string{"email"}},
		"a blank mapping is none": {file: "email,name,role,department\ng@example.com,Grace,admin,Navy\n",
			mapping: map[string]string{"email": ""}},
		"two swapped by mapping": {file: "name,email,role,department\ng@example.com,Grace,admin,Navy\n",
			mapping: map[string]string{"email": "name", "name": "email"}},
		"columns of a report alone are no report": {file: "email,name,role,department,error_code\ng@example.com,Grace,admin,Navy,x\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sheet := open(t, c.file, roster.Options{Mapping: c.mapping})
			if diff := cmp.Diff(want, person(t, sheet)); diff != "" {
				t.Error(diff)
			}
			var unknown []string
			for _, w := range sheet.Warnings() {
				unknown = append(unknown, w.Columns...)
			}
			if diff := cmp.Diff(c.unknown, unknown); diff != "" {
				t.Error(diff)
			}
			if sheet.IsReport() {
				t.Error("taken for an error report")
			}
		})
	}
}

func TestFileErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file    string
		o       roster.Options
		code    roster.Code
		message []string // parts of it
	}{
		"nothing":       {"", roster.Options{}, roster.EmptyFile, nil},
		"BOM only":      {"\ufeff", roster.Options{}, roster.EmptyFile, nil},
		"white space":   {" \r\n\n", roster.Options{}, roster.EmptyFile, nil},
		"sep line only": {"sep=;\n", roster.Options{}, roster.EmptyFile, nil},
		"no e-mail":     {"phone,name\n", roster.Options{}, roster.MissingColumn, []string{`The column "email" is missing. The header row has: "phone", "name".`}},
		"suggestion": {"Work E-Mail,name\n", roster.Options{}, roster.MissingColumn,
			[]string{`Is "Work E-Mail" meant?`, `mapping {"email": "Work E-Mail"}`}},
		"suggestion by a part": {"email,Employee name (official)\n", roster.Options{}, roster.MissingColumn,
			[]string{`Is "Employee name (official)" meant?`}},
		"no name, many columns": {"email,a,b,c,d,e,f,g,h,i,j,k,l,m\n", roster.Options{}, roster.MissingColumn,
			[]string{`"name"`, `and 2 more`}},
		"mapped to nothing": {"email,name\n", roster.Options{Mapping: map[string]string{"department": "Team"}}, roster.MissingColumn,
			[]string{`The mapping says that "department" is in the column "Team", which the file does not have.`}},
		"mapping hides the name": {"email,name\n", roster.Options{Mapping: map[string]string{"name": "email"}}, roster.MissingColumn,
			[]string{`The column "email" is missing.`}},
		"twice": {"email,name, E-Mail \n", roster.Options{}, roster.DuplicateColumn,
			[]string{`The column "email" stands twice: as "email" in column 1 and as "E-Mail" in column 3.`}},
		"twice by mapping": {"x,name,X\n", roster.Options{Mapping: map[string]string{"email": "x"}}, roster.DuplicateColumn, []string{`"email"`}},
		"broken header":    {"email,\"name\ng@example.com,Grace\n", roster.Options{}, roster.MalformedFile, []string{"The header row cannot be read."}},
		"workbook":         {"PK\x03\x04\x14\x00\x06\x00[Content_Types].xml", roster.Options{}, roster.MalformedFile, []string{"Excel workbook"}},
		"UTF-16 as UTF-8":  {"\xff\xfee\x00m\x00a\x00i\x00l\x00,\x00n\x00a\x00m\x00e\x00\n\x00", roster.Options{}, roster.EncodingError, []string{"utf-16le"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := intake.Open(strings.NewReader(c.file), c.o)
			var told *intake.FileError
			if !errors.As(err, &told) {
				t.Fatalf("error %v", err)
			}
			if told.Code != c.code || told.Fix != c.code.FileFix() || told.Fix == "" {
				t.Errorf("code %s, fix %q", told.Code, told.Fix)
			}
			for _, part := range c.message {
				if !strings.Contains(told.Message, part) {
					t.Errorf("%q lacks %q", told.Message, part)
				}
			}
		})
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		column roster.Column
		header []string
		want   string
	}{
		{roster.ColumnEmail, []string{"id", " Mail "}, "Mail"},
		{roster.ColumnEmail, []string{"login", "E-Mail address"}, "E-Mail address"}, // the likelier one, not the first
		{roster.ColumnEmail, []string{"Contact e-mail 2"}, "Contact e-mail 2"},
		{roster.ColumnName, []string{"Full_Name"}, "Full_Name"},
		{roster.ColumnRole, []string{"Permissions"}, "Permissions"},
		{roster.ColumnDepartment, []string{"Cost Center"}, "Cost Center"},
		{roster.ColumnDepartment, []string{"colour", ""}, ""},
		{"shoe", []string{"shoe"}, ""},
	} {
		got, ok := intake.Suggest(c.column, c.header)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("Suggest(%s, %q) = %q, %v", c.column, c.header, got, ok)
		}
	}
}
