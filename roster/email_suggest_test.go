package roster_test

import (
	"strings"
	"testing"

	"rollcall/roster"
)

func TestEmailSuggestions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ cell, want, message string }{
		"zero-width space":           {"grace@example.com\u200b", "grace@example.com", "a zero-width space (U+200B)"},
		"byte order mark":            {"\ufeffgrace@example.com", "grace@example.com", "a byte order mark (U+FEFF)"},
		"zero-width space within":    {"gra\u200bce@example.com", "grace@example.com", "U+200B"},
		"left-to-right mark":         {"grace@example\u200e.com", "grace@example.com", "a left-to-right mark"},
		"soft hyphen":                {"grace@ex\u00adample.com", "grace@example.com", "a soft hyphen"},
		"direction control":          {"\u202agrace@example.com\u202c", "grace@example.com", "a text direction control"},
		"variation selector":         {"grace\ufe0f@example.com", "grace@example.com", "U+FE0F"},
		"tag":                        {"grace\U000e0041@example.com", "grace@example.com", "a hidden tag character"},
		"full-width at":              {"grace＠example.com", "grace@example.com", "full-width character '＠'"},
		"full-width letters":         {"ｇｒａｃｅ@example.com", "grace@example.com", "full-width"},
		"full-width dot":             {"grace@example．com", "grace@example.com", "full-width"},
		"no-break space within":      {"gra\u00a0ce@example.com", "", "a no-break space"},
		"name and address":           {"Grace Hopper <grace@example.com>", "grace@example.com", "a name beside the address"},
		"surname first":              {"Hopper, Grace <grace@example.com>", "grace@example.com", "a name beside the address"},
		"quoted name":                {`"Hopper, Grace" <grace@example.com>;`, "grace@example.com", "a name beside the address"},
		"angle brackets":             {"<grace@example.com>", "grace@example.com", ""},
		"link":                       {"mailto:grace@example.com", "grace@example.com", ""},
		"link with a subject":        {"MAILTO:grace@example.com?subject=Hi", "grace@example.com", ""},
		"trailing dot":               {"grace@example.com.", "grace@example.com", ""},
		"trailing comma":             {"grace@example.com,", "grace@example.com", ""},
		"trailing semicolon":         {"grace@example.com;", "grace@example.com", ""},
		"typographic quotes":         {"“grace@example.com”", "grace@example.com", ""},
		"single quotes":              {"'grace@example.com'", "grace@example.com", ""},
		"space before the at":        {"grace @ example.com", "grace@example.com", ""},
		"guarded":                    {"'=calc@a.example", "=calc@a.example", "apostrophe"},
		"guarded twice":              {"''+calc@a.example", "+calc@a.example", "apostrophe"},
		"two addresses":              {"grace@example.com; ada@example.com", "", "2 addresses"},
		"two with a slash":           {"grace@example.com / ada@example.com", "", "2 addresses"},
		"three":                      {"a@example.com,b@example.com,c@example.com", "", "3 addresses"},
		"two in brackets":            {"Grace <grace@example.com>, Ada <ada@example.com>", "", ""},
		"nothing to suggest":         {"grace", "", "no @"},
		"which letter is meant":      {"grâce@example.com", "", ""},
		"a space in the middle":      {"grace hopper@example.com", "", "space"},
		"no domain is meant for it":  {"grace@10.0.0.1", "", "number"},
		"two at signs":               {"grace@@example.com", "grace@example.com", "more than one @"},
		"at as a word":               {"grace(at)example.com", "grace@example.com", "a word in place of the @"},
		"at and dot as words":        {"grace [at] example [dot] com", "grace@example.com", "a word in place of the @"},
		"a comma for a dot":          {"grace@example,com", "grace@example.com", "a comma in place of a dot"},
		"one bracket behind":         {"grace@example.com>", "grace@example.com", "angle brackets"},
		"one bracket before":         {"<grace@example.com", "grace@example.com", "angle brackets"},
		"two dots in the domain":     {"grace@example..com", "grace@example.com", "extra dot"},
		"a dot behind the at":        {"grace@.example.com", "grace@example.com", ""},
		"a dot before the at":        {"grace.@example.com", "grace@example.com", "ends with a dot"},
		"Exchange":                   {"SMTP:grace@example.com", "grace@example.com", "smtp: before it"},
		"a label":                    {"E-mail: grace@example.com", "grace@example.com", "e-mail: before it"},
		"a slash behind":             {"grace@example.com/", "grace@example.com", ""},
		"a remark behind":            {"grace@example.com (work)", "grace@example.com", "remark"},
		"percent-encoded":            {"grace%40example.com", "grace@example.com", "code"},
		"an HTML entity":             {"grace&#64;example.com", "grace@example.com", "code"},
		"a backslash":                {`grace\@example.com`, "grace@example.com", "backslash"},
		"a Markdown link":            {"[grace@example.com](mailto:grace@example.com)", "grace@example.com", "a link"},
		"the same twice":             {"grace@example.com grace@example.com", "grace@example.com", ""},
		"two at signs apart":         {"grace@hopper@example.com", "", "more than one @"},
		"a comma behind a domain":    {"grace@example.com,de", "", ""},
		"two commas":                 {"grace@mail,example,com", "", ""},
		"a comma before the at":      {"grace,hopper@example.com", "", ""},
		"two words":                  {"grace at example.com", "", "no @"},
		"an ending that is none":     {"grace@example", "", "needs a dot"},
		"two dots before the at":     {"grace..hopper@example.com", "", "misplaced dot"},
		"what is left is no address": {"\u200b@example.com", "", "U+200B"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, problems := roster.CheckRow(roster.Cells{Email: c.cell, Name: "Grace"})
			if len(problems) != 1 || problems[0].Code != roster.InvalidEmail {
				t.Fatalf("problems of %q: %+v", c.cell, problems)
			}
			p := problems[0]
			if p.Suggestion != c.want || !strings.Contains(p.Message, c.message) {
				t.Errorf("suggestion %q, message %q; want %q, %q", p.Suggestion, p.Message, c.want, c.message)
			}
			if p.Suggestion == "" {
				return
			}
			if got, again := roster.CheckRow(roster.Cells{Email: p.Suggestion, Name: "Grace"}); again != nil || got.Email != p.Suggestion {
				t.Errorf("the suggestion is refused: %+v", again)
			}
		})
	}
}

// TestFixesSayWhatToDo: the fix names what is to be done with this value.
func TestFixesSayWhatToDo(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]string{
		"mailto:grace@example.com": "Remove mailto:", `"grace@example.com"`: "Remove the quotes", "'grace@example.com'": "Remove the quotes",
		"grace@example.com;": "Remove the semicolon", "grace@example.com,": "Remove the comma", "grace@example.com.": "Remove the dot",
		"<grace@example.com>": "Remove the brackets", "grace@@example.com": "Write one @", "grace(at)example.com": "Write @",
		"Grace <grace@example.com>": "Keep only the address", "grace@example,com": "Write a dot",
	} {
		_, problems := roster.CheckRow(roster.Cells{Email: cell, Name: "Grace"})
		if len(problems) != 1 || !strings.HasPrefix(problems[0].Fix, want) {
			t.Errorf("%s: %+v, want %q", cell, problems, want)
		}
	}
	for _, c := range []struct {
		cells roster.Cells
		want  string
	}{
		{roster.Cells{Name: "Grace\tHopper"}, "Put a space in place of the tab"},
		{roster.Cells{Name: "Grace\nHopper"}, "Put a space in place of the line break"},
		{roster.Cells{Name: "Grace", Role: "NULL"}, "Leave the role blank"},
		{roster.Cells{Name: "Grace", Role: "-"}, "Leave the role blank"},
		{roster.Cells{Name: "Grace", Role: "n/a"}, "Leave the role blank"},
		{roster.Cells{Name: "Grace", Role: "Benutzer"}, "Write user, or leave the role blank"},
	} {
		c.cells.Email = "grace@example.com"
		if _, problems := roster.CheckRow(c.cells); len(problems) != 1 || problems[0].Fix != c.want {
			t.Errorf("%+v: %+v, want %q", c.cells, problems, c.want)
		}
	}
}

func TestDomainsAreStoredAsShown(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"a@Example.COM":          "a@Example.COM",
		"a@Bücher.example":       "a@Bücher.example",
		"a@bu\u0308cher.example": "a@bücher.example",
		"a@例え。テスト":               "a@例え.テスト",
		"a@ﬁn.example":           "a@fin.example",
		"a@①.example":            "a@1.example",
		"a@\u212Aelvin.example":  "a@kelvin.example",
		"a@xn--bcher-kva.org":    "a@xn--bcher-kva.org",
		"a@straße.example":       "a@straße.example",
	} {
		got, problems := roster.CheckRow(roster.Cells{Email: typed, Name: "A"})
		if problems != nil || got.Email != want {
			t.Errorf("%q is stored as %q, %v; want %q", typed, got.Email, problems, want)
		}
		if key, err := roster.EmailKey(got.Email); err != nil || key != got.EmailKey {
			t.Errorf("%q has the key %q, as stored %q (%v)", typed, got.EmailKey, key, err)
		}
	}
}

func TestRoleSuggestions(t *testing.T) {
	t.Parallel()
	for role, want := range map[string]string{
		"Administrator": "admin", "ADMINISTRADOR": "admin", "admin.": "admin", "“admin”": "admin",
		"Benutzer": "user", "Member": "user", "users": "user", "utilisateur": "user", "user\u200b": "user",
		"manager": "", "owner": "", "adm": "", "adminn": "", "super user": "", "root": "", "1": "", "not admin": "", "admin user": "",
	} {
		_, problems := roster.CheckRow(roster.Cells{Email: "a@example.com", Name: "A", Role: role})
		if len(problems) != 1 || problems[0].Code != roster.InvalidRole || problems[0].Suggestion != want {
			t.Errorf("role %q: %+v, want suggestion %q", role, problems, want)
		}
	}
}

// TestAdvice: a problem without a fix of its own has the catalog's.
func TestAdvice(t *testing.T) {
	t.Parallel()
	_, problems := roster.CheckRow(roster.Cells{Email: "bad-email", Name: "A", Role: "boss"})
	for _, p := range problems {
		if p.Advice() != p.Code.RowFix() {
			t.Errorf("%+v advises %q", p, p.Advice())
		}
	}
	_, problems = roster.CheckRow(roster.Cells{Email: "a@example.com b@example.com", Name: "A", Role: "Benutzer"})
	for _, p := range problems {
		if p.Fix == "" || p.Advice() != p.Fix {
			t.Errorf("%+v advises %q", p, p.Advice())
		}
	}
}
