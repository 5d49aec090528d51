package login

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/auth"
	"rollcall/roster"
	"rollcall/storage"
)

// How long a browser stays signed in: through a working day with breaks, and
// never longer than 24 hours (OWASP ASVS 5.0 §7.3 asks for both limits; NIST SP
// 800-63B-4 §2.2.3 recommends at most 24 hours).
const (
	sessionIdle = 8 * time.Hour  // without a request
	sessionLife = 24 * time.Hour // in any case
)

// sessionCookie carries the session's secret.
type sessionCookie struct {
	name   string
	secure bool
}

// newSessionCookie binds the cookie to the host over https. Over plain http,
// which is for local use, not every browser and client accepts a Secure cookie,
// which the prefix requires (RFC 6265bis §4.1.3.2).
func newSessionCookie(public *url.URL) sessionCookie {
	if public.Scheme == "https" {
		return sessionCookie{name: "__Host-rollcall", secure: true}
	}
	return sessionCookie{name: "rollcall_session"}
}

// write sets the cookie; an empty secret deletes it.
func (k sessionCookie) write(w http.ResponseWriter, secret string) {
	maxAge := int(sessionLife / time.Second)
	if secret == "" {
		maxAge = -1
	}
	http.SetCookie(w, &http.Cookie{
		Name: k.name, Value: secret, Path: "/", MaxAge: maxAge,
		Secure: k.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// read returns the hash of the session secret in the request; ok is false if
// there is none.
func (k sessionCookie) read(r *http.Request) (hash [32]byte, ok bool) {
	cookie, err := r.Cookie(k.name)
	if err != nil {
		return hash, false
	}
	return auth.ParseSession(cookie.Value)
}

// Session is the hash of the session secret in a request, zero if there is
// none.
func (s *Service) Session(r *http.Request) (hash [32]byte) {
	hash, _ = s.cookie.read(r)
	return hash
}

// ErrSignedOut is returned when a request needs a signed-in user.
var ErrSignedOut = errors.New("signed out")

// SignedIn returns the signed-in user, nil if no one is signed in.
func (s *Service) SignedIn(c *gin.Context) (*roster.User, error) {
	hash, ok := s.cookie.read(c.Request)
	if !ok {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), queryTimeout)
	defer cancel()
	user, err := s.store.SessionUser(ctx, hash, sessionIdle)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	return user, err
}

// Actor is a signed-in user as the actor of an audit entry.
func Actor(u *roster.User) roster.Actor {
	return roster.Actor{Kind: roster.ActorUser, ID: u.ID, Label: u.Email}
}

// AuditEntry starts an audit entry with the actor and their network address.
func AuditEntry(c *gin.Context, u *roster.User) storage.AuditEntry {
	return storage.AuditEntry{Actor: Actor(u), Address: c.ClientIP()}
}
