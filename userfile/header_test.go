package userfile_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/roster"
	"rollcall/userfile"
)

func open(t *testing.T, file string, o roster.Options) *userfile.Reader {
	t.Helper()
	sheet, err := userfile.Open(strings.NewReader(file), o)
	if err != nil {
		t.Fatal(err)
	}
	return sheet
}

// person reads the next row, which must be good.
func person(t *testing.T, sheet *userfile.Reader) roster.UserFields {
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
	want := roster.UserFields{Email: "g@example.com", EmailKey: "g@example.com", Name: "Grace", Role: "admin", RoleGiven: true, Department: "Navy"}
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
		"decorated":                   {file: "Email *,Name (required),[role],“department”:\ng@example.com,Grace,admin,Navy\n"},
		"decorated with a line break": {file: "\"E-\nMail\",'name',\"role\n(optional)\",*department\ng@example.com,Grace,admin,Navy\n"},
		"guarded":                     {file: "'@email,name,role,department\ng@example.com,Grace,admin,Navy\n", mapping: map[string]string{"email": "@email"}},
		"mapped exactly": {file: "Mail*,mail,name,role,department\n,g@example.com,Grace,admin,Navy\n",
			mapping: map[string]string{"email": "mail"}, unknown: []string{"Mail*"}},
		"a name in two columns": {file: "Last,email,First,role,department\n,g@example.com, Grace ,admin,Navy\n",
			mapping: map[string]string{"name": string(roster.JoinHeaders("first", "last"))}},
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
			[]string{`Is "Work E-Mail" meant for "email"?`, `mapping {"email": "Work E-Mail"}`}},
		"suggestion by a part": {"email,Employee name (official)\n", roster.Options{}, roster.MissingColumn,
			[]string{`Is "Employee name (official)" meant for "name"?`}},
		"no name, many columns": {"email,a,b,c,d,e,f,g,h,i,j,k,l,m\n", roster.Options{}, roster.MissingColumn,
			[]string{`"name"`, `and 2 more`}},
		"mapped to nothing": {"email,name\n", roster.Options{Mapping: map[string]string{"department": "Team"}}, roster.MissingColumn,
			[]string{`The mapping says that "department" is in the column "Team", which the file does not have.`}},
		"mapping hides the name": {"email,name\n", roster.Options{Mapping: map[string]string{"name": "email"}}, roster.MissingColumn,
			[]string{`The column "email" is missing.`}},
		"twice": {"email,name, E-Mail \n", roster.Options{}, roster.DuplicateColumn,
			[]string{`Column "email" appears twice: "email" (column 1) and "E-Mail" (column 3).`}},
		"twice by mapping": {"x,name,X\n", roster.Options{Mapping: map[string]string{"email": "X_"}}, roster.DuplicateColumn, []string{`"email"`}},
		"broken header":    {"email,\"name\ng@example.com,Grace\n", roster.Options{}, roster.MalformedFile, []string{"The header row cannot be read."}},
		"workbook":         {"PK\x03\x04\x14\x00\x06\x00[Content_Types].xml", roster.Options{}, roster.MalformedFile, []string{"Excel workbook"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := userfile.Open(strings.NewReader(c.file), c.o)
			var told *userfile.FileError
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

// TestFixFollowsTheMessage: what a file shows goes before the catalog's advice.
func TestFixFollowsTheMessage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, message, fix string
		code               roster.Code
		o                  roster.Options
	}{
		"rows above the header": {file: "Staff list\nMay 2026\nemail,name\na@example.com,Ann\n", message: "in row 3",
			fix: "Send header_row=3 (or choose it under File settings), or delete the rows above the header", code: roster.MissingColumn},
		"another delimiter": {file: "email,name\na@example.com,Ann\n", o: roster.Options{Delimiter: ";"}, message: "delimiter=comma",
			fix: "Send delimiter=comma (or choose it under File settings)", code: roster.MissingColumn},
		"a person first": {file: "a@example.com,Ann\nb@example.com,Bob\n", message: "the first row is a person",
			fix: "Add a header row with email and name", code: roster.MissingColumn},
		"a title above people": {file: "Staff\na@example.com,Ann\nb@example.com,Bob\n", message: "row 2 is a person",
			fix: "Add a header row with email and name", code: roster.MissingColumn},
		"another encoding": {file: "\xff\xfee\x00m\x00a\x00i\x00l\x00,\x00n\x00a\x00m\x00e\x00\n\x00", message: "utf-16le",
			fix: "Send encoding=utf-16le (or choose it under File settings), or save the file as CSV (UTF-8)", code: roster.EncodingError},
		"nothing more to say": {file: "email,phone\n", message: "missing", fix: roster.MissingColumn.FileFix(), code: roster.MissingColumn},
	} {
		_, err := userfile.Open(strings.NewReader(c.file), c.o)
		told, ok := errors.AsType[*userfile.FileError](err)
		if !ok || told.Code != c.code || told.Fix != c.fix || !strings.Contains(told.Message, c.message) {
			t.Errorf("%s: %+v", name, err)
			if ok {
				t.Logf("fix %q", told.Fix)
			}
		}
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
		got, ok := userfile.Suggest(c.column, c.header)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("Suggest(%s, %q) = %q, %v", c.column, c.header, got, ok)
		}
	}
}

// TestHeaderOfData: a file without a header begins with a person, whose data is
// in no message.
func TestHeaderOfData(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		o    roster.Options
	}{
		"plain":                  {"Jane Roe,jane.roe@example.com,user\nx,y,z\n", roster.Options{}},
		"name first":             {"jane.roe@example.com;Jane Roe\n", roster.Options{}},
		"full-width at":          {"Jane Roe,jane.roe＠example.com\n", roster.Options{}},
		"with our columns in it": {"Jane Roe email,Jane Roe name,<jane.roe@example.com>\n", roster.Options{}},
		"mapping":                {"Jane Roe,jane.roe@example.com\n", roster.Options{Mapping: map[string]string{"email": "Mail"}}},
	} {
		_, err := userfile.Open(strings.NewReader(c.file), c.o)
		told, ok := errors.AsType[*userfile.FileError](err)
		if !ok || told.Code != roster.MissingColumn || strings.Contains(strings.ToLower(told.Message), "roe") || told.Mapping != nil {
			t.Errorf("%s: %+v", name, err)
		}
	}
	sheet := open(t, "email,name,ask jane.roe@example.com\n", roster.Options{})
	for _, w := range sheet.Warnings() {
		if text := w.Message + strings.Join(w.Columns, " "); strings.Contains(text, "roe") || len(w.Columns) != 1 {
			t.Errorf("%+v", w)
		}
	}
	_, err := userfile.Open(strings.NewReader("mail,Full name\n"), roster.Options{})
	if told, ok := errors.AsType[*userfile.FileError](err); !ok || !strings.Contains(told.Message, `"mail", "Full name"`) {
		t.Errorf("a header is not quoted: %v", err)
	}
}
