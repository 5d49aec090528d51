package mail

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxSalutation is the maximum length of a name in a salutation, in characters:
// too short for most sentences.
const maxSalutation = 40

// linkable matches what a mail program may turn into a link by itself: a word
// with a dot inside, as in evil.example.
var linkable = regexp.MustCompile(`(?i:www\.)|\pL\pM*\.\pL\pM*\pL`)

// salutationName returns the name for the salutation of a mail, or "" if it
// cannot be used: it may have at most 40 characters, which must be letters,
// marks, spaces, apostrophes, hyphens or dots. The author of a file must not be
// able to put a link, a phone number or a message of their own into a mail sent
// in our name.
func salutationName(name string) string {
	line := singleLine(name, maxSalutation*utf8.UTFMax)
	if utf8.RuneCountInString(line) > maxSalutation || strings.ContainsFunc(line, notInName) {
		return ""
	}
	// NFKC replaces look-alikes, such as a full-width dot.
	if linkable.MatchString(withoutJoiners.Replace(norm.NFKC.String(line))) {
		return ""
	}
	return line
}

// withoutJoiners removes ZWNJ and ZWJ, which Persian names need and which are
// invisible in an address.
var withoutJoiners = strings.NewReplacer("\u200c", "", "\u200d", "")

func notInName(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsMark(r) && !strings.ContainsRune(" '’.-‐\u200c\u200d", r)
}
