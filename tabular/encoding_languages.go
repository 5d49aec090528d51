package tabular

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// alphabets are the letters beyond ASCII of languages that an encoding with Latin
// letters is for, together where one file often has several of them. Read in a
// wrong encoding, a name has letters of languages that have nothing to do with
// each other: "Þemaitis, Rûta" or "Ţemaitis, Rűta" for "Žemaitis, Rūta".
var alphabets = func() map[string][]string {
	const (
		western   = "àáâãäåæçèéêëìíîïñòóôõöøùúûüÿœß"
		icelandic = "áéíóúýðþæö"
		german    = "äöüß"
	)
	all := map[string][]string{
		"windows-1250": {"ąćęłńóśźż" + german, "áäčďéěíĺľňóôŕřšťúůýž" + german, "áéíóúőű" + german, "čćđšž" + german, "ăâîşţ" + german},
		"windows-1254": {"çğıöşüâîû"},
		"windows-1257": {"ąčęėįšųūž" + german, "āčēģīķļņšūž" + german, "õšž" + german},
	}
	all["iso-8859-2"] = all["windows-1250"]
	for _, name := range [...]string{"windows-1252", "macintosh", "ibm850", "ibm437"} {
		all[name] = []string{western, icelandic}
	}
	return all
}()

// histogram counts the bytes of a sample.
func histogram(sample []byte) *[256]int {
	counts := new([256]int)
	for _, b := range sample {
		counts[b]++
	}
	return counts
}

// strayLetters counts the letters beyond ASCII that do not belong to the language,
// of those of an encoding, that has most of them.
func strayLetters(counts *[256]int, name string, set *charmap.Charmap) int {
	languages := alphabets[name]
	if languages == nil {
		return 0
	}
	total, best := 0, 0
	inside := make([]int, len(languages))
	for b := utf8.RuneSelf; b < len(counts); b++ {
		r := set.DecodeByte(byte(b))
		if counts[b] == 0 || !unicode.Is(unicode.Latin, r) || !unicode.IsUpper(r) && !unicode.IsLower(r) {
			continue
		}
		total += counts[b]
		if r = unicode.ToLower(r); r == 'i' {
			r = 'ı' // from İ
		}
		for i, letters := range languages {
			if strings.ContainsRune(letters, r) {
				inside[i] += counts[b]
			}
		}
	}
	for _, n := range inside {
		best = max(best, n)
	}
	return total - best
}
