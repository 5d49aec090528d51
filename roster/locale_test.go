package roster_test

import (
	"strings"
	"testing"

	"rollcall/roster"
)

func TestParseLocale(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"de": "de", "DE": "de", "de-CH": "de-CH", "de_ch": "de-CH", "pt-BR": "pt-BR", "zh-Hant-TW": "zh-Hant-TW", "iw": "he", "en-US": "en-US", "sr-Latn": "sr-Latn",
		"": "", "german": "", "d": "", "de CH": "", "und": "", "x-klingon": "", "de-": "", "de-CHE-": "", "de;q=1": "", "*": "", "C": "", "POSIX": "",
		"de-" + strings.Repeat("x-abcdefg-", 4) + "x": "", "dé": "", "de\x00": "",
	} {
		got, ok := roster.ParseLocale(s)
		if got != want || ok != (want != "") {
			t.Errorf("%q is %q, %t", s, got, ok)
		}
		if again, ok := roster.ParseLocale(got); got != "" && (again != got || !ok) {
			t.Errorf("%q is %q, and that is %q", s, got, again)
		}
	}
}

func TestRowWithLocale(t *testing.T) {
	t.Parallel()
	cells := roster.Cells{Email: "a@example.com", Name: "A", Locale: " fr_ca "}
	if p, problems := roster.CheckRow(cells); len(problems) > 0 || p.Locale != "fr-CA" {
		t.Errorf("%+v, %v", p, problems)
	}
	for value, suggestion := range map[string]string{"Deutsch": "de", "FRENCH": "fr", "Klingon": "", "1": ""} {
		cells.Locale = value
		_, problems := roster.CheckRow(cells)
		if len(problems) != 1 || problems[0].Code != roster.InvalidLocale || problems[0].Field != roster.ColumnLocale || problems[0].Value != value || problems[0].Suggestion != suggestion || problems[0].Advice() == "" {
			t.Errorf("%q: %+v", value, problems)
		}
	}
}
