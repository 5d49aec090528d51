package mail

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// CustomText is what an organization says in place of the usual words of an
// invitation. Empty fields leave the usual ones.
type CustomText struct {
	Subject string
	Opening string // the first paragraph
}

// Placeholders of custom texts.
const (
	PlaceholderBrand     = "{brand}"     // the product
	PlaceholderRemaining = "{remaining}" // how long the link works, such as "3 days"
	PlaceholderExpires   = "{expires}"   // when it stops working
)

// Placeholders lists the placeholders of custom texts.
func Placeholders() []string {
	return []string{PlaceholderBrand, PlaceholderRemaining, PlaceholderExpires}
}

// Limits of custom texts in characters, and of what becomes of an opening in bytes.
const (
	MaxCustomSubject = 150
	MaxCustomOpening = 600
	maxOpening       = 4 * MaxCustomOpening
)

// CustomTextProblem says what is wrong with a custom text, "" for nothing. field
// names it at the beginning of the sentence.
func CustomTextProblem(field, text string, limit int) string {
	if n := utf8.RuneCountInString(text); n > limit {
		return fmt.Sprintf("%s has %d characters; the maximum is %d.", field, n, limit)
	}
	if singleLine(text, len(text)) != strings.Join(strings.Fields(text), " ") {
		return field + " contains a character that can't be shown."
	}
	for _, name := range inBraces.FindAllString(text, -1) {
		if !slices.Contains(Placeholders(), name) {
			return fmt.Sprintf("%s contains %s; the placeholders are %s.", field, name, strings.Join(Placeholders(), ", "))
		}
	}
	rest := inBraces.ReplaceAllString(text, " ")
	if strings.ContainsAny(rest, "{}") {
		return field + " contains a brace that belongs to no placeholder."
	}
	if strings.ContainsAny(rest, "<>") {
		return field + " must be plain text, without < and >."
	}
	// NFKC replaces look-alikes, such as a full-width dot.
	if plain := norm.NFKC.String(rest); linkable.MatchString(plain) || strings.Contains(plain, "://") || strings.Contains(plain, "@") {
		return field + " must not contain a link, a domain or an email address: people should only trust the link of the invitation."
	}
	if strings.TrimSpace(text) != "" && !strings.ContainsFunc(rest, unicode.IsLetter) {
		return field + " must have at least one word."
	}
	return ""
}

var inBraces = regexp.MustCompile(`\{[^{}]*\}`)

// Trimmed returns the text with runs of white space as one space.
func (c CustomText) Trimmed() CustomText {
	return CustomText{strings.Join(strings.Fields(c.Subject), " "), strings.Join(strings.Fields(c.Opening), " ")}
}
