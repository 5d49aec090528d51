package web

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
// never longer than a day and a night (OWASP ASVS 5.0 §7.3 asks for both;
// NIST SP 800-63B-4 §2.2.3 recommends at most 24 hours).
const (
	sessionIdle = 8 * time.Hour  // without a request
	sessionLife = 24 * time.Hour // in any case
)

// sessionCookie is how the session's secret travels.
type sessionCookie struct {
	name   string
	secure bool
}

// newSessionCookie binds the cookie to the host over https. Over plain http,
// which is for one's own machine, not every browser and client takes a cookie
// that is Secure, and the prefix demands it (RFC 6265bis §4.1.3.2).
func newSessionCookie(public *url.URL) sessionCookie {
	if public.Scheme == "https" {
		return sessionCookie{name: "__Host-rollcall", secure: true}
	}
	return sessionCookie{name: "rollcall_session"}
}

// write gives the cookie to the browser; an empty secret takes it away.
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

// read returns the hash of the session the browser claims, ok false if it
// claims none.
func (k sessionCookie) read(r *http.Request) (hash [32]byte, ok bool) {
	cookie, err := r.Cookie(k.name)
	if err != nil {
		return hash, false
	}
	return auth.ParseSession(cookie.Value)
}

// signedIn returns who is signed in, nil for nobody.
func (s *Site) signedIn(c *gin.Context) (*roster.User, error) {
	hash, ok := s.cookie.read(c.Request)
	if !ok {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), pageTimeout)
	defer cancel()
	user, err := s.Store.SessionUser(ctx, hash, sessionIdle)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	return user, err
}

// actor is a signed-in user as the one who does something.
func actor(u *roster.User) roster.Actor {
	return roster.Actor{Kind: roster.ActorUser, ID: u.ID, Label: u.Email}
}

// entry begins a line of the audit log: who, and from where.
func entry(c *gin.Context, u *roster.User) storage.Entry {
	return storage.Entry{Actor: actor(u), Address: c.ClientIP()}
}
