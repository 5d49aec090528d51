package web

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/auth"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web/foreign"
)

// landing is where people arrive who did not ask for anything in particular.
const landing = "/admin/users"

// maxForm bounds the forms that carry no file, in bytes.
const maxForm = 64 << 10

// signInView is the sign-in form.
type signInView struct {
	Email   string        // as typed before
	Next    string        // where to go then, "" for the landing page
	Refused bool          // the last try was refused
	Left    bool          // one has just signed out
	Changed bool          // one has just set a new password
	Late    bool          // the code did not come in time
	Wait    time.Duration // too many tries: the next one after this; 0: now
}

func (signInView) frame() frame { return frame{Template: "signin", Title: "Sign in"} }

func (s *Site) showSignIn(c *gin.Context) error {
	return s.show(c, http.StatusOK, nil, signInView{Next: foreign.OwnPath(c.Query("next")), Left: c.Query("left") != "", Changed: c.Query("changed") != "", Late: c.Query("late") != ""})
}

func (s *Site) signIn(c *gin.Context) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	email, next := strings.TrimSpace(form.Get("email")), foreign.OwnPath(form.Get("next"))
	account := accountKey(email)
	attempt, wait := s.attempts.begin(account, network(c.ClientIP()), s.knownDevice(c.Request, account))
	if wait > 0 {
		s.logRefusal(c, "sign-in throttled")
		retryAfter(c, wait)
		return s.show(c, http.StatusTooManyRequests, nil, signInView{Email: email, Next: next, Wait: max(wait, time.Minute)})
	}
	where, err := s.enter(c, email, form.Get("password"), next)
	if errors.Is(err, storage.ErrWrongState) { // what was verified is another by now
		where, err = s.enter(c, email, form.Get("password"), next)
	}
	if !errors.Is(err, errRefused) {
		attempt.forgive() // right, or not a guess that was answered
	}
	if errors.Is(err, errRefused) {
		s.logRefusal(c, "sign-in refused")
		return s.show(c, http.StatusUnauthorized, nil, signInView{Email: email, Next: next, Refused: true})
	}
	if err != nil {
		return err
	}
	seeOther(c, where)
	return nil
}

// enter signs in whose address and password these are, or asks them for a code of
// their second factor, and returns where to go then. errRefused for anybody else;
// storage.ErrWrongState if the password was changed, or hashed anew, meanwhile.
func (s *Site) enter(c *gin.Context, email, password, next string) (where string, err error) {
	known, err := s.authenticate(c.Request.Context(), email, password)
	if err != nil {
		return "", err
	}
	factor, err := s.factorOf(c.Request.Context(), known.UserID)
	if err != nil {
		return "", err
	}
	if factor != nil {
		s.writeHalfway(c.Writer, halfway{known.UserID, sha256.Sum256([]byte(known.PasswordHash)), factor.Now.Add(halfwayLife), next})
		return codePath, nil
	}
	return s.admit(c, known, email, next, storage.Proof{})
}

// admit opens a session and returns where to go: next, or the landing page.
func (s *Site) admit(c *gin.Context, known storage.Credentials, email, next string, proof storage.Proof) (where string, err error) {
	ctx := c.Request.Context()
	secret, hash := auth.NewSession()
	in := storage.SignIn{
		UserID: known.UserID, PasswordHash: known.PasswordHash, Proof: proof,
		Session: hash, Browser: browserWords(c.Request), Life: sessionLife,
	}
	if err := s.Store.CreateSession(ctx, in, entry(c, &roster.User{ID: known.UserID, Email: email})); err != nil {
		return "", err
	}
	// A fresh secret with every sign-in: one that somebody planted or saw
	// before is worth nothing (session fixation).
	if old, ok := s.cookie.read(c.Request); ok {
		if err := s.Store.EndSession(ctx, old); err != nil {
			return "", err
		}
	}
	s.cookie.write(c.Writer, secret)
	s.remember(c.Writer, accountKey(email))
	if next == "" {
		next = landing
	}
	return next, nil
}

// errRefused is the one answer to every combination of address and password
// that does not sign in.
var errRefused = errors.New("sign-in refused")

// retryAfter tells a client when the next try is let through, rounded up.
func retryAfter(c *gin.Context, wait time.Duration) {
	c.Header("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
}

// authenticate returns whose address and password these are, or errRefused.
// Neither the answer nor its time tells whether there is such an address.
func (s *Site) authenticate(ctx context.Context, email, password string) (known storage.Credentials, err error) {
	if key, err := roster.EmailKey(email); err == nil {
		known, err = s.Store.CredentialsOf(ctx, key)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return known, err
		}
	}
	if known.PasswordHash == "" {
		if err := s.Hasher.VerifyNobody(ctx, password); err != nil {
			return known, err
		}
		return known, errRefused
	}
	right, err := s.Hasher.Verify(ctx, known.PasswordHash, password)
	if err != nil {
		return known, err
	}
	if !right || known.Status != roster.Active {
		return known, errRefused
	}
	return s.renewHash(ctx, known, password)
}

// renewHash hashes a password anew that was hashed at another cost than today's.
func (s *Site) renewHash(ctx context.Context, known storage.Credentials, password string) (storage.Credentials, error) {
	if !s.Hasher.NeedsRehash(known.PasswordHash) {
		return known, nil
	}
	hash, err := s.Hasher.Hash(ctx, password)
	if err != nil {
		return known, err
	}
	old := known.PasswordHash
	known.PasswordHash = hash
	return known, s.Store.SetPasswordHash(ctx, known.UserID, old, hash)
}

func (s *Site) signOut(c *gin.Context) error {
	if hash, ok := s.cookie.read(c.Request); ok {
		if err := s.Store.EndSession(c.Request.Context(), hash); err != nil {
			return err
		}
	}
	s.cookie.write(c.Writer, "")
	s.endHalfway(c.Writer)
	c.Header("Clear-Site-Data", `"cache", "storage"`)
	seeOther(c, "/signin?left=1")
	return nil
}

// readForm reads a form of at most maxForm bytes.
func readForm(c *gin.Context) (url.Values, error) {
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxForm)
	if err := c.Request.ParseForm(); err != nil {
		return nil, fmt.Errorf("%w: %w", errBadForm, err)
	}
	return c.Request.PostForm, nil
}
