package roster

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fixes for kinds of addresses that the catalog's advice does not cover.
const (
	fixTwoAddresses = "Keep one address; give each other person a row of their own"
	fixBareAddress  = "Keep only the address"
	fixHidden       = "Type the address again, or take the suggested one"
)

// emailProblem returns the problem of an invalid address, with a suggestion if
// only one address can be meant.
func emailProblem(email string, err error) Problem {
	if err == ErrEmailTooLong {
		return problem(ColumnEmail, ValueTooLong, email, "The email address is longer than %d bytes.", maxEmail)
	}
	p := problem(ColumnEmail, InvalidEmail, email, "%s", err)
	if n := countAddresses(email); n > 1 {
		p.Message, p.Fix = fmt.Sprintf("The cell has %d addresses; a row is one person.", n), fixTwoAddresses
		return p
	}
	suggestion, ok := suggestEmail(email)
	if ok {
		p.Suggestion, p.Fix = suggestion, fixBareAddress
		if message, fix := around(strings.TrimSpace(plainCharacters(email)), suggestion); message != "" && !guardedStart(suggestion) {
			p.Message, p.Fix = message, fix
		}
	} else if fixed, t, ok := fixTypo(strings.TrimSpace(plainCharacters(email))); ok {
		p.Suggestion, p.Fix = fixed, t.fix
		if t.message != "" {
			p.Message = t.message
		}
	}
	if r, found := oddCharacter(email); found {
		p.Message, p.Fix = fmt.Sprintf("The address contains %s.", describeCharacter(r)), fixHidden
		return p
	}
	if inside := strings.Trim(email, "“”„\"'`«»"); ok && strings.Contains(inside, "<") {
		if before, _, _ := strings.Cut(inside, "<"); strings.TrimSpace(before) != "" {
			p.Message, p.Fix = "The cell has a name beside the address.", fixBareAddress
		}
	}
	return p
}

// oddCharacter finds the first invisible or full-width character of an address.
func oddCharacter(email string) (rune, bool) {
	for _, r := range email {
		if r >= utf8.RuneSelf && (isHidden(r) || isFullWidth(r) || unicode.IsSpace(r)) {
			return r, true
		}
	}
	return 0, false
}

// countAddresses counts the addresses in a cell that contains nothing else.
func countAddresses(cell string) int {
	parts := strings.FieldsFunc(cell, func(r rune) bool { return strings.ContainsRune(",;/|&", r) || unicode.IsSpace(r) })
	seen := map[string]bool{}
	for _, part := range parts {
		if part == "and" || part == "or" || part == "und" {
			continue
		}
		key, err := EmailKey(strings.Trim(part, "<>()[]\"'"))
		if err != nil {
			return 0
		}
		seen[key] = true
	}
	return len(seen)
}

// suggestEmail returns the address that a cell certainly means, if that differs
// from the cell.
func suggestEmail(cell string) (string, bool) {
	s := strings.TrimSpace(plainCharacters(cell))
	if open := strings.LastIndexByte(s, '<'); open >= 0 {
		inside, behind, closed := strings.Cut(s[open+1:], ">")
		if !closed && open > 0 || strings.Trim(behind, ".,;: \t\"'") != "" || strings.Count(s, "<") > 1 {
			return "", false
		}
		s = inside
	}
	for before := ""; before != s; {
		before = s
		s = strings.TrimSpace(strings.Trim(s, "“”„‟‘’‚«»‹›\"`()[]{}<>"))
		s = strings.TrimLeft(s, ".,;:")
		s = strings.TrimRight(s, ".,;:'\\/")
		if rest := strings.TrimLeft(s, "'"); rest != s && (guardedStart(rest) || strings.HasSuffix(before, "'")) {
			s = rest
		}
		s = cutAddressPrefix(s)
	}
	if local, domain, ok := strings.Cut(s, "@"); ok {
		s = strings.TrimSpace(local) + "@" + strings.TrimSpace(domain)
	}
	if fields := strings.Fields(s); len(fields) == 2 && fields[0] == fields[1] {
		s = fields[0] // the same address twice
	}
	if s == cell {
		return "", false
	}
	if _, err := EmailKey(s); err != nil {
		return "", false
	}
	return s, true
}

// plainCharacters drops invisible characters and replaces full-width forms by
// ASCII.
func plainCharacters(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < utf8.RuneSelf:
			return r
		case r == '\u3002' || r == '\uFF61':
			return '.'
		case isFullWidth(r):
			wide := norm.NFKC.String(string(r))
			plain, _ := utf8.DecodeRuneInString(wide)
			return plain
		case isHidden(r):
			return -1
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, s)
}

// guardedStart reports whether s begins with a character before which
// spreadsheets and exports put an apostrophe.
func guardedStart(s string) bool { return s != "" && strings.IndexByte("=+-@", s[0]) >= 0 }
