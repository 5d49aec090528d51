package roster

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	zeroWidthNonJoiner = '\u200C'
	zeroWidthJoiner    = '\u200D'
)

// characterNames are the common names of the invisible and easily confused
// characters that files contain most often.
var characterNames = map[rune]string{
	'\u00A0': "a no-break space", '\u00AD': "a soft hyphen", '\u200B': "a zero-width space", zeroWidthNonJoiner: "a zero-width non-joiner",
	zeroWidthJoiner: "a zero-width joiner", '\u200E': "a left-to-right mark", '\u200F': "a right-to-left mark", '\u061C': "an Arabic letter mark",
	'\u2028': "a line separator", '\u2029': "a paragraph separator", '\u2060': "a word joiner", '\uFEFF': "a byte order mark",
	'\u3164': "a Hangul filler", '\u2800': "a blank Braille pattern", '\u3000': "an ideographic space",
}

// describeCharacter names a character that is invisible or looks like another
// one.
func describeCharacter(r rune) string {
	name, known := characterNames[r]
	switch {
	case known:
	case isBidiControl(r):
		name = "a text direction control"
	case r >= 0xE0000 && r <= 0xE007F:
		name = "a hidden tag character"
	case unicode.Is(unicode.Co, r):
		name = "a private-use character"
	case isFullWidth(r):
		return fmt.Sprintf("the full-width character %q (U+%04X)", r, r)
	case unicode.IsSpace(r):
		name = "a special space"
	default:
		name = "an invisible character"
	}
	return fmt.Sprintf("%s (U+%04X)", name, r)
}

func isBidiControl(r rune) bool {
	return r >= '\u202A' && r <= '\u202E' || r >= '\u2066' && r <= '\u2069' || r == '\u200E' || r == '\u200F' || r == '\u061C'
}

// isFullWidth reports whether r is a wide form of an ASCII character.
func isFullWidth(r rune) bool { return r >= '\uFF01' && r <= '\uFF5E' }

// isVariationSelector reports whether r only selects the appearance of the
// character before it.
func isVariationSelector(r rune) bool {
	return r >= '\uFE00' && r <= '\uFE0F' || r >= 0xE0100 && r <= 0xE01EF || r >= '\u180B' && r <= '\u180D'
}

// isFiller reports whether r takes up space and shows nothing, although it
// counts as a letter or symbol.
func isFiller(r rune) bool {
	switch r {
	case '\u115F', '\u1160', '\u3164', '\uFFA0', '\u2800', '\u17B4', '\u17B5':
		return true
	}
	return false
}

// isVisibleFormat reports whether r is one of the few visible format
// characters: Arabic and Kaithi number signs.
func isVisibleFormat(r rune) bool {
	return r >= '\u0600' && r <= '\u0605' || r == '\u06DD' || r == '\u070F' || r == '\u0890' || r == '\u0891' || r == '\u08E2' ||
		r == 0x110BD || r == 0x110CD
}

// isHidden reports whether r is invisible and not white space.
func isHidden(r rune) bool {
	return unicode.Is(unicode.Cf, r) && !isVisibleFormat(r) || unicode.Is(unicode.Co, r) || r == '\u2028' || r == '\u2029' ||
		r == '\u034F' || isVariationSelector(r) || isFiller(r)
}

// isLineSeparator reports whether r ends a line and isn't ASCII: NEL, and the line
// and paragraph separators.
func isLineSeparator(r rune) bool { return r == '\u0085' || r == '\u2028' || r == '\u2029' }

// HasVisible reports whether a text has at least one visible character.
func HasVisible(s string) bool {
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 0x7F {
			return true
		} else if c >= utf8.RuneSelf {
			return strings.ContainsFunc(s[i:], isVisible)
		}
	}
	return false
}

func isVisible(r rune) bool {
	return (unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) || isVisibleFormat(r)) && !isFiller(r) && r != utf8.RuneError
}

// forbiddenCharacter finds the first character that a name or another free text
// may not have, from its first byte beyond printable ASCII on. ok is false if
// there is none.
//
// Joiners are allowed between letters, as Persian and Indic scripts need them,
// and between emoji; variation selectors are allowed after a visible character.
func forbiddenCharacter(s string) (at int, r rune, ok bool) {
	before := rune(-1)
	for i, r := range s {
		size := utf8.RuneLen(r)
		switch {
		case IsJoiner(r):
			if after, _ := utf8.DecodeRuneInString(s[i+size:]); !MayJoin(before, after) {
				return i, r, true
			}
		case isVariationSelector(r):
			if !isVisible(before) {
				return i, r, true
			}
		case isFiller(r):
		case unicode.IsControl(r) || r == utf8.RuneError || isHidden(r):
			return i, r, true
		}
		before = r
	}
	return 0, 0, false
}

// IsJoiner reports whether r is a zero-width joiner or non-joiner.
func IsJoiner(r rune) bool { return r == zeroWidthJoiner || r == zeroWidthNonJoiner }

// MayJoin reports whether a joiner has a meaning between two characters: both
// are letters or emoji.
func MayJoin(before, after rune) bool { return joinable(before) && joinable(after) }

// joinable reports whether a joiner may be next to r.
func joinable(r rune) bool {
	return r != utf8.RuneError && r >= 0 && (unicode.In(r, unicode.L, unicode.M, unicode.So, unicode.Sk) || isVariationSelector(r))
}

// WithoutHidden removes the hidden characters that a free text may not have. Line
// and paragraph separators become a space, as they part words.
func WithoutHidden(s string) string {
	for {
		at, r, ok := forbiddenCharacter(s)
		if !ok {
			return strings.TrimSpace(s)
		}
		_, size := utf8.DecodeRuneInString(s[at:]) // a broken byte is shorter than the U+FFFD it reads as
		before, after := s[:at], s[at+size:]
		if isLineSeparator(r) {
			before, after = strings.TrimRight(before, " ")+" ", strings.TrimLeft(after, " ")
		}
		s = before + after
	}
}
