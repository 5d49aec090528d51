package report_test

import (
	"slices"
	"strings"
	"testing"

	"rollcall/report"
	"rollcall/roster"
)

// failsForShape are files with one row that fails for its shape.
var failsForShape = map[string]string{
	"a quote never closed":     "email,name,role,department\na3@l.example,\"Open,,\n",
	"a quote inside":           "email,name,department\na@l.example,Ann \"Annie\" Lee,Sales\n",
	"text behind a quote":      "email,name,department\na@l.example,\"Ann\" Lee,Sales\n",
	"one cell too many":        "email,name,department\na@l.example,Lee, Ann,Sales\n",
	"too many, last not ours":  "email,name,notes\na@l.example,Lee, Ann,x\n",
	"one delimiter too many":   "email,name,role,department\nann@x.example,Ann Lee,,admin,\n",
	"the same, notes at last":  "email,name,title,role,notes\nann@x.example,Ann Lee,,Admin,user,\n",
	"behind the last header":   "email,name,department,\na@u.example,Norden, Kate,IT\n",
	"another delimiter inside": "email,name,department,role\na@l.example,Ann Lee;Sales,user\n",
	"a role that has moved":    "email,name,department,role\na@l.example,Ann LeeSales,user\n",
	"broken in two":            "email,name,department\na@l.example,Ann\nLee,Sales\n",
	"the rest of an address":   "email,name,department\na\n@l.example,Ann,Sales\n",
	"the rest of a row":        "name,email,department\nAnn\nLee,a@l.example,Sales\n",
	"below another header":     "email,name,department,role\nemail,department,role,name\nkate@x.example,Flight,admin,Kate Norden\n",
	"bytes that are no text":   "email,name,notes\na@l.example,Ann,\xff\n",
	"a NUL":                    "email,name,notes\na@l.example,Ann,a\x00b\n",
	"a NUL in the name":        "email,name,notes\na@l.example,A\x00nn,b\n",
	"longer than a row may be": "email,name,notes\na@l.example,Ann," + strings.Repeat("x", 1<<20) + "\n",
	"in a password":            "email,name,password\na@l.example,Ann,\"se\"cret\n",
	"a semicolon file":         "email;name;department\na@l.example;Ann;\"Sales\" East\n",
	"quotes of another kind":   "email,name,department,notes\na@l.example,“Lee, Ann”,Sales\n",
	"a report of a report":     "email,name,notes,error_row,error_code,error_field,error_message,error_fix\na@l.example,Ann,\"a\"\"b\",2,malformed_row,,x,y\n",
	"a hidden character":       "email,name\na@l.example,Ann\u200b\n",
	"a name that is no name":   "email,name\na@l.example,\u3164\n",
	"a guarded address":        "email,name\n'=a@l.example,Ann\n",
	"of two addresses":         "email,name\n\"a@l.example, b@l.example\",Ann\n",
}

// TestUnfixedRowsStayFailed: no user is imported from an error report that is
// uploaded unchanged, or with any one of its own columns missing or cut off, or
// all but one.
func TestUnfixedRowsStayFailed(t *testing.T) {
	t.Parallel()
	for name, file := range failsForShape {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			people, first, _, err := report.Unstored([]byte(file), roster.Options{})
			if err != nil || len(people) > 0 {
				t.Fatalf("%+v, %v", people, err)
			}
			upload := func(what, file string) {
				t.Helper()
				people, again, _, err := report.Unstored([]byte(file), roster.Options{})
				if err != nil || len(people) > 0 {
					t.Errorf("%s: %+v, %v\n%.300q", what, people, err, file)
				}
				if strings.Count(string(again), "\n") < strings.Count(string(first), "\n") && what == "as it is" {
					t.Errorf("rows are gone:\n%.300q\n%.300q", first, again)
				}
			}
			upload("as it is", string(first))
			upload("without all of them", withoutColumns(t, string(first), 0, 1, 2, 3, 4))
			upload("with semicolons", resaved(t, string(first), 0))
			upload("with semicolons, without all of them", resaved(t, string(first), 5))
			for k := range 5 {
				upload("without one column", withoutColumns(t, string(first), k))
				upload("with one column", withoutColumns(t, string(first), slices.DeleteFunc([]int{0, 1, 2, 3, 4}, func(i int) bool { return i == k })...))
				upload("cut off", cutOff(t, string(first), k))
			}
		})
	}
}

// withoutColumns removes columns of an error report, by index.
func withoutColumns(t *testing.T, file string, gone ...int) string {
	t.Helper()
	return rewrite(t, file, func(cells []string) []string {
		own := len(cells) - 5
		kept := slices.Clone(cells[:own])
		for i, c := range cells[own:] {
			if !slices.Contains(gone, i) {
				kept = append(kept, c)
			}
		}
		return kept
	})
}

// resaved writes an error report as a spreadsheet does where the comma is for
// decimals, in the encoding of its country, without so many of the last columns.
func resaved(t *testing.T, file string, gone int) string {
	t.Helper()
	var b strings.Builder
	for _, cells := range records(t, file) {
		for i, c := range cells[:len(cells)-gone] {
			if i > 0 {
				b.WriteString(";")
			}
			if strings.ContainsAny(c, ";\"\r\n") {
				c = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
			}
			b.WriteString(strings.Map(func(r rune) rune {
				if r > 0xFF && strings.Contains(file, "[fix this") {
					return '?'
				}
				return r
			}, c))
		}
		b.WriteString("\r\n")
	}
	return b.String()
}

// TestMarkedRowsCanBeFixed: a marked row goes in once its mark is deleted, once the
// marked cell has nothing wrong left, or once its error_code is.
func TestMarkedRowsCanBeFixed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file    string
		replace []string // old, new
		gone    int      // of the last columns
		want    string   // name, role, department
	}{
		"the mark is deleted":           {"one delimiter too many", []string{" [fix this row]", ""}, 5, "Ann Lee/user/admin"},
		"the values are moved":          {"one delimiter too many", []string{",,admin [fix this row],", ",admin,,"}, 0, "Ann Lee/admin/"},
		"the code is deleted":           {"one delimiter too many", []string{",malformed_row,", ",,"}, 0, "Ann Lee/user/admin"},
		"the quotes are deleted":        {"a quote inside", []string{`""`, ""}, 5, "Ann Annie Lee/user/Sales"},
		"the quotes are deleted, whole": {"a quote inside", []string{`Ann ""Annie"" Lee`, "Ann Lee"}, 0, "Ann Lee/user/Sales"},
		"the quotes are meant":          {"a quote inside", []string{" [fix this cell]", ""}, 5, `Ann "Annie" Lee/user/Sales`},
		"the rest is joined":            {"too many, last not ours", []string{"Lee,\" Ann\nx [fix this cell]\"", "\"Lee, Ann\",x"}, 0, "Lee, Ann/user/"},
	} {
		_, first, _, err := report.Unstored([]byte(failsForShape[c.file]), roster.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, resave := range []func(string) string{
			func(s string) string { return s },
			func(s string) string { return withoutColumns(t, s, []int{0, 1, 2, 3, 4}[:c.gone]...) },
			func(s string) string { return resaved(t, s, c.gone) },
		} {
			fixed := strings.NewReplacer(c.replace...).Replace(string(first))
			people, again, _, err := report.Unstored([]byte(resave(fixed)), roster.Options{})
			if err != nil || len(people) != 1 {
				t.Errorf("%s: %+v, %v\n%s", name, people, err, again)
				continue
			}
			if got := people[0].Name + "/" + string(people[0].Role) + "/" + people[0].Department; got != c.want {
				t.Errorf("%s: %s, want %s", name, got, c.want)
			}
		}
	}
}

// cutOff keeps only the first few report columns of each row and the header.
func cutOff(t *testing.T, file string, left int) string {
	t.Helper()
	header := true
	return rewrite(t, file, func(cells []string) []string {
		if header {
			header = false
			return cells
		}
		return cells[:len(cells)-5+left]
	})
}

func rewrite(t *testing.T, file string, change func([]string) []string) string {
	t.Helper()
	var all [][]string
	for _, cells := range records(t, file) {
		all = append(all, change(cells))
	}
	var b strings.Builder
	for _, cells := range all {
		for i, c := range cells {
			if i > 0 {
				b.WriteString(",")
			}
			b.WriteString(`"` + strings.ReplaceAll(c, `"`, `""`) + `"`)
		}
		b.WriteString("\r\n")
	}
	return b.String()
}

// TestFixedRowsAreTaken: a row is imported once its cells are fixed, although
// the report's columns are still there.
func TestFixedRowsAreTaken(t *testing.T) {
	t.Parallel()
	const report5 = ",error_row,error_code,error_field,error_message,error_fix\n"
	for name, file := range map[string]string{
		"the quotes are gone":    "email,name,notes" + report5 + "a@l.example,Ann Lee,x,2,malformed_row,,m,f\n",
		"the code is emptied":    "email,name,notes" + report5 + "a@l.example,\"Ann \"\"Annie\"\" Lee\",x,2,,,m,f\n",
		"a line break elsewhere": "email,name,notes" + report5 + "a@l.example,Ann,\"x\ny\",2,invalid_email,email,m,f\n",
		"quotes elsewhere":       "email,name,notes" + report5 + "a@l.example,Ann,\"a \"\"b\"\"\",2,malformed_row,name,m,f\n",
		"the columns are gone":   "email,name,notes\na@l.example,\"Ann \"\"Annie\"\" Lee\",\"x\ny\"\n",
	} {
		good, bad := persons(t, file, nil)
		if len(good) != 1 || len(bad) > 0 {
			t.Errorf("%s: %+v", name, bad)
		}
	}
}

// FuzzUnfixed: whatever bytes are uploaded, no user is imported from their
// error report when it is uploaded unchanged.
func FuzzUnfixed(f *testing.F) {
	for _, file := range failsForShape {
		if len(file) < 1000 {
			f.Add([]byte(file))
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		_, first, _, err := report.Unstored(file, roster.Options{})
		if err != nil {
			return
		}
		for _, again := range []string{string(first), withoutColumns(t, string(first), 0, 1, 2, 3, 4)} {
			people, _, _, err := report.Unstored([]byte(again), roster.Options{})
			if len(people) > 0 || err != nil && again == string(first) {
				t.Errorf("%+v, %v\n%q\n%q", people, err, file, again)
			}
		}
	})
}
