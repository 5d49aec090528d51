package auth

import (
	"bytes"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	// MinPasswordLength is the fewest characters (Unicode code points) of a
	// password that is the only factor (NIST SP 800-63B-4 §3.1.1.2).
	MinPasswordLength = 15

	// MaxPasswordBytes is the most UTF-8 bytes of a password, before and after
	// normalisation: room for far more than the 64 characters SP 800-63B-4 asks
	// to permit, and an end to the work one request can cause. Passwords are
	// never cut off.
	MaxPasswordBytes = 1024
)

// ErrPasswordText is returned by Hasher.Hash for a password that CheckPassword
// calls invalid_text or too_long.
var ErrPasswordText = errors.New("auth: password is too long or not plain text")

// Complaint codes. They are stable: clients may tell complaints apart by them.
const (
	TooShort            = "too_short"             // fewer than MinPasswordLength characters
	TooLong             = "too_long"              // more than MaxPasswordBytes bytes
	InvalidText         = "invalid_text"          // control or unassigned characters, or not UTF-8
	TooCommon           = "too_common"            // common passwords, sequences and keyboard rows, little else
	TooRepetitive       = "too_repetitive"        // one piece repeated, or very few characters
	ContainsIdentity    = "contains_identity"     // the user's own name or address, little else
	ContainsServiceName = "contains_service_name" // the name of this service, little else
)

// Complaint is one reason why a password is refused.
type Complaint struct {
	Code    string // one of the codes above
	Message string // a sentence for the person choosing the password
}

// PasswordContext is what an attacker would try first. Empty fields are
// ignored.
type PasswordContext struct {
	Brand string // the name of the service
	Name  string // the user's full name
	Email string // the user's address
}

// CheckPassword returns every reason to refuse a new password, in a fixed
// order; none means it is good. There are no composition rules: length, and
// not being easy to guess, is all that counts (NIST SP 800-63B-4 §3.1.1.2).
//
// A password counts as easy to guess when it consists of a few well-known
// pieces and almost nothing else. Containing a common word is fine.
//
// Passwords are judged and hashed in normalisation form NFKC with unassigned
// code points refused (Unicode Standard Annex #15 §12.1), so that the same
// password typed on another keyboard is the same password.
func CheckPassword(password string, ctx PasswordContext) []Complaint {
	text, code := normalize(password)
	switch code {
	case TooLong:
		return []Complaint{{TooLong, fmt.Sprintf("Use at most %d bytes; most letters take one, some take up to four.", MaxPasswordBytes)}}
	case InvalidText:
		return []Complaint{{InvalidText, "Leave out line breaks, tabs and other characters that cannot be typed into a form."}}
	}
	var complaints []Complaint
	if have := utf8.RuneCount(text); have < MinPasswordLength {
		complaints = append(complaints, Complaint{TooShort, fmt.Sprintf(
			"Use at least %d characters, %d more than this. A few unrelated words are easy to remember.", MinPasswordLength, MinPasswordLength-have)})
	}
	return append(complaints, guessable(string(text), ctx)...)
}

// normalize returns the bytes that are hashed, or why there are none: TooLong
// or InvalidText.
func normalize(password string) (text []byte, code string) {
	switch {
	case len(password) > MaxPasswordBytes:
		return nil, TooLong
	case !utf8.ValidString(password):
		return nil, InvalidText
	}
	text = norm.NFKC.Bytes([]byte(password))
	switch {
	case bytes.ContainsFunc(text, unprintable):
		return nil, InvalidText
	case len(text) > MaxPasswordBytes: // one character can become eighteen
		return nil, TooLong
	}
	return text, ""
}

func unprintable(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cn, unicode.Co) }
