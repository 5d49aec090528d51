package userfile_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/roster"
	"rollcall/userfile"
)

// TestMissingColumns: one answer names all columns that are missing and one
// mapping with which the next upload works; or none.
func TestMissingColumns(t *testing.T) {
	t.Parallel()
	type mapping = map[roster.Column]roster.Headers
	both := roster.JoinHeaders
	for name, c := range map[string]struct {
		header string
		given  map[string]string
		want   mapping
	}{
		"both":                          {"Work Email,Full Name", nil, mapping{"email": "Work Email", "name": "Full Name"}},
		"first and last name":           {"Email,First Name,Last Name", nil, mapping{"name": both("First Name", "Last Name")}},
		"the same, other order":         {"Surname,Given name,E-mail address", nil, mapping{"email": "E-mail address", "name": both("Given name", "Surname")}},
		"in German":                     {"Vorname,Nachname,E-Mail-Adresse", nil, mapping{"email": "E-Mail-Adresse", "name": both("Vorname", "Nachname")}},
		"camel case":                    {"emailAddress,displayName", nil, mapping{"email": "emailAddress", "name": "displayName"}},
		"decorated":                     {"[mail],[displayName]", nil, mapping{"email": "[mail]", "name": "[displayName]"}},
		"a whole name before two parts": {"email,First Name,Display Name", nil, mapping{"name": "Display Name"}},
		"by a word":                     {"Employee e-mail (work),Employee name", nil, mapping{"email": "Employee e-mail (work)", "name": "Employee name"}},
		"plural":                        {"Emails,Names", nil, mapping{"email": "Emails", "name": "Names"}},
		"only a first name":             {"email,First Name", nil, nil},
		"only a last name":              {"email,Last Name", nil, nil},
		"a company":                     {"email,Company Name", nil, nil},
		"a user name":                   {"email,User Name", nil, nil},
		"a user name in one word":       {"email,Username", nil, nil},
		"a login":                       {"login,name", nil, nil},
		"a file":                        {"email,File Name", nil, nil},
		"an opt-in":                     {"Email opt-in,name", nil, nil},
		"whether it is verified":        {"Email Verified,name", nil, nil},
		"camel case, verified":          {"emailVerified,name", nil, nil},
		"a part of a word":              {"email,Tournament,Surnames,Filename,Rename", nil, nil},
		"mail in a word":                {"name,Mailing street,Mailbox size", nil, nil},
		"one of two":                    {"Mail,Phone", nil, nil},
		"no header for two columns":     {"Email name,Phone", nil, nil},
		"another column's":              {"email,Role name", nil, nil},
		"what was mapped stays":         {"a,Full Name,Team", map[string]string{"email": "a", "department": "Team"}, mapping{"email": "a", "name": "Full Name", "department": "Team"}},
		"mapped to nothing":             {"Work Email,name", map[string]string{"email": "Mail"}, mapping{"email": "Work Email"}},
		"mapped to another's":           {"email,Full Name", map[string]string{"name": "Names", "email": "email"}, mapping{"email": "email", "name": "Full Name"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := userfile.Open(strings.NewReader(c.header+"\n"), roster.Options{Mapping: c.given})
			var told *userfile.FileError
			if !errors.As(err, &told) || told.Code != roster.MissingColumn {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(c.want, told.Mapping); diff != "" {
				t.Errorf("%s\n%s", told.Message, diff)
			}
			if told.Mapping == nil {
				return
			}
			next := map[string]string{}
			for column, headers := range told.Mapping {
				next[string(column)] = string(headers)
			}
			if _, err := userfile.Open(strings.NewReader(c.header+"\n"), roster.Options{Mapping: next}); err != nil {
				t.Errorf("the next upload: %v", err)
			}
		})
	}
}

func TestAllMissingAreNamed(t *testing.T) {
	t.Parallel()
	_, err := userfile.Open(strings.NewReader("Phone,Team\n1,2\n"), roster.Options{})
	for _, part := range []string{`"email" is missing`, `"name" is missing`, `"Phone", "Team"`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v lacks %q", err, part)
		}
	}
}

// TestLongHeadersAreCut: what a file has in place of headers does not fill the
// answer.
func TestLongHeadersAreCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long ", 1000)
	_, err := userfile.Open(strings.NewReader(long+","+long+"\n"), roster.Options{})
	if err == nil || len(err.Error()) > 400 {
		t.Errorf("%d bytes", len(err.Error()))
	}
	for _, w := range open(t, "email,name,"+long+"\na@x.example,A,\n", roster.Options{}).Warnings() {
		if len(w.Message)+len(w.Columns[0]) > 400 {
			t.Errorf("%+v", w)
		}
	}
	many := open(t, "email,name,"+strings.Repeat("x,", 900)+"y\n", roster.Options{}).Warnings()
	if len(many) != 1 || len(many[0].Columns) > 100 || len(many[0].Message) > 400 {
		t.Errorf("%d warnings", len(many))
	}
}

func TestPasswordColumns(t *testing.T) {
	t.Parallel()
	for header, is := range map[string]bool{
		"Password": true, "initial_password": true, "userPassword": true, "pwd": true, "Passwort": true, "mot de passe": true, "Contraseña": true,
		"Kennwort": true, "passphrase": true, "Passport": false, "Compass": false, "PIN": true, "Spinning": false, "Passenger": false,
	} {
		sheet := open(t, "email,"+header+",name\n", roster.Options{})
		warned := false
		for _, w := range sheet.Warnings() {
			warned = warned || w.Code == roster.WarnPasswordColumn && cmp.Equal(w.Columns, []string{header})
		}
		if own := len(sheet.OwnColumns()); warned != is || is != (own == 2) {
			t.Errorf("%s: warned %v, %d columns in the report", header, warned, own)
		}
	}
}

func TestMappedNames(t *testing.T) {
	t.Parallel()
	file := "email,First,Middle,Last\na@x.example, Ann ,,Lee\nb@x.example,,B.,\nc@x.example,,,\n"
	sheet := open(t, file, roster.Options{Mapping: map[string]string{"name": string(roster.JoinHeaders("First", "Middle", "Last"))}})
	for _, want := range []string{"Ann Lee", "B."} {
		if p := person(t, sheet); p.Name != want {
			t.Errorf("%q, want %q", p.Name, want)
		}
	}
	if row, err := sheet.Next(); err != nil || len(row.Problems) != 1 || row.Problems[0].Code != roster.MissingRequiredField {
		t.Errorf("%+v, %v", row, err)
	}
}
