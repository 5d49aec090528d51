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
	// MinPasswordLength is the minimum length, in characters (Unicode code
	// points), of a password that is the only factor (NIST SP 800-63B-4
	// §3.1.1.2).
	MinPasswordLength = 15

	// MaxPasswordBytes is the maximum size of a password in UTF-8 bytes, before
	// and after normalization: far more than the 64 characters that SP
	// 800-63B-4 asks to permit, but a bound on the work one request can cause.
	// Passwords are never truncated.
	MaxPasswordBytes = 1024
)

// ErrPasswordText is returned by Hasher.Hash for a password that CheckPassword
// reports as invalid_text or too_long.
var ErrPasswordText = errors.New("auth: password is too long or not plain text")

// Complaint codes. They are stable, so clients may rely on them.
const (
	TooShort            = "too_short"             // fewer than MinPasswordLength characters
	TooLong             = "too_long"              // more than MaxPasswordBytes bytes
	InvalidText         = "invalid_text"          // control or unassigned characters, or not UTF-8
	TooCommon           = "too_common"            // a breached password, a sequence or a keyboard row
	TooRepetitive       = "too_repetitive"        // one unit repeated, or very few characters
	ContainsIdentity    = "contains_identity"     // little else than the user's own name or address
	ContainsServiceName = "contains_service_name" // little else than the name of this service
)

// Complaint is one reason why a password is rejected.
type Complaint struct {
	Code    string // one of the codes above
	Message string // a sentence for the user choosing the password
	Missing int    // of TooShort: how many characters
}

// PasswordContext holds texts that an attacker would try first. Empty fields
// are ignored.
type PasswordContext struct {
	Brand string // the name of the service
	Name  string // the user's full name
	Email string // the user's address
}

// CheckPassword returns every reason to reject a new password, in a fixed
// order; an empty result means it is good. There are no composition rules: only
// length and not being easy to guess count (NIST SP 800-63B-4 §3.1.1.2).
//
// A password is easy to guess when the whole of it is known from breaches,
// follows a sequence, repeats a short unit, or is little more than the name of
// the service or of the user. Containing a common word is fine.
//
// Passwords are checked and hashed in normalization form NFKC, and unassigned
// code points are rejected (Unicode Standard Annex #15 §12.1), so that the same
// password typed on another keyboard is the same password.
func CheckPassword(password string, ctx PasswordContext) []Complaint {
	text, code := normalize(password)
	switch code {
	case TooLong:
		return []Complaint{{Code: TooLong, Message: fmt.Sprintf("Use at most %d bytes; most letters take one, some take up to four.", MaxPasswordBytes)}}
	case InvalidText:
		return []Complaint{{Code: InvalidText, Message: "Leave out line breaks, tabs and other characters that cannot be typed into a form."}}
	}
	var complaints []Complaint
	if have := utf8.RuneCount(text); have < MinPasswordLength {
		complaints = append(complaints, Complaint{TooShort, fmt.Sprintf(
			"Use at least %d characters, %d more than this. A few unrelated words are easy to remember.", MinPasswordLength, MinPasswordLength-have), MinPasswordLength - have})
	}
	return append(complaints, guessable(string(text), ctx)...)
}

// normalize returns the bytes to hash, or the complaint that prevents it:
// TooLong or InvalidText.
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
