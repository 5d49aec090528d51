package auth

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/base32"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

// The parameters that authenticator apps assume: HMAC-SHA-1, steps of 30
// seconds, six digits (RFC 6238; the apps ignore other values in a link).
// Collisions of SHA-1 do not affect HMAC (RFC 6194 §3.3).
const (
	totpStep       = 30 * time.Second
	totpSecretSize = sha1.Size // RFC 4226 §4 R6 asks for 128 bits, better 160
	totpDrift      = 1         // steps that two clocks may differ by, either way
)

var totpOptions = totp.ValidateOpts{Period: uint(totpStep / time.Second), Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}

var totpEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewTOTPSecret makes the secret that an authenticator app shares with the
// server: 160 random bits, in base32.
func NewTOTPSecret() string {
	var random [totpSecretSize]byte
	rand.Read(random[:]) // never fails: the program ends first (crypto/rand)
	return totpEncoding.EncodeToString(random[:])
}

// TOTPContext names the place where a user's secret is stored, for [Sealer].
func TOTPContext(userID uuid.UUID) string { return "second_factors/secret/" + userID.String() }

// TOTP returns the code of a secret at a time, "" for an invalid secret.
func TOTP(secret string, at time.Time) string {
	code, err := totp.GenerateCodeCustom(secret, at, totpOptions)
	if err != nil {
		return ""
	}
	return code
}

// MatchTOTP returns the time step of a code, if it is the current step or the
// one before or after. Spaces are ignored. A code is valid once: the caller
// records the step and accepts only later ones.
func MatchTOTP(secret, code string, now time.Time) (step int64, ok bool) {
	code = strings.Join(strings.Fields(code), "")
	if secret == "" {
		return 0, false
	}
	for drift := -totpDrift; drift <= totpDrift; drift++ {
		at := now.Add(time.Duration(drift) * totpStep)
		if fits, err := totp.ValidateCustom(code, secret, at, totpOptions); err == nil && fits {
			step, ok = at.Unix()/int64(totpStep/time.Second), true
		}
	}
	return step, ok
}

// TOTPLink is the link that an authenticator app reads, usually from a QR code,
// with the account and the service (the Key URI Format of Google
// Authenticator). Package totp does not escape an "&" in the brand, which would
// truncate the link.
func TOTPLink(secret, brand, email string) string {
	brand = strings.ReplaceAll(brand, ":", " ") // a colon would end it
	issuer := strings.ReplaceAll(url.QueryEscape(brand), "+", "%20")
	return "otpauth://totp/" + url.PathEscape(brand) + ":" + url.PathEscape(email) +
		"?secret=" + secret + "&issuer=" + issuer + "&algorithm=SHA1&digits=6&period=30"
}
