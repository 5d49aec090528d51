package termtext_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"rollcall/cli/termtext"
)

// FuzzVisible: any text becomes one line without terminal control.
func FuzzVisible(f *testing.F) {
	f.Add("\x1b[31m\xff\u202e\n")
	f.Fuzz(func(t *testing.T, text string) {
		got := termtext.Sanitize(text)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e }) {
			t.Errorf("%q", got)
		}
	})
}
