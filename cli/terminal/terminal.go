// Package terminal writes what others wrote on terminals.
package terminal

import (
	"strings"
	"unicode"
)

// maxShown is how much of a text from elsewhere is shown, in characters.
const maxShown = 500

// Visible makes a text from elsewhere fit to stand in a line on a terminal: no
// escape sequence, no line break and no change of direction gets through, and
// not more than maxShown characters.
func Visible(text string) string {
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
		default: // control and format characters, and what was no UTF-8
			out.WriteRune(unicode.ReplacementChar)
		}
	}
	return out.String()
}
