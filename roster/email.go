package roster

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Limits of an address in bytes (RFC 5321 §4.5.3.1, RFC 3696 erratum 1690).
const (
	maxEmail = 254
	maxLocal = 64
	maxLabel = 63
)

// EmailError is a sentence that says why an address is invalid. It never
// repeats the address.
type EmailError string

func (e EmailError) Error() string { return string(e) }

// ErrEmailTooLong is returned for an address over 254 bytes.
var ErrEmailTooLong = errors.New("the address is longer than 254 bytes")

// atext is the set of RFC 5322 §3.2.3 characters of a dot-string's atoms.
var atext = func() (set [256]bool) {
	for c := 'a'; c <= 'z'; c++ {
		set[c], set[c-'a'+'A'] = true, true
	}
	for c := '0'; c <= '9'; c++ {
		set[c] = true
	}
	for _, c := range "!#$%&'*+-/=?^_`{|}~" {
		set[c] = true
	}
	return set
}()

// EmailKey returns the form in which addresses are compared: the local part in
// lower-case ASCII, "@", and the domain in lower-case A-labels (RFC 5890
// §2.3.2.1). The error is that of [ParseEmail].
func EmailKey(address string) (string, error) {
	_, key, err := ParseEmail(address)
	return key, err
}

// ParseEmail checks an address and returns it in the form to store and send
// mail to, and in the form to compare: see [EmailKey]. The stored form is what
// was typed, except for a domain in which IDNA changes more than the case of
// letters: that is stored as IDNA shows it. ParseEmail accepts an ASCII
// dot-string local part (RFC 5321 §4.1.2) and a domain of two or more LDH
// labels after IDNA, the last not all digits; no quoted local parts, comments,
// literals or display names, and no hidden or full-width characters. Dots and
// plus signs are kept: they are part of the address.
//
// The error is an [EmailError], or [ErrEmailTooLong].
func ParseEmail(address string) (email, key string, err error) {
	if isPlainEmail(address) {
		return address, address, nil
	}
	return parseUnusualEmail(address)
}

// parseUnusualEmail is [ParseEmail] without the shortcut for plain addresses.
func parseUnusualEmail(address string) (email, key string, err error) {
	local, shown, domain, err := splitEmail(address, 2)
	if err != nil {
		return "", "", err
	}
	email = address
	if shown != address[len(local)+1:] {
		email = local + "@" + shown
	}
	domain = strings.ToLower(domain)
	if !hasUpper(local) && domain == address[len(local)+1:] {
		return email, address, nil // already in the form to compare; saves an allocation
	}
	return email, strings.ToLower(local) + "@" + domain, nil
}

// MailAddress returns an address as used in SMTP and in headers: as typed, with
// a domain in another script as its A-labels, since SMTPUTF8 is not assumed.
// The grammar is that of [EmailKey], except that the domain may have only one
// label, as in no-reply@localhost. Quotes, angle brackets, spaces and line
// breaks, which could inject a second command or header, are invalid.
//
// The error is an [EmailError], or [ErrEmailTooLong].
func MailAddress(address string) (string, error) {
	local, _, domain, err := splitEmail(address, 1)
	if err != nil {
		return "", err
	}
	return local + "@" + domain, nil
}

// splitEmail checks an address whose domain has at least the given number of
// labels, and splits it. The domain is returned as it is stored, and in
// A-labels.
func splitEmail(address string, labels int) (local, shown, domain string, err error) {
	if len(address) > maxEmail {
		return "", "", "", ErrEmailTooLong
	}
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return "", "", "", EmailError("The address has no @.")
	}
	local = address[:at]
	if err := checkLocal(local); err != nil {
		return "", "", "", err
	}
	if shown, domain, err = parseDomain(address[at+1:], labels); err != nil {
		return "", "", "", err
	}
	if len(local)+1+len(domain) > maxEmail || len(local)+1+len(shown) > maxEmail {
		return "", "", "", ErrEmailTooLong
	}
	return local, shown, domain, nil
}

func hasUpper(s string) bool {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			return true
		}
	}
	return false
}

func checkLocal(local string) error {
	if local == "" {
		return EmailError("The part before the @ is missing.")
	}
	if rest := strings.TrimLeft(local, "'"); len(rest) < len(local) && (rest == "" || guardedStart(rest)) {
		return EmailError("The address begins with an apostrophe that a spreadsheet or an export has put there.")
	}
	if len(local) > maxLocal {
		return EmailError("The part before the @ is longer than 64 characters.")
	}
	dot := true // true at the start and after a dot, where no dot is allowed
	for i := range len(local) {
		c := local[i]
		switch {
		case c == '.':
			if dot {
				return EmailError("The part before the @ has a misplaced dot.")
			}
			dot = true
		case atext[c]:
			dot = false
		case c == '@':
			return EmailError("The address has more than one @.")
		case c == ' ' || c == '\t':
			return EmailError("The address contains a space.")
		case c >= 0x80:
			return EmailError("The part before the @ can only contain unaccented letters, digits and symbols.")
		default:
			return EmailError("The part before the @ contains a character that isn't allowed there.")
		}
	}
	if dot {
		return EmailError("The part before the @ ends with a dot.")
	}
	return nil
}

// parseDomain checks a domain of at least the given number of labels and
// returns it as it is stored, and in A-labels, with its case as typed.
func parseDomain(domain string, labels int) (shown, ascii string, err error) {
	if domain == "" {
		return "", "", EmailError("The domain after the @ is missing.")
	}
	shown = domain
	if needsIDNA(domain) {
		if r, odd := oddCharacter(domain); odd {
			return "", "", EmailError("The domain after the @ contains " + describeCharacter(r) + ".")
		}
		ascii, err := idna.Lookup.ToASCII(domain)
		// Package idna reads invalid UTF-8 as U+FFFD and encodes that.
		if err != nil || !utf8.ValidString(domain) || strings.ContainsRune(domain, utf8.RuneError) {
			return "", "", EmailError("The domain after the @ is not valid.")
		}
		shown = shownDomain(domain, ascii)
		domain = ascii
	}
	if err := checkDomain(domain, labels); err != nil {
		return "", "", err
	}
	return shown, domain, nil
}

// shownDomain returns the domain as typed, or as IDNA displays it if IDNA replaces
// characters, such as a ligature or a letter with a separate accent.
func shownDomain(typed, ascii string) string {
	display, err := idna.Display.ToUnicode(ascii)
	if err != nil || isASCII(typed) || strings.ToLower(typed) == display && norm.NFC.IsNormalString(typed) {
		return typed
	}
	return display
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

// checkDomain checks a domain of at least least LDH labels.
func checkDomain(domain string, least int) error {
	labels, start := 0, 0
	for i := 0; i <= len(domain); i++ {
		if i < len(domain) && domain[i] != '.' {
			continue
		}
		if err := checkLabel(domain[start:i]); err != nil {
			return err
		}
		labels++
		start = i + 1
	}
	if c := domain[len(domain)-1]; '0' <= c && c <= '9' && allDigits(domain[strings.LastIndexByte(domain, '.')+1:]) {
		return EmailError("The domain after the @ ends in a number; no domain does.")
	}
	if labels < least {
		return EmailError("The domain after the @ needs a dot, as in example.com.")
	}
	return nil
}

// needsIDNA reports whether the domain has more than plain LDH labels: other
// scripts, or labels that seem to be encoded already and must be checked.
func needsIDNA(domain string) bool {
	for i := range len(domain) {
		if domain[i] >= 0x80 {
			return true
		}
	}
	for rest := domain; ; {
		if len(rest) >= 4 && strings.EqualFold(rest[:4], "xn--") {
			return true
		}
		dot := strings.IndexByte(rest, '.')
		if dot < 0 {
			return false
		}
		rest = rest[dot+1:]
	}
}

func checkLabel(label string) error {
	switch {
	case label == "":
		return EmailError("The domain after the @ has an extra dot.")
	case len(label) > maxLabel:
		return EmailError("A part of the domain after the @ is longer than 63 characters.")
	case label[0] == '-' || label[len(label)-1] == '-':
		return EmailError("A part of the domain after the @ starts or ends with a hyphen.")
	}
	for i := range len(label) {
		c := label[i]
		if ldh := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-'; !ldh {
			return EmailError("The domain after the @ contains a character that isn't allowed there.")
		}
	}
	return nil
}
