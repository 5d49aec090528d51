package mail

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Limits of a name that is still greeted by.
const (
	maxGreetingBytes      = 320
	maxGreetingCharacters = 80
	maxGreetingDigits     = 4
)

// linkable finds what a mail program may turn into a link by itself: a scheme,
// an address, a path, or a word with a dot inside, as in evil.example.
var linkable = regexp.MustCompile(`[:/\\@]|(?i:www\.)|[\pL\pN]\.[\pL\pN]{2}|\pN\.\pN`)

// greetingName returns the name to greet someone by, or "" where it does not
// read like a name. Whoever fills in the file must not be able to put a link, a
// telephone number or a message of their own into a mail sent under our name.
func greetingName(name string) string {
	line := singleLine(name, maxGreetingBytes)
	// NFKC shows look-alikes such as a full-width dot for what they are.
	plain := strings.ReplaceAll(norm.NFKC.String(line), "\u3002", ".")
	digits := 0
	for _, r := range plain {
		if unicode.IsDigit(r) {
			digits++
		}
	}
	if digits > maxGreetingDigits || utf8.RuneCountInString(line) > maxGreetingCharacters || linkable.MatchString(plain) {
		return ""
	}
	return line
}
