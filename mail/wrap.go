package mail

import (
	"strings"
	"unicode/utf8"
)

// wrapAt is the length of a line of plain text, in characters.
const wrapAt = 76

// wrap breaks a paragraph into lines at its spaces. A no-break space is none.
func wrap(paragraph string) string {
	var b strings.Builder
	length := 0
	for i, word := range strings.Split(paragraph, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case length+1+n > wrapAt:
			b.WriteByte('\n')
			length = 0
		default:
			b.WriteByte(' ')
			length++
		}
		b.WriteString(word)
		length += n
	}
	return b.String()
}
