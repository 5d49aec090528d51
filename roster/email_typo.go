package roster

import (
	"regexp"
	"strings"
)

// addressPrefixes are what programs write before an address. Exchange has SMTP:.
var addressPrefixes = []string{"mailto:", "smtp:", "e-mail:", "email:", "mail:"}

// cutAddressPrefix takes such a prefix off an address, and the parameters of a link.
func cutAddressPrefix(s string) string {
	for _, prefix := range addressPrefixes {
		if len(s) > len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
			s, _, _ = strings.Cut(s[len(prefix):], "?")
			return strings.TrimSpace(s)
		}
	}
	return s
}

// typo is a way to write an address wrong that leaves one address that can be
// meant.
type typo struct {
	wrong   *regexp.Regexp
	right   string
	message string
	fix     string
}

// In their order; each is tried alone.
var typos = []typo{
	{regexp.MustCompile(`^\[([^\[\]()]+)\]\(mailto:[^()]*\)$`), "$1", "The address is written as a link.", "Keep only the address"},
	{regexp.MustCompile(`^([^@\s]+)@@+([^@\s]+)$`), "$1@$2", "", "Write one @"},
	{regexp.MustCompile(`(?i)^([^@\s]+)\s*[(\[{<]\s*at\s*[)\]}>]\s*([^@]+)$`), "$1@$2", "The address has a word in place of the @.", "Write @ for the word"},
	{regexp.MustCompile(`^([^@\s]+)\\@([^@\s]+)$`), "$1@$2", "The address has a backslash before the @.", "Remove the backslash"},
	{regexp.MustCompile(`(?i)^([^@\s]+)(?:%40|&#0*64;|&#x0*40;|&commat;)([^@\s]+)$`), "$1@$2", "The @ is written as a code.", "Write the @ itself"},
	{regexp.MustCompile(`^([^@\s]+@[^@\s.,]+),([^@\s,]+)$`), "$1.$2", "The domain after the @ has a comma in place of a dot.", "Write a dot for the comma"},
	{regexp.MustCompile(`^([^@\s]+@[^@\s]*[^@\s.])\.\.+([^@\s.][^@\s]*)$`), "$1.$2", "", "Remove the extra dot"},
	{regexp.MustCompile(`^([^@\s]+@)\.+([^@\s]+)$`), "$1$2", "", "Remove the dot behind the @"},
	{regexp.MustCompile(`^([^@\s]*[^@\s.])\.+(@[^@\s]+)$`), "$1$2", "", "Remove the dot before the @"},
	{regexp.MustCompile(`^([^@\s]+@[^@\s()]+)\s*\([^@()]*\)$`), "$1", "The cell has a remark behind the address.", "Keep only the address"},
}

// wordDots are dots written as words, as people do who fear spam.
var wordDots = regexp.MustCompile(`(?i)\s*[(\[{]\s*dot\s*[)\]}]\s*`)

// fixTypo returns the one address that a cell with a typo can mean, and what is
// wrong.
func fixTypo(cell string) (address string, t typo, ok bool) {
	if len(cell) > 2*maxEmail || !strings.ContainsAny(cell, "@(%&[{<") {
		return "", typo{}, false
	}
	cell = wordDots.ReplaceAllString(cell, ".")
	for _, t := range typos {
		if !t.wrong.MatchString(cell) {
			continue
		}
		fixed := strings.TrimSpace(t.wrong.ReplaceAllString(cell, t.right))
		if _, err := EmailKey(fixed); err == nil {
			return fixed, t, true
		}
	}
	return "", typo{}, false
}

// around says what is around an address that is otherwise good, and how to remove
// it. s is the cell without hidden characters, address what is left of it.
func around(s, address string) (message, fix string) {
	before, behind, _ := strings.Cut(s, address)
	before, behind = strings.TrimSpace(before), strings.TrimSpace(behind)
	for _, prefix := range addressPrefixes {
		if strings.Contains(strings.ToLower(before), prefix) {
			return "The address has " + prefix + " before it.", "Remove " + prefix + " and what is behind the address, if anything"
		}
	}
	const quotes = "“”„‟‘’‚«»‹›\"`'"
	switch {
	case strings.ContainsAny(before+behind, "<>"):
		return "The address is in angle brackets.", "Remove the brackets"
	case strings.ContainsAny(before+behind, "()[]{}"):
		return "The address is in brackets.", "Remove the brackets"
	case strings.ContainsAny(before+behind, quotes):
		return "The address is in quotes.", "Remove the quotes"
	case behind == ";":
		return "The address has a semicolon behind it.", "Remove the semicolon"
	case behind == ",":
		return "The address has a comma behind it.", "Remove the comma"
	case behind == "." || before == ".":
		return "The address has a dot around it.", "Remove the dot"
	}
	return "", fixBareAddress
}
