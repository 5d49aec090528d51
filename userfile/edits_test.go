package userfile_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"rollcall/roster"
	"rollcall/tabular/workbook"
	"rollcall/userfile"
)

// TestEdits reads files with edited rows: what was wrong with the shape of a row, or
// is said by its neighbors, no longer counts, and its other cells stay.
func TestEdits(t *testing.T) {
	t.Parallel()
	cells := func(pairs ...string) roster.RowEdit {
		e := roster.RowEdit{Cells: map[roster.Column]string{}}
		for k := 0; k < len(pairs); k += 2 {
			e.Cells[roster.Column(pairs[k])] = pairs[k+1]
		}
		return e
	}
	whole := func(e roster.RowEdit) roster.RowEdit {
		e.Whole = true
		return e
	}
	attributes := roster.Options{Attributes: []string{"phone"}}
	for name, c := range map[string]struct {
		file    string
		options roster.Options
		sheet   bool
		row     int64
		edit    roster.RowEdit
		want    string // person, then problems
		inFile  string
	}{
		"a cell":                        {"email,name,department\nbad,Ann,IT\n", roster.Options{}, false, 2, cells("email", " a@example.com "), "a@example.com|Ann|user|IT", "map[email:bad]"},
		"a value that is wrong, too":    {"email,name\nbad,Ann\n", roster.Options{}, false, 2, cells("email", "worse"), "worse|Ann|user| email:invalid_email", "map[email:bad]"},
		"a row that ends early":         {"email,name,department\nbad,Ann\n", roster.Options{}, false, 2, cells("email", "a@example.com"), "a@example.com|Ann|user|", "map[email:bad]"},
		"an unreadable row":             {"email,name\nbad\"x\"y,Ann,more,cells\n", roster.Options{}, false, 2, whole(cells("email", "a@example.com", "name", "Ann")), "a@example.com|Ann|user|", "map[email: name:]"},
		"an unreadable row, in part":    {"email,name\nbad,Ann,more,cells\n", roster.Options{}, false, 2, whole(cells("email", "a@example.com")), "a@example.com||user| name:missing_required_field", "map[email:]"},
		"invalid bytes":                 {"email,name\na@example.com,Zo\xeb\n", roster.Options{}, false, 2, whole(cells("email", "a@example.com", "name", "Zoë")), "a@example.com|Zoë|user|", "map[email: name:]"},
		"a name in two columns":         {"email,First,Last\nbad,Ann,Lee\n", roster.Options{Mapping: map[string]string{"name": string(roster.JoinHeaders("First", "Last"))}}, false, 2, cells("name", "Ann-Lee Day", "email", "a@example.com"), "a@example.com|Ann-Lee Day|user|", "map[email:bad name:Ann Lee]"},
		"a value with a meaning":        {"email,name,role\na@example.com,Ann,Chief\n", roster.Options{ValueMap: roster.ValueMap{"role": {"Boss": "admin"}}}, false, 2, cells("role", "Boss"), "a@example.com|Ann|admin|", "map[role:Chief]"},
		"an error report":               {"email,name,error_row,error_code,error_field,error_message,error_fix\na@example.com,Ann [fix this row],2,malformed_row,,Wrong.,Fix it\n", roster.Options{}, false, 2, cells("name", "=Ann"), "a@example.com|=Ann|user|", "map[name:Ann [fix this row]]"},
		"a mark in another cell":        {"email,name,error_row,error_code,error_field,error_message,error_fix\nbad,Ann [fix this row],2,malformed_row,,Wrong.,Fix it\n", roster.Options{}, false, 2, cells("email", "a@example.com"), "a@example.com|Ann|user|", "map[email:bad]"},
		"a formula that failed":         {"email,name,phone\na@example.com," + workbook.Fault + "E#N/A," + workbook.Fault + "E#REF!\n", attributes, true, 2, cells("name", "Ann"), "a@example.com|Ann|user| phone:malformed_row", "map[name:#N/A]"},
		"a formula that failed, edited": {"email,name,phone\na@example.com,Ann," + workbook.Fault + "E#REF!\n", attributes, true, 2, cells("phone", "7"), "a@example.com|Ann|user|", "map[phone:#REF!]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := &roster.Import{Options: c.options}
			if c.sheet {
				i.Workbook = &roster.Workbook{Converted: true}
			}
			reader, err := userfile.OpenImport(strings.NewReader(c.file+"other@example.com,Other\n"), i, c.options)
			if err != nil {
				t.Fatal(err)
			}
			reader.SetEdits(map[int64]roster.RowEdit{c.row: c.edit})
			row, err := reader.Next()
			if err != nil {
				t.Fatal(err)
			}
			p := row.Person
			got := fmt.Sprintf("%s|%s|%s|%s", p.Email, p.Name, p.Role, p.Department)
			for _, problem := range row.Problems {
				got += fmt.Sprintf(" %s:%s", problem.Field, problem.Code)
			}
			if in := fmt.Sprint(row.InFile); row.Row != c.row || got != c.want || in != c.inFile {
				t.Errorf("row %d: %s, in the file %s; want %s, %s", row.Row, got, in, c.want, c.inFile)
			}
			if row, err = reader.Next(); err != nil || row.InFile != nil || row.Person.Email != "other@example.com" {
				t.Errorf("the row behind: %+v, %v", row, err)
			}
			if _, err = reader.Next(); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
		})
	}
}
