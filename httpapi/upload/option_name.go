package upload

import (
	"slices"
	"strings"
	"unicode"

	"rollcall/httpapi/problem"
)

// optionName reports whether the name of a part or query parameter is an
// option. Other names are not an error, because forms contain all sorts of
// fields, but a misspelled option is: dryRun=true must not start a real import.
func optionName(name string) (option string, known bool, err error) {
	if slices.Contains(optionNames, name) {
		return name, true, nil
	}
	if option := nearestOption(name); option != "" {
		return "", false, problem.Parameter(option, "Unknown parameter %q. Did you mean %s?", short(name), option)
	}
	return "", false, nil
}

// optionWords are words, or beginnings of words, that show which option a name
// stands for. A name that contains one means that option.
var optionWords = []struct{ word, option string }{
	{"dry", optionDryRun}, {"preview", optionDryRun}, {"simulat", optionDryRun}, {"validateonly", optionDryRun}, {"checkonly", optionDryRun},
	{"duplicat", optionOnDuplicate}, {"upsert", optionOnDuplicate},
	{"invit", optionSendInvitations}, {"sendmail", optionSendInvitations}, {"sendemail", optionSendInvitations},
	{"encod", optionEncoding}, {"charset", optionEncoding},
	{"delim", optionDelimiter}, {"separator", optionDelimiter},
	{"valuemap", optionValueMap}, {"valuesmap", optionValueMap}, {"mapvalue", optionValueMap},
	{"mapping", optionMapping},
	{"worksheet", optionSheet}, {"sheetname", optionSheet}, {"headerline", optionHeaderRow},
	{"notif", optionNotify},
	{"webhook", optionWebhookURL}, {"callback", optionWebhookURL},
}

// browserCharset is a field that browsers fill in by themselves.
const browserCharset = "_charset_"

// nearestOption is the option that a name is probably meant to be, "" if it
// resembles none.
func nearestOption(name string) string {
	if name == browserCharset {
		return ""
	}
	given := plain(name)
	for _, option := range optionNames {
		if target := plain(option); given == target || withinEdits(given, target, len(target)/5) {
			return option
		}
	}
	for _, word := range append(words(name), given) {
		for _, known := range optionWords {
			if word == known.word || len(known.word) > 3 && strings.HasPrefix(word, known.word) {
				return known.option
			}
		}
	}
	return ""
}

func plain(name string) string { return strings.Join(words(name), "") }

// words splits a name at everything except letters and digits, and between a
// lower-case and an upper-case letter, and returns the parts in lower case.
func words(name string) []string {
	var b strings.Builder
	last := ' '
	for _, r := range name {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			r = ' '
		case unicode.IsUpper(r) && unicode.IsLower(last):
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
		last = r
	}
	return strings.Fields(b.String())
}

// withinEdits reports whether at most n insertions, deletions and replacements
// of a byte turn a into b.
func withinEdits(a, b string, n int) bool {
	if len(a) > len(b)+n || len(b) > len(a)+n {
		return false // also keeps the table small, however long a name is
	}
	row := make([]int, len(b)+1) // row[j]: edits from the part of a so far to b[:j]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)] <= n
}
