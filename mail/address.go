package mail

import (
	"crypto/rand"
	"errors"
	"strings"

	"golang.org/x/net/idna"
)

// Limits of an address in octets (RFC 5321, section 4.5.3.1; RFC 3696 errata
// 1690 for the whole).
const (
	maxLocal   = 64
	maxDomain  = 253
	maxLabel   = 63
	maxAddress = 254
)

var errAddress = errors.New("the address cannot be mailed to")

// wireAddress returns the address as it goes on the wire and into headers: the
// local part as typed, a non-ASCII domain as its A-label (RFC 5891), since
// SMTPUTF8 is not assumed. It accepts only a dot-string local part
// (RFC 5321, section 4.1.2), which leaves no room for quotes, angle brackets,
// spaces or line breaks to smuggle a second command or parameter.
func wireAddress(address string) (string, error) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return "", errAddress
	}
	local, domain := address[:at], address[at+1:]
	if !validLocal(local) {
		return "", errAddress
	}
	if !isASCII(domain) {
		var err error
		if domain, err = idna.Lookup.ToASCII(domain); err != nil {
			return "", errAddress
		}
	}
	if !validDomain(domain) || len(local)+1+len(domain) > maxAddress {
		return "", errAddress
	}
	return local + "@" + domain, nil
}

// ValidAddress tells whether mail can be sent from and to an address: one
// without a display name.
func ValidAddress(address string) bool {
	_, err := wireAddress(address)
	return err == nil
}

func validLocal(local string) bool {
	if local == "" || len(local) > maxLocal {
		return false
	}
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" {
			return false
		}
		for i := range len(atom) {
			if !isAtomText(atom[i]) {
				return false
			}
		}
	}
	return true
}

// validDomain accepts letter-digit-hyphen labels (RFC 1123, section 2.1). One
// label is enough, for hosts such as localhost.
func validDomain(domain string) bool {
	if domain == "" || len(domain) > maxDomain {
		return false
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; c != '-' && !isAlphanumeric(c) {
				return false
			}
		}
	}
	return true
}

// isAtomText is atext of RFC 5322, section 3.2.3.
func isAtomText(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// NewMessageID returns a fresh Message-ID, without angle brackets, in the
// domain of the address from. It is to be kept from before the first attempt,
// so that a mail sent twice after an [Unknown] failure carries the same one.
func NewMessageID(from string) string {
	domain := "localhost"
	if wire, err := wireAddress(from); err == nil {
		domain = wire[strings.LastIndexByte(wire, '@')+1:]
	}
	return strings.ToLower(rand.Text()) + "@" + domain
}
