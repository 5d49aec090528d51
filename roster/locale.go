package roster

import (
	"strings"

	"golang.org/x/text/language"
)

// maxLocale is the length, in bytes, that RFC 5646 asks every program to take.
const maxLocale = 35

// ParseLocale returns the BCP 47 tag that s names in its usual form, such as de-CH
// for de_ch. ok is false if s names no language.
func ParseLocale(s string) (tag string, ok bool) {
	if len(s) > maxLocale {
		return "", false
	}
	parsed, err := language.Parse(s)
	if err != nil {
		return "", false
	}
	if base, _, _ := parsed.Raw(); base.String() == "und" {
		return "", false // such as und, or only a private use
	}
	tag = parsed.String()
	return tag, len(tag) <= maxLocale
}

// languageNames are the languages that mails are written in, by the names that
// people put in place of a tag.
var languageNames = map[string]string{
	"english": "en",
	"german":  "de", "deutsch": "de",
	"french": "fr", "français": "fr", "francais": "fr",
	"spanish": "es", "español": "es", "espanol": "es",
	"italian": "it", "italiano": "it",
	"portuguese": "pt", "português": "pt", "portugues": "pt",
	"dutch": "nl", "nederlands": "nl",
	"polish": "pl", "polski": "pl",
}

func localeProblem(value string) Problem {
	p := problem(ColumnLocale, InvalidLocale, value, "The locale must be a language tag such as de or de-CH.")
	p.Suggestion = languageNames[strings.ToLower(value)]
	return p
}
