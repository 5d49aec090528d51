package tabular

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// NormalizeHeader returns the form in which two column names are the same if
// people would call them so: compatibility forms, such as full-width letters,
// are unified (Unicode NFKC), as are upper and lower case; characters without a width are
// dropped; white space around is trimmed; and each run of white space,
// underscores and dashes within is one underscore.
//
// "First Name", "first_name" and " FIRST - NAME " are all "first_name";
// "E-Mail" is "e_mail", which is not "email".
func NormalizeHeader(s string) string {
	visible := func(r rune) rune {
		if unicode.Is(unicode.Cf, r) { // BOM, zero-width, direction marks, soft hyphen
			return -1
		}
		return r
	}
	s = strings.Map(visible, strings.ToValidUTF8(s, "\uFFFD"))
	// By way of upper case, so that letters with two small forms are one.
	s = strings.ToLower(strings.ToUpper(norm.NFKC.String(s)))
	var b strings.Builder
	b.Grow(len(s))
	separated := false
	for _, r := range strings.TrimSpace(norm.NFKC.String(s)) {
		if separator(r) {
			separated = true
			continue
		}
		if separated {
			b.WriteByte('_')
			separated = false
		}
		b.WriteRune(r)
	}
	if separated {
		b.WriteByte('_')
	}
	return b.String()
}

// separator reports whether r parts words: white space, an underscore or a
// dash of any length, the minus sign too.
func separator(r rune) bool {
	return r == '_' || r == '\u2212' || unicode.IsSpace(r) || unicode.Is(unicode.Pd, r)
}
