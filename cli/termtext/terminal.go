// Package termtext sanitizes untrusted text for one line of terminal output.
package termtext

import (
	"strings"
	"unicode"
)

// maxShown is how much of an untrusted text is shown, in characters.
const maxShown = 500

// Sanitize makes untrusted text safe to print within one line of a terminal: it
// removes escape sequences, line breaks and direction changes and keeps at most
// maxShown characters.
func Sanitize(text string) string {
	var out strings.Builder
	n := 0
	for _, r := range strings.TrimSpace(text) {
		if n++; n > maxShown {
			out.WriteString("…")
			break
		}
		switch {
		case unicode.IsSpace(r):
			out.WriteByte(' ')
		case unicode.IsPrint(r):
			out.WriteRune(r)
		default: // control and format characters, and invalid UTF-8
			out.WriteRune(unicode.ReplacementChar)
		}
	}
	return out.String()
}
