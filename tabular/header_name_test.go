package tabular_test

import (
	"testing"

	"rollcall/tabular"
)

func TestNormalizeHeader(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                         "",
		"email":                    "email",
		" \u00a0Email\t":           "email",
		"\uFEFFE\u200bmail\u2060":  "email",
		"E-Mail":                   "e_mail",
		"First Name":               "first_name",
		"first_name":               "first_name",
		"FIRST\u2011NAME":          "first_name",
		"first \u2013\u00a0_ name": "first_name",
		"first\u2212name":          "first_name",
		"first\r\nname":            "first_name",
		"_email_":                  "_email_",
		"Ｅｍａｉｌ":                    "email",
		"ΟΔΟΣ":                     "οδοσ", "οδος": "οδοσ", "E-MAİL": "e_mail",
		"STRASSE":      "strasse",
		"straße":       "straße",
		"Pre\u0301nom": "prénom",
		"PRÉNOM":       "prénom",
		"a\xffb":       "a\uFFFDb",
		"---":          "_",
	} {
		if got := tabular.NormalizeHeader(in); got != want {
			t.Errorf("NormalizeHeader(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzNormalizeHeader(f *testing.F) {
	for _, seed := range []string{"E-Mail", " a\u200b _b", "\u0345\u0390", "İ", "_\u00ad_"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := tabular.NormalizeHeader(s)
		if twice := tabular.NormalizeHeader(once); twice != once {
			t.Errorf("%q is %q and then %q", s, once, twice)
		}
	})
}
