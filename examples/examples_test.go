// Package examples_test checks that the example files are as documented.
package examples_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/roster"
	"rollcall/userfile"
)

// verdict is the result of one row: the address it imports, or the codes it
// fails with.
type verdict struct {
	Row   int64
	Email string
	Codes []roster.Code
}

// judge validates a file like an import without any existing users.
func judge(t *testing.T, path string) []verdict {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sheet, err := userfile.Open(file, roster.Options{})
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var verdicts []verdict
	seen := userfile.NewEmailSet()
	for {
		row, err := sheet.Next()
		if errors.Is(err, io.EOF) {
			return verdicts
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		v := verdict{Row: row.Row}
		for _, p := range row.Problems {
			v.Codes = append(v.Codes, p.Code)
		}
		if repeats(seen, row) != 0 {
			v.Codes = append(v.Codes, roster.DuplicateEmail)
		}
		if v.Codes == nil {
			v.Email = row.Person.Email
		}
		verdicts = append(verdicts, v)
	}
}

// repeats returns the earlier valid row with the same address, 0 if there is
// none.
func repeats(seen *userfile.EmailSet, row *userfile.Row) int64 {
	switch {
	case row.Person.EmailKey == "":
		return 0
	case len(row.Problems) > 0: // a failed row takes no address
		return seen.Row(row.Person.EmailKey)
	}
	return seen.Add(row.Person.EmailKey, row.Row)
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	for path, want := range map[string][]verdict{
		"users.csv": {
			{Row: 2, Email: "jsmith@example.com"},
			{Row: 3, Email: "bwilson@example.com"},
			{Row: 4, Email: "mgarcia@example.com"},
			{Row: 5, Email: "tlee@example.com"},
		},
		"messy.csv": {
			{Row: 2, Email: "ana.silva@example.com"},
			{Row: 3, Email: "oskar.berg@example.com"}, // spans two lines of the file
			{Row: 5, Codes: []roster.Code{roster.MissingRequiredField}},
			{Row: 6, Codes: []roster.Code{roster.InvalidEmail}},
			{Row: 7, Codes: []roster.Code{roster.InvalidRole}},
			{Row: 8, Email: "tom.baker@example.com"},
			{Row: 9, Codes: []roster.Code{roster.DuplicateEmail}},
			{Row: 10, Codes: []roster.Code{roster.EncodingError}},
			{Row: 11, Codes: []roster.Code{roster.MalformedRow}},
			{Row: 14, Codes: []roster.Code{roster.ValueTooLong}},
			{Row: 15, Codes: []roster.Code{roster.MissingRequiredField, roster.InvalidRole}},
			{Row: 16, Codes: []roster.Code{roster.MalformedRow}},
			{Row: 17, Codes: []roster.Code{roster.InvalidEmail}},
			{Row: 18, Email: "soren.holm@example.com"},
			{Row: 19, Email: "jiri.dvorak@bücher.example"},
			{Row: 20, Codes: []roster.Code{roster.MalformedRow}},
			{Row: 21, Email: "nina.ortiz@example.com"},
		},
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(want, judge(t, path)); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
		})
	}
}

// ofOtherColumns are the codes of columns that messy.csv does not have; package
// jobs imports files with these.
var ofOtherColumns = []roster.Code{roster.InvalidStatus, roster.DuplicateExternalID, roster.InvalidLocale}

// TestMessyHasEveryCode keeps messy.csv complete when a code is added.
func TestMessyHasEveryCode(t *testing.T) {
	t.Parallel()
	var met []roster.Code
	for _, v := range judge(t, "messy.csv") {
		met = append(met, v.Codes...)
	}
	for _, entry := range roster.ErrorCatalog() {
		if entry.Scope != "row" || entry.Code == roster.InternalError || slices.Contains(ofOtherColumns, entry.Code) { // no file can cause an internal error
			continue
		}
		if !slices.Contains(met, entry.Code) {
			t.Errorf("no row of messy.csv is refused with %s", entry.Code)
		}
	}
}

// TestMessyLooksForeign detects an editor or a checkout that has normalized the
// file.
func TestMessyLooksForeign(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("messy.csv")
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{
		"a BOM":               "\ufeffE-mail;",
		"a quoted line break": "badge\r\nand",
		"a blank line":        "\r\n\r\n",
		"a foreign byte":      "Ren\xe9 ",
	} {
		if !bytes.Contains(content, []byte(want)) {
			t.Errorf("messy.csv has lost %s", what)
		}
	}
}

// TestDocumentedErrors compares the tables in docs/api-guide.md with the catalog.
func TestDocumentedErrors(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../docs/api-guide.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range roster.ErrorCatalog() {
		if line := fmt.Sprintf("| `%s` | %s | %s |\n", e.Code, e.Cause, e.Fix); !bytes.Contains(guide, []byte(line)) {
			t.Errorf("docs/api-guide.md has no line: %s", line)
		}
	}
}
