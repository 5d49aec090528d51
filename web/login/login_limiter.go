package login

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/internal/ratelimit"
	"rollcall/roster"
)

// How often a sign-in may fail. A password has at least 15 characters, so these
// limits are there to stop floods of guesses and their cost rather than to
// protect weak passwords.
const (
	failuresAnAccount = 10 // by unknown browsers, then one every accountPace
	accountPace       = time.Minute
	failuresAnAddress = 50 // by unknown browsers at one network address
	addressPace       = 10 * time.Second

	// A code has six digits, and three codes are valid at any time. Only a
	// caller with the password gets this far. A restart resets this limit, so
	// the database counts failures too: see storage.MaxFailedCodes.
	codePace = 15 * time.Minute
)

// loginLimiter limits failed sign-ins. A browser that has signed in to an
// account before carries a cookie that proves it and has a limit of its own:
// whatever others do to the account or from the same address, its owner is not
// locked out (the device cookies of the OWASP Authentication Cheat Sheet).
type loginLimiter struct {
	account *ratelimit.Limiter // by account, whether it exists or not
	address *ratelimit.Limiter // by network address
	device  *ratelimit.Limiter // by account and browser that has signed in before
}

// newLoginLimiter sets the pace at which unknown browsers may fail again.
func newLoginLimiter(account, address time.Duration) loginLimiter {
	return loginLimiter{
		account: ratelimit.New(failuresAnAccount, account),
		address: ratelimit.New(failuresAnAddress, address),
		device:  ratelimit.New(failuresAnAccount, accountPace),
	}
}

// loginAttempt is one attempt to sign in, counted as failed until it succeeds.
type loginAttempt struct {
	limiters []*ratelimit.Limiter
	keys     []string
}

// begin reserves an attempt. wait is 0, or how long until one is allowed.
func (a loginLimiter) begin(account, address, device string) (_ loginAttempt, wait time.Duration) {
	if device != "" {
		key := account + "\x00" + device
		return loginAttempt{[]*ratelimit.Limiter{a.device}, []string{key}}, a.device.Take(key).RetryAfter
	}
	if wait := a.address.Take(address).RetryAfter; wait > 0 {
		return loginAttempt{}, wait
	}
	if wait := a.account.Take(account).RetryAfter; wait > 0 {
		a.address.GiveBack(address)
		return loginAttempt{}, wait
	}
	return loginAttempt{[]*ratelimit.Limiter{a.address, a.account}, []string{address, account}}, 0
}

// forgive returns the attempt: it was not a failure.
func (a loginAttempt) forgive() {
	for i, t := range a.limiters {
		t.GiveBack(a.keys[i])
	}
}

// accountKey stands for the typed address with bounded memory. All spellings of
// one address have the same key.
func accountKey(email string) string {
	key, err := roster.EmailKey(email)
	if err != nil {
		key = strings.ToLower(email)
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:16])
}

// purposeDevice signs the cookie of a browser that has signed in.
const purposeDevice auth.Purpose = "signed-in device"

// deviceLife is how long a browser is remembered after a sign-in.
const deviceLife = 180 * 24 * time.Hour

// deviceCookie is named after the session's, and bound like it.
func (k sessionCookie) deviceCookie() string { return k.name + "_device" }

// knownDevice returns the id of this browser if it has signed in to the account
// before, else "". With a second factor, it must have used a code of that same
// factor: a cookie from before, or of another factor, does not count.
func (s *Service) knownDevice(r *http.Request, account string, factor uuid.UUID) string {
	cookie, err := r.Cookie(s.cookie.deviceCookie())
	if err != nil {
		return ""
	}
	body, ok := s.signer.Verify(purposeDevice, cookie.Value)
	if !ok {
		return ""
	}
	fields := strings.Fields(string(body)) // account, device and, if there was one, factor
	if len(fields) < 2 || fields[0] != account {
		return ""
	}
	if factor != uuid.Nil && (len(fields) < 3 || fields[2] != factor.String()) {
		return ""
	}
	return fields[1]
}

// remember marks the browser as one that has signed in to the account. factor
// is the second factor whose code was entered, zero if none was.
func (s *Service) remember(w http.ResponseWriter, account string, factor uuid.UUID) {
	device, _ := auth.NewSession() // 256 random bits, used as a name only
	body := account + " " + device
	if factor != uuid.Nil {
		body += " " + factor.String()
	}
	http.SetCookie(w, &http.Cookie{
		Name: s.cookie.deviceCookie(), Value: s.signer.Sign(purposeDevice, []byte(body)),
		Path: "/", MaxAge: int(deviceLife / time.Second), Secure: s.cookie.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
