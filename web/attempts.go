package web

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"rollcall/auth"
	"rollcall/roster"
)

// How often a sign-in may fail. A password has at least 15 characters, so these
// keep guessing out and cost, more than they keep a weak password safe.
const (
	failuresAnAccount = 10 // by strangers, then one every accountPace
	accountPace       = time.Minute
	failuresAnAddress = 50 // by strangers at one network address
	addressPace       = 10 * time.Second

	// A code has six digits, of which three fit at any time, so that guessing one
	// takes some ten years at this pace. Only who knows the password gets this far.
	codePace = 15 * time.Minute
)

// attempts bounds failed sign-ins. A browser that has signed in to an account
// before carries a cookie that says so, and counts by itself: whatever others
// do to the account or from the same address, its owner is not locked out
// (the device cookies of the OWASP Authentication Cheat Sheet).
type attempts struct {
	account *throttle // by account, whether there is one or not
	address *throttle // by network address
	device  *throttle // by account and browser that has signed in before
}

// newAttempts lets strangers fail again at these paces.
func newAttempts(account, address time.Duration) attempts {
	return attempts{
		account: newThrottle(failuresAnAccount, account),
		address: newThrottle(failuresAnAddress, address),
		device:  newThrottle(failuresAnAccount, accountPace),
	}
}

// attempt is one try to sign in, taken as failed until it succeeds.
type attempt struct {
	throttles []*throttle
	keys      []string
}

// begin takes a turn. wait is 0, or how long until there is one.
func (a attempts) begin(account, address, device string) (_ attempt, wait time.Duration) {
	if device != "" {
		key := account + "\x00" + device
		return attempt{[]*throttle{a.device}, []string{key}}, a.device.take(key)
	}
	if wait := a.address.take(address); wait > 0 {
		return attempt{}, wait
	}
	if wait := a.account.take(account); wait > 0 {
		a.address.giveBack(address)
		return attempt{}, wait
	}
	return attempt{[]*throttle{a.address, a.account}, []string{address, account}}, 0
}

// forgive gives the turn back: the attempt was no failure.
func (a attempt) forgive() {
	for i, t := range a.throttles {
		t.giveBack(a.keys[i])
	}
}

// accountKey stands for what was typed as an address, in bounded memory, the
// same for all spellings of one address.
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

// knownDevice returns what tells this browser apart if it has signed in to the
// account before, else "".
func (s *Site) knownDevice(r *http.Request, account string) string {
	cookie, err := r.Cookie(s.cookie.deviceCookie())
	if err != nil {
		return ""
	}
	body, ok := s.Signer.Verify(purposeDevice, cookie.Value)
	if !ok {
		return ""
	}
	of, device, _ := strings.Cut(string(body), " ")
	if of != account {
		return ""
	}
	return device
}

// remember marks the browser as one that has signed in to the account.
func (s *Site) remember(w http.ResponseWriter, account string) {
	device, _ := auth.NewSession() // 256 random bits, used as a name only
	http.SetCookie(w, &http.Cookie{
		Name: s.cookie.deviceCookie(), Value: s.Signer.Sign(purposeDevice, []byte(account+" "+device)),
		Path: "/", MaxAge: int(deviceLife / time.Second), Secure: s.cookie.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
