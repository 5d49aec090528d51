package mail

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits in bytes of what goes into a header.
const (
	maxDisplayName = 200
	maxSubject     = 400
)

// headerText is singleLine for a header: what looks like an encoded word
// (RFC 2047) is spoilt, or a mail program would decode it.
func headerText(s string, limit int) string {
	return strings.ReplaceAll(singleLine(s, limit), "=?", "= ?")
}

// singleLine makes one printable line of s: runs of white space become one
// space, control, format (bidi overrides, zero-width) and unassigned
// characters are dropped, invalid UTF-8 too, and what exceeds limit bytes is
// cut off before the character that would.
func singleLine(s string, limit int) string {
	var b strings.Builder
	gap := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			gap = b.Len() > 0
			continue
		case r == utf8.RuneError || !unicode.IsGraphic(r):
			continue
		}
		size := utf8.RuneLen(r)
		if gap {
			size++
		}
		if b.Len()+size > limit {
			break
		}
		if gap {
			b.WriteByte(' ')
			gap = false
		}
		b.WriteRune(r)
	}
	return b.String()
}
