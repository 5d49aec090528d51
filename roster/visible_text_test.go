package roster_test

import (
	"testing"

	"rollcall/roster"
)

func TestNamesThatAreKept(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Zoë", "O’Brien", "李雷", "山田 太郎", "Ανδρέας", "محمد", "אברהם", "ก้อง", "நந்தினி",
		"علی\u200cرضا", // Persian needs a non-joiner between letters
		"क्\u200dष", "👩\u200d💻 Ada", "👩🏽\u200d🚀", "❤\ufe0f", "葛\U000e0100城", "Ann \"Annie\" Lee", "“The Rock” Johnson", "Dr. 24\"",
	} {
		if got, problems := roster.CheckRow(roster.Cells{Email: "a@example.com", Name: name, Department: name}); problems != nil || got.Name != name {
			t.Errorf("%q: %q, %+v", name, got.Name, problems)
		}
	}
}

func TestNamesThatDeceive(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		value      string
		code       roster.Code
		suggestion string
	}{
		"zero-width space alone":  {"\u200b", roster.MissingRequiredField, ""},
		"Hangul filler alone":     {"\u3164", roster.MissingRequiredField, ""},
		"blank Braille alone":     {"\u2800\u2800", roster.MissingRequiredField, ""},
		"joiners alone":           {"\u200d\u200c", roster.MissingRequiredField, ""},
		"override":                {"Ann\u202eeeL", roster.MalformedRow, "AnneeL"},
		"isolate":                 {"\u2066Ann\u2069", roster.MalformedRow, "Ann"},
		"left-to-right mark":      {"Ann\u200e", roster.MalformedRow, "Ann"},
		"Arabic letter mark":      {"\u061cAnn", roster.MalformedRow, "Ann"},
		"line separator":          {"Ann\u2028Lee", roster.MalformedRow, "Ann Lee"},
		"paragraph separator":     {"Ann\u2029Lee", roster.MalformedRow, "Ann Lee"},
		"next line":               {"Ann\u0085Lee", roster.MalformedRow, "Ann Lee"},
		"separator and spaces":    {"Ann \u2028 \u2028Lee", roster.MalformedRow, "Ann Lee"},
		"tags":                    {"Ann\U000e0041\U000e0042", roster.MalformedRow, "Ann"},
		"private use":             {"Ann\ue000", roster.MalformedRow, ""},
		"replacement character":   {"Andr\ufffd", roster.MalformedRow, ""},
		"zero-width space":        {"Ann\u200bLee", roster.MalformedRow, "AnnLee"},
		"byte order mark":         {"Ann\ufeff", roster.MalformedRow, "Ann"},
		"soft hyphen":             {"Ann\u00adLee", roster.MalformedRow, "AnnLee"},
		"joiner at the end":       {"Ann\u200d", roster.MalformedRow, "Ann"},
		"non-joiner at the front": {"\u200cعلی", roster.MalformedRow, "علی"},
		"joiner before a space":   {"Ann\u200d Lee", roster.MalformedRow, "Ann Lee"},
		"two joiners":             {"Ann\u200d\u200dLee", roster.MalformedRow, "Ann\u200dLee"},
		"selector in front":       {"\ufe0fAnn", roster.MalformedRow, "Ann"},
		"a control character":     {"Ann\x00", roster.MalformedRow, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, problems := roster.CheckRow(roster.Cells{Email: "a@example.com", Name: c.value})
			if len(problems) != 1 || problems[0].Code != c.code || problems[0].Suggestion != c.suggestion {
				t.Fatalf("%q: %+v", c.value, problems)
			}
			if s := problems[0].Suggestion; s != "" {
				if _, again := roster.CheckRow(roster.Cells{Email: "a@example.com", Name: s}); again != nil {
					t.Errorf("the suggestion %q is refused: %+v", s, again)
				}
			}
			if _, problems = roster.CheckRow(roster.Cells{Email: "a@example.com", Name: "A", Department: c.value}); len(problems) != 1 ||
				problems[0].Code != roster.MalformedRow {
				t.Errorf("as a department: %+v", problems)
			}
		})
	}
}

// FuzzStoredValues: every accepted row has a name with something visible and an
// address without anything hidden.
func FuzzStoredValues(f *testing.F) {
	for _, seed := range [][2]string{{"a@example.com", "A"}, {"a@b\u200b.c", "\u200b"}, {"'=a@b.c", "\u3164x"}, {"a@ﬁn.example", "é\u0301"}, {"a@b.c", "a\xff"}, {"a@b.c", "\xc3\u200b0"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, email, name string) {
		p, problems := roster.CheckRow(roster.Cells{Email: email, Name: name})
		if len(problems) > 0 {
			return
		}
		if !roster.HasVisible(p.Name) || roster.WithoutHidden(p.Name) != p.Name {
			t.Errorf("the name %q is stored", p.Name)
		}
		if roster.WithoutHidden(p.Email) != p.Email || p.Email[0] == '\'' && len(p.Email) > 1 && p.Email[1] == '=' {
			t.Errorf("the address %q is stored", p.Email)
		}
		if key, err := roster.EmailKey(p.Email); err != nil || key != p.EmailKey {
			t.Errorf("%q is compared as %q, as stored %q, %v", email, p.EmailKey, key, err)
		}
	})
}
