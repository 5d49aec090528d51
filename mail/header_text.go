package mail

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"rollcall/roster"
)

// Limits in bytes of header values.
const (
	maxDisplayName = 200
	maxSubject     = 400
)

// headerText is singleLine for a header: it also breaks up anything that looks
// like an encoded word (RFC 2047), which a mail program would decode.
func headerText(s string, limit int) string {
	return strings.ReplaceAll(singleLine(s, limit), "=?", "= ?")
}

// singleLine makes one printable line of s: runs of white space become one
// space; control, format (bidi overrides, zero-width) and unassigned characters
// and invalid UTF-8 are dropped; the result is cut to limit bytes at a
// character boundary. Joiners are kept between letters and emoji that need
// them.
func singleLine(s string, limit int) string {
	var b strings.Builder
	gap, before := false, rune(-1)
	for i, r := range s {
		if roster.IsJoiner(r) {
			if after, _ := utf8.DecodeRuneInString(s[i+utf8.RuneLen(r):]); gap || !roster.MayJoin(before, after) {
				continue
			}
			if b.Len()+utf8.RuneLen(r) > limit {
				break
			}
			b.WriteRune(r)
			before = r
			continue
		}
		before = r
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
