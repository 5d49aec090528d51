package tabular

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// singleByte are the candidates of one byte a character, the most common first.
var singleByte = [...]struct {
	name string
	set  *charmap.Charmap
}{
	{"windows-1252", charmap.Windows1252},
	{"macintosh", charmap.Macintosh},
	{"windows-1250", charmap.Windows1250},
	{"windows-1251", charmap.Windows1251},
	{"koi8-r", charmap.KOI8R},
	{"windows-1253", charmap.Windows1253},
	{"windows-1254", charmap.Windows1254},
	{"windows-1255", charmap.Windows1255},
	{"windows-1256", charmap.Windows1256},
	{"windows-1257", charmap.Windows1257},
	{"windows-874", charmap.Windows874},
	{"iso-8859-2", charmap.ISO8859_2},
	{"iso-8859-7", charmap.ISO8859_7},
	{"ibm850", charmap.CodePage850},
	{"ibm437", charmap.CodePage437},
	{"ibm866", charmap.CodePage866},
}

// doubleByte are the candidates of two bytes a character.
var doubleByte = [...]struct {
	name   string
	common func(lead, trail byte) bool
	valid  func(lead, trail byte) bool
}{
	{"euc-kr", commonEUCKR, validEUC},
	{"gb18030", commonGBK, validGBK},
	{"euc-jp", commonEUCJP, validEUC},
	{"big5", commonBig5, validBig5},
	{"shift_jis", commonShiftJIS, validShiftJIS},
}

// bestEncoding names the encoding that makes the likeliest words of bytes that
// are not UTF-8. Each candidate reads the sample and earns points for letters
// where letters stand in names and loses some for what does not stand there: a
// symbol within a word, a capital behind a small letter, a pair of bytes that
// is no common character, a letter that its languages do not have beside the
// others. The first of equals wins. near is another one that is near and reads
// the sample differently, the best of them; "" if there is none. sure is false if the first one is no
// advice to give.
func bestEncoding(sample []byte) (name, near string, sure bool) {
	type rated struct {
		name   string
		points int
		set    *charmap.Charmap // nil: of two bytes
	}
	letters := histogram(sample)
	var all []rated
	for _, c := range singleByte {
		all = append(all, rated{c.name, rateLetters(sample, c.set) - 2*strayLetters(letters, c.name, c.set), c.set})
	}
	for _, c := range doubleByte {
		all = append(all, rated{c.name, ratePairs(sample, c.common, c.valid, c.name == "shift_jis"), nil})
	}
	best := rated{singleByte[0].name, 0, singleByte[0].set}
	for _, r := range all {
		if r.points > best.points {
			best = r
		}
	}
	second := rated{points: best.points - max(best.points/10, min(1, best.points/4)) - 1}
	for _, r := range all {
		if r.points > second.points && r.name != best.name && !sameText(sample, r.set, best.set) {
			second = r
		}
	}
	sure = best.points > 0 && (second.name == "" || best.name == singleByte[0].name)
	return best.name, second.name, sure
}

// sameText reports whether two encodings of one byte a character read a sample
// the same.
func sameText(sample []byte, a, b *charmap.Charmap) bool {
	if a == nil || b == nil {
		return false
	}
	for _, c := range sample {
		if c >= utf8.RuneSelf && a.DecodeByte(c) != b.DecodeByte(c) {
			return false
		}
	}
	return true
}

// rateLetters rates the sample read in an encoding of one byte a character.
func rateLetters(sample []byte, set *charmap.Charmap) int {
	at := func(i int) rune {
		if i < 0 || i >= len(sample) {
			return ' '
		}
		return set.DecodeByte(sample[i])
	}
	points := 0
	for i, b := range sample {
		if b >= utf8.RuneSelf {
			points += rate(at(i-1), at(i), at(i+1), at(i+2))
		}
	}
	return points
}

// rate rates a character that is not ASCII by its neighbours.
func rate(before, r, after, afterNext rune) int {
	within := unicode.IsLetter(before) && unicode.IsLetter(after)
	switch {
	case r == utf8.RuneError:
		return -10
	case unicode.IsControl(r):
		return -6
	case unicode.Is(unicode.Latin, r):
		return rateLatin(before, r, after, afterNext)
	case unicode.Is(unicode.Cyrillic, r) || unicode.Is(unicode.Greek, r):
		return rateScript(before, r, after)
	case unicode.In(r, unicode.Hebrew, unicode.Arabic, unicode.Thai):
		return rateCaseless(before, r, after)
	case r == '·' && before == 'l' && after == 'l':
		return 2 // Col·lell
	case strings.ContainsRune("£€§", r) && unicode.IsLetter(after):
		return -1 // £ukasz
	case strings.ContainsRune("£€§°·©®«»¿¡", r) && !within:
		return 1 // a lone sign between plain text
	case r == '\u2019' && within && (after == 's' || after == 't') && !unicode.IsLetter(afterNext):
		return 3 // Women’s
	case r == '\u2019' && within:
		return 1 // O’Brien
	case within:
		return -3
	case unicode.IsPunct(r) || unicode.IsSpace(r):
		return 1
	default:
		return -1
	}
}

// everyday are the letters beyond ASCII that are most of those in European
// names; others count for less.
const everyday = "àáâãäåæçèéêëìíîïñòóôõöøùúûüßœąćęłńśźżőűğışčěřůžăîșțđ" +
	"ÀÁÂÃÄÅÆÇÈÉÊËÍÎÑÓÔÖØÚÛÜŁŚŻČŘŠŽİ" + "ėįųūāēģīķļņğşıĖĮŲŪĀĒĢĪĶĻŅĞŞ"

func rateLatin(before, r, after, afterNext rune) int {
	foreign := func(n rune) bool { return n >= utf8.RuneSelf && unicode.IsLetter(n) }
	switch {
	case foreign(before) && foreign(after):
		return -2 // three in a row: another script taken for Latin
	case !wellCased(before, r, after), unicode.IsUpper(r) && unicode.IsUpper(after) && unicode.IsLower(afterNext):
		return -2
	case strings.ContainsRune("øæœðþ", r) && isVowel(before) && isVowel(after),
		strings.ContainsRune("řšžčďťňłńśźżľĺŕ", r) && isConsonant(before) && isConsonant(after):
		return -1 // Jiøí, Sřren
	case foreign(before) || foreign(after):
		return 0
	case !unicode.IsLetter(before) && !unicode.IsLetter(after):
		return 0 // alone: as likely a sign
	}
	if strings.ContainsRune(everyday, r) {
		return 2
	}
	return 1
}

const vowels = "aeiouyàáâãäåæèéêëìíîïòóôõöøùúûüýąęěůőű"

func isVowel(r rune) bool { return strings.ContainsRune(vowels, unicode.ToLower(r)) }

func isConsonant(r rune) bool {
	return r < utf8.RuneSelf && unicode.IsLetter(r) && !isVowel(r)
}

// rateScript rates a letter of a script in which whole words are written.
func rateScript(before, r, after rune) int {
	same := func(n rune) bool { return n >= utf8.RuneSelf && unicode.IsLetter(n) }
	ascii := func(n rune) bool { return n < utf8.RuneSelf && unicode.IsLetter(n) }
	common := r >= 'А' && r <= 'я' || r == 'Ё' || r == 'ё' || unicode.Is(unicode.Greek, r)
	const frequent = "оаеинαοιες" // in Russian, in Greek
	switch {
	case ascii(before) || ascii(after):
		return -3
	case !wellCased(before, r, after):
		return -2
	case !common || !same(before) && !same(after):
		return 0
	case unicode.IsLower(r) && !unicode.IsLetter(before):
		return -1 // names begin with a capital
	case unicode.IsUpper(r) && !unicode.IsLetter(before) && unicode.IsLower(after):
		return 2
	case strings.ContainsRune(frequent, r):
		return 2
	default:
		return 1
	}
}

// rateCaseless rates a letter of a script without capitals, in which whole words
// are written.
func rateCaseless(before, r, after rune) int {
	const frequent = "יוהלאמרןםנ" + "اليمنرودسحعبة" + "ารนกอเยมสวงตทล"
	script := func(n rune) bool { return unicode.In(n, unicode.Hebrew, unicode.Arabic, unicode.Thai) }
	ascii := func(n rune) bool { return n < utf8.RuneSelf && unicode.IsLetter(n) }
	switch {
	case ascii(before) || ascii(after):
		return -3
	case unicode.IsMark(r) && !unicode.Is(unicode.Thai, r):
		return -2 // names are written without
	case unicode.IsLetter(before) && !script(before) || unicode.IsLetter(after) && !script(after):
		return -2 // of another script
	case !script(before) && !script(after):
		return 0
	case strings.ContainsRune(frequent, r):
		return 2
	default:
		return 1
	}
}

// wellCased reports whether r has the case it would have in a word: no capital
// behind a small letter, nor a small letter before one.
func wellCased(before, r, after rune) bool {
	switch {
	case unicode.IsUpper(r):
		return !unicode.IsLower(before) && (!unicode.IsUpper(before) || !unicode.IsLower(after))
	case unicode.IsLower(r):
		return !unicode.IsUpper(after)
	}
	return true
}

// ratePairs rates the sample read in an encoding of two bytes a character.
// halfWidth says that the encoding has half-width kana of one byte, too.
func ratePairs(sample []byte, common, valid func(lead, trail byte) bool, halfWidth bool) int {
	at := func(i int) byte {
		if i < 0 || i >= len(sample) {
			return ' '
		}
		return sample[i]
	}
	points, behindPair := 0, false
	double, mixed := 0, 0 // common pairs of two high bytes, and with an ASCII byte behind
	for i := 0; i < len(sample); i++ {
		lead, trail := sample[i], at(i+1)
		if lead < utf8.RuneSelf {
			behindPair = false
			continue
		}
		if halfWidth && between(lead, 0xA1, 0xDF) {
			switch {
			case asciiLetter(at(i-1)) || asciiLetter(trail):
				points -= 3
			case between(at(i-1), 0xA1, 0xDF) || between(trail, 0xA1, 0xDF):
				points++
			}
			behindPair = true
			continue
		}
		if !valid(lead, trail) {
			points -= 6
			behindPair = false
			continue
		}
		switch {
		case !behindPair && asciiLetter(at(i-1)) || asciiLetter(at(i+2)):
			points -= 3 // within a word of Latin letters
		case !common(lead, trail):
			points--
		case trail < utf8.RuneSelf:
			points++ // as likely two characters
			mixed++
		default:
			points += 5 // two single bytes at most earn 4
			double++
		}
		behindPair = true
		i++
	}
	if double >= mixed { // among others, they are pairs, too
		points += 4 * mixed
	}
	return points
}

func asciiLetter(b byte) bool { return between(b|0x20, 'a', 'z') }

func between(b, low, high byte) bool { return low <= b && b <= high }

func validEUC(lead, trail byte) bool {
	return between(lead, 0xA1, 0xFE) && between(trail, 0xA1, 0xFE)
}

// commonEUCJP: kana, and kanji of level 1.
func commonEUCJP(lead, trail byte) bool {
	return validEUC(lead, trail) && (lead == 0xA4 || lead == 0xA5 || between(lead, 0xB0, 0xCF))
}

// commonEUCKR: Hangul.
func commonEUCKR(lead, trail byte) bool {
	return validEUC(lead, trail) && between(lead, 0xB0, 0xC8)
}

func validGBK(lead, trail byte) bool {
	return between(lead, 0x81, 0xFE) && (between(trail, 0x40, 0x7E) || between(trail, 0x80, 0xFE))
}

// commonGBK: the hanzi of level 1 of GB 2312.
func commonGBK(lead, trail byte) bool {
	return validEUC(lead, trail) && between(lead, 0xB0, 0xD7)
}

func validBig5(lead, trail byte) bool {
	return between(lead, 0x81, 0xFE) && (between(trail, 0x40, 0x7E) || between(trail, 0xA1, 0xFE))
}

// commonBig5: the frequently used hanzi.
func commonBig5(lead, trail byte) bool {
	return validBig5(lead, trail) && between(lead, 0xA4, 0xC6)
}

func validShiftJIS(lead, trail byte) bool {
	return (between(lead, 0x81, 0x9F) || between(lead, 0xE0, 0xFC)) &&
		(between(trail, 0x40, 0x7E) || between(trail, 0x80, 0xFC))
}

// commonShiftJIS: kana, and kanji of level 1.
func commonShiftJIS(lead, trail byte) bool {
	return validShiftJIS(lead, trail) && (between(lead, 0x82, 0x83) || between(lead, 0x88, 0x97))
}
