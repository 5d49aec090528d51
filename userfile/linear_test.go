package userfile_test

import (
	"strings"
	"testing"
	"time"

	"rollcall/roster"
	"rollcall/userfile"
)

// TestDiagnosisIsLinear: no file, however it is made, takes much longer than
// another of its size.
func TestDiagnosisIsLinear(t *testing.T) {
	t.Parallel()
	const size = 256 << 10
	for name, c := range map[string]struct{ header, row string }{
		"good rows":            {"email,name,role,department", "ann@x.example,Ann Lee,user,IT"},
		"other headers":        {"email,name,role,department", "email,department,role,name"},
		"wide other headers":   {"email,name" + strings.Repeat(",x", 900), "email" + strings.Repeat(",name", 900)},
		"the header":           {"email,name" + strings.Repeat(",x", 900), "email,name" + strings.Repeat(",x", 900)},
		"fragments":            {"name,email,department", "Ann"},
		"short rows":           {"email,name,department", "ann@x.example,Ann Lee"},
		"halves":               {"email,name,department,role", "ann@x.example,Ann\nLee,IT"},
		"footers":              {"email,name", "Total 5,"},
		"wrapped lines":        {"email,name", `"ann@x.example,""Ann, Lee"""`},
		"typographic quotes":   {"email,name", "“ann@x.example”,“Ann”"},
		"quotes never closed":  {"email,name,notes", "ann@x.example,“Ann,‘x"},
		"open quotes":          {"email,name,notes", `ann@x.example,"Ann,x`},
		"other delimiters":     {"email,name,notes", "a;b;c;d;e;f;g"},
		"one delimiter more":   {"email,name,notes", "ann@x.example,,Ann,,"},
		"nothing but commas":   {"email,name,notes", strings.Repeat(",", 1500)},
		"hidden characters":    {"email,name", "ann@x.example\u200b,Ann\u200b\u200b\u200b"},
		"encoded twice":        {"email,name", "ann@x.example,RenÃ©e MÃ¼ller Ã©Ã©Ã©"},
		"many addresses":       {"email,name", strings.Repeat("a@x.example ", 300) + ",Ann"},
		"a quoted text":        {"email,name,notes", `ann@x.example,Ann,"` + strings.Repeat("b@x.example,B\n", 500) + `"`},
		"long local parts":     {"email,name", strings.Repeat("a", 500) + "@x.example,Ann"},
		"brackets and bracket": {"email,name", strings.Repeat("<", 900) + "a@x.example" + strings.Repeat(">", 900) + ",Ann"},
	} {
		file := c.header + "\n" + strings.Repeat(c.row+"\n", size/len(c.row))
		began := time.Now()
		sheet, err := userfile.Open(strings.NewReader(file), roster.Options{})
		if err != nil {
			t.Fatal(name, err)
		}
		rows, _ := rest(t, sheet)
		took := time.Since(began)
		t.Logf("%-22s %7d rows in %s", name, len(rows), took.Round(time.Millisecond))
		if took > 5*time.Second {
			t.Errorf("%s takes %s", name, took)
		}
	}
}
