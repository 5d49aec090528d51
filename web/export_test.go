package web

import (
	"crypto/sha256"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/google/uuid"

	"rollcall/auth"
)

// What the tests look at from outside.
const MaxThrottled = maxThrottled

var (
	NewThrottle = newThrottle
	Network     = network
	AgoAt       = agoAt
)

func (t *throttle) Take(key string) time.Duration { return t.take(key) }
func (t *throttle) GiveBack(key string)           { t.giveBack(key) }
func (t *throttle) Len() int                      { return len(t.full) }

// HalfwayCookie is the cookie of a browser in which a right password was entered.
func HalfwayCookie(signer *auth.Signer, user uuid.UUID, passwordHash string, expires time.Time) string {
	s := &Site{Deps: Deps{Signer: signer}, cookie: sessionCookie{name: "rollcall_session"}}
	w := httptest.NewRecorder()
	s.writeHalfway(w, halfway{user, sha256.Sum256([]byte(passwordHash)), expires, ""})
	cookie, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	return cookie
}
