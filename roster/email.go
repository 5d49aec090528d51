package roster

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Limits of an address in bytes (RFC 5321 §4.5.3.1, RFC 3696 erratum 1690).
const (
	maxEmail = 254
	maxLocal = 64
	maxLabel = 63
)

// EmailError says in a sentence what is wrong with an address. Its text never
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
// §2.3.2.1). The address itself is stored and mailed as typed. It accepts an
// ASCII dot-string local part (RFC 5321 §4.1.2) and a domain of two or more LDH
// labels after IDNA; no quoted local parts, comments, literals or display
// names. Dots and plus signs are left alone: they are part of the address.
//
// The error is an [EmailError], or [ErrEmailTooLong].
func EmailKey(address string) (string, error) {
	if len(address) > maxEmail {
		return "", ErrEmailTooLong
	}
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return "", EmailError("The address has no @.")
	}
	local, domain := address[:at], address[at+1:]
	if err := checkLocal(local); err != nil {
		return "", err
	}
	domain, err := domainKey(domain)
	if err != nil {
		return "", err
	}
	if len(local)+1+len(domain) > maxEmail {
		return "", ErrEmailTooLong
	}
	if !hasUpper(address[:at]) && domain == address[at+1:] {
		return address, nil // already in the form to compare: no new string
	}
	return strings.ToLower(local) + "@" + domain, nil
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
		return EmailError("Nothing stands before the @.")
	}
	if len(local) > maxLocal {
		return EmailError("The part before the @ is longer than 64 characters.")
	}
	dot := true // a dot may neither begin nor end, nor follow another
	for i := range len(local) {
		c := local[i]
		switch {
		case c == '.':
			if dot {
				return EmailError("A dot stands where none may: first, or after another dot.")
			}
			dot = true
		case atext[c]:
			dot = false
		case c == '@':
			return EmailError("The address has more than one @.")
		case c == ' ' || c == '\t':
			return EmailError("There is a space in the address.")
		case c >= 0x80:
			return EmailError("The part before the @ may only have plain English letters, digits and signs.")
		default:
			return EmailError("A character stands before the @ that an address may not have there.")
		}
	}
	if dot {
		return EmailError("A dot stands just before the @.")
	}
	return nil
}

// domainKey checks a domain and returns it in lower-case A-labels.
func domainKey(domain string) (string, error) {
	if domain == "" {
		return "", EmailError("Nothing stands after the @.")
	}
	if needsIDNA(domain) {
		ascii, err := idna.Lookup.ToASCII(domain)
		// Package idna takes bytes that are no UTF-8 for U+FFFD and encodes it.
		if err != nil || !utf8.ValidString(domain) || strings.ContainsRune(domain, utf8.RuneError) {
			return "", EmailError("The domain after the @ is not a valid internet domain name.")
		}
		domain = ascii
	}
	labels, start := 0, 0
	for i := 0; i <= len(domain); i++ {
		if i < len(domain) && domain[i] != '.' {
			continue
		}
		if err := checkLabel(domain[start:i]); err != nil {
			return "", err
		}
		labels++
		start = i + 1
	}
	if labels < 2 {
		return "", EmailError("The domain after the @ needs a dot, as in example.com.")
	}
	return strings.ToLower(domain), nil
}

// needsIDNA reports whether the domain holds more than plain LDH labels: other
// scripts, or labels that claim to be encoded already and must be checked.
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
		return EmailError("The domain after the @ has a dot too many.")
	case len(label) > maxLabel:
		return EmailError("A part of the domain after the @ is longer than 63 characters.")
	case label[0] == '-' || label[len(label)-1] == '-':
		return EmailError("A part of the domain after the @ begins or ends with a dash.")
	}
	for i := range len(label) {
		c := label[i]
		if ldh := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-'; !ldh {
			return EmailError("The domain after the @ has a character that no domain name has.")
		}
	}
	return nil
}
