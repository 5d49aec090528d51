package userfile_test

import (
	"testing"

	"rollcall/roster"
	"rollcall/userfile"
)

func TestBetterDelimiter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		o    roster.Options
		want string
	}{
		"told wrongly":           {"email;name\n", roster.Options{Delimiter: "comma"}, ";"},
		"the file says wrongly":  {"sep=,\nemail\tname\n", roster.Options{}, "\t"},
		"likely names":           {"Mail;Full name\n", roster.Options{Delimiter: "|"}, ";"},
		"names by mapping":       {"a|b\n", roster.Options{Delimiter: ",", Mapping: map[string]string{"email": "a", "name": "b"}}, "|"},
		"likely already":         {"Mail;Full name\n", roster.Options{}, ""},
		"the same by each":       {"email\nname\n", roster.Options{}, ""},
		"one column":             {"Mail and full name\n", roster.Options{}, ""},
		"not text":               {"\xff\xfe\x00", roster.Options{}, ""},
		"nothing":                {"", roster.Options{}, ""},
		"twice by the other one": {"email;email;name\n", roster.Options{Delimiter: ","}, ""},
	} {
		if got, ok := userfile.BetterDelimiter([]byte(c.file), c.o); got != c.want || ok != (c.want != "") {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
}

func TestHeaderBelow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		o    roster.Options
		want int64
	}{
		"below a title":               {"Staff;;\n\nE-Mail Address;Full Name;\nzoe@example.com;Zoe;\n", roster.Options{}, 3},
		"below a title in few words":  {"Staff list, 2026\nemail;name\n", roster.Options{}, 2},
		"in another encoding":         {"Staff\nE-Mail\xa0Address;Full\xa0Name\n", roster.Options{}, 2},
		"by mapping":                  {"Staff\na,b\n", roster.Options{Mapping: map[string]string{"email": "a", "name": "b"}}, 2},
		"the first of two":            {"Staff\nemail,name\nemail,name\n", roster.Options{}, 2},
		"not in the first rows":       {"Staff\n" + lines(30) + "email,name\n", roster.Options{}, 0},
		"people are not taken for it": {"Mail,Phone\nemail@example.com,1\nname@example.com,2\n", roster.Options{}, 0},
		"nothing":                     {"", roster.Options{}, 0},
	} {
		if got, ok := userfile.FindHeaderRow([]byte(c.file), c.o); got != c.want || ok != (c.want > 0) {
			t.Errorf("%s: %d, %v", name, got, ok)
		}
	}
}

func lines(n int) (s string) {
	for range n {
		s += "x,y\n"
	}
	return s
}
