package mail

import (
	"crypto/rand"
	"errors"
	"strings"

	"rollcall/roster"
)

// Limits of a host name in octets (RFC 1123, section 2.1).
const (
	maxDomain = 253
	maxLabel  = 63
)

var errAddress = errors.New("the address cannot be mailed to")

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
// domain of the address from. Store it before the first attempt, so that a mail
// sent twice after an [Unknown] failure carries the same one.
func NewMessageID(from string) string {
	domain := "localhost"
	if wire, err := roster.MailAddress(from); err == nil {
		domain = wire[strings.LastIndexByte(wire, '@')+1:]
	}
	return strings.ToLower(rand.Text()) + "@" + domain
}
