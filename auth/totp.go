package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// What authenticator apps take for granted: HMAC-SHA-1, steps of 30 seconds,
// six digits (RFC 6238; the apps ignore what a link says about it). That SHA-1
// is broken for collisions is nothing to HMAC (RFC 6194 §3.3).
const (
	totpStep       = 30 * time.Second
	totpDigits     = 6
	totpSecretSize = sha1.Size // RFC 4226 §4 R6 asks for 128 bits, better 160
	totpDrift      = 1         // steps either way that two clocks may differ by
)

var totpEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewTOTPSecret makes the secret that an authenticator app shares with us: 160
// random bits, in base32.
func NewTOTPSecret() string {
	var random [totpSecretSize]byte
	rand.Read(random[:]) // never fails: the program ends first (crypto/rand)
	return totpEncoding.EncodeToString(random[:])
}

// TOTPContext names the place a user's secret is kept in, for [Sealer].
func TOTPContext(userID uuid.UUID) string { return "second_factors/secret/" + userID.String() }

// TOTP is the code of a secret at a time.
func TOTP(secret string, at time.Time) string {
	key, err := totpEncoding.DecodeString(secret)
	if err != nil {
		return ""
	}
	return hotp(key, stepOf(at))
}

// MatchTOTP returns the time step whose code this is, if it is that of now or of
// the step before or behind. Spaces do not count. A code is good once: the caller
// takes the step, and no step before it, from then on.
func MatchTOTP(secret, code string, now time.Time) (step int64, ok bool) {
	key, err := totpEncoding.DecodeString(secret)
	code = strings.Join(strings.Fields(code), "")
	if err != nil || len(key) == 0 || len(code) != totpDigits {
		return 0, false
	}
	for s := stepOf(now) - totpDrift; s <= stepOf(now)+totpDrift; s++ {
		if subtle.ConstantTimeCompare([]byte(hotp(key, s)), []byte(code)) == 1 {
			step, ok = s, true
		}
	}
	return step, ok
}

func stepOf(t time.Time) int64 { return t.Unix() / int64(totpStep/time.Second) }

// hotp is the code of a counter (RFC 4226 §5.3).
func hotp(key []byte, counter int64) string {
	h := hmac.New(sha1.New, key)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(counter)))
	sum := h.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%0*d", totpDigits, binary.BigEndian.Uint32(sum[at:])&0x7fffffff%1_000_000)
}

// TOTPLink is what an authenticator app reads, most often from a QR code: whose
// account it is, and where (the Key URI Format of Google Authenticator).
func TOTPLink(secret, brand, email string) string {
	brand = strings.ReplaceAll(brand, ":", " ") // which would end it
	issuer := strings.ReplaceAll(url.QueryEscape(brand), "+", "%20")
	return "otpauth://totp/" + url.PathEscape(brand) + ":" + url.PathEscape(email) +
		"?secret=" + secret + "&issuer=" + issuer + "&algorithm=SHA1&digits=6&period=30"
}
