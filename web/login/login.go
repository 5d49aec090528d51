package login

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web/postform"
	"rollcall/web/respond"
	"rollcall/web/sanitize"
)

// signInView is the sign-in form.
type signInView struct {
	Email   string        // as typed before
	Next    string        // where to go afterwards, "" for the home page
	Refused bool          // the last attempt was refused
	Left    bool          // the user has just signed out
	Changed bool          // the user has just set a new password
	Late    bool          // the code was not entered in time
	Wait    time.Duration // too many attempts: how long until the next one; 0: none
}

func (signInView) page() Page { return Page{Template: "login", Title: "Sign in"} }

func (s *Service) ShowSignIn(c *gin.Context) error {
	return s.show(c, http.StatusOK, nil, signInView{Next: sanitize.LocalPath(c.Query("next")), Left: c.Query("left") != "", Changed: c.Query("changed") != "", Late: c.Query("late") != ""})
}

func (s *Service) SignIn(c *gin.Context) error {
	form, err := postform.Read(c)
	if err != nil {
		return err
	}
	email, next := strings.TrimSpace(form.Get("email")), sanitize.LocalPath(form.Get("next"))
	account := accountKey(email)
	device := s.knownDevice(c.Request, account, uuid.Nil)
	attempt, wait := s.attempts.begin(account, network(c.ClientIP()), device)
	if wait > 0 {
		s.frame.LogRefusal(c, "sign-in throttled")
		respond.RetryAfter(c, wait)
		return s.show(c, http.StatusTooManyRequests, nil, signInView{Email: email, Next: next, Wait: max(wait, time.Minute)})
	}
	where, err := s.loginOnce(c, email, form.Get("password"), next, device != "")
	if !errors.Is(err, errRefused) {
		attempt.forgive() // right, or not answered as a guess
	}
	if errors.Is(err, errRefused) {
		s.frame.LogRefusal(c, "sign-in refused")
		return s.show(c, http.StatusUnauthorized, nil, signInView{Email: email, Next: next, Refused: true})
	}
	if err != nil {
		return err
	}
	respond.SeeOther(c, where)
	return nil
}

// loginOnce is login with a slot of the hasher, repeated if the credentials
// changed while they were verified.
func (s *Service) loginOnce(c *gin.Context, email, password, next string, known bool) (where string, err error) {
	hasher, done, err := s.hashing(c, accountKey(email), known)
	if err != nil {
		return "", err
	}
	defer done()
	where, err = s.login(c, hasher, email, password, next)
	if errors.Is(err, storage.ErrWrongState) {
		where, err = s.login(c, hasher, email, password, next)
	}
	return where, err
}

// login signs in the owner of the address and password, or asks them for a code
// of their second factor, and returns where to go next. It returns errRefused
// for anyone else, and storage.ErrWrongState if the password was changed or
// rehashed in the meantime.
func (s *Service) login(c *gin.Context, hasher *auth.Hasher, email, password, next string) (where string, err error) {
	known, err := s.authenticate(c.Request.Context(), hasher, email, password)
	if err != nil {
		return "", err
	}
	factor, err := s.FactorOf(c.Request.Context(), known.UserID)
	if err != nil {
		return "", err
	}
	if factor != nil {
		s.writePendingLogin(c.Writer, pendingLogin{known.UserID, sha256.Sum256([]byte(known.PasswordHash)), factor.Now.Add(pendingLoginTTL), next})
		return CodePath, nil
	}
	return s.admit(c, known, email, next, storage.Proof{})
}

// admit opens a session and returns where to go: next, or the home page.
func (s *Service) admit(c *gin.Context, known storage.Credentials, email, next string, proof storage.Proof) (where string, err error) {
	ctx := c.Request.Context()
	secret, hash := auth.NewSession()
	in := storage.SignIn{
		UserID: known.UserID, PasswordHash: known.PasswordHash, Proof: proof,
		Session: hash, Browser: browserWords(c.Request), Life: sessionLife,
	}
	// Every sign-in gets a new secret, so that one that was planted or seen
	// before is worthless (session fixation).
	if old, ok := s.cookie.read(c.Request); ok {
		in.Replaces = old[:]
	}
	if err := s.store.CreateSession(ctx, in, AuditEntry(c, &roster.User{ID: known.UserID, Email: email})); err != nil {
		return "", err
	}
	s.cookie.write(c.Writer, secret)
	s.remember(c.Writer, accountKey(email), proof.Factor)
	if next == "" {
		next = HomePath
	}
	return next, nil
}

// errRefused is returned for every combination of address and password that
// does not sign in, so that they cannot be told apart.
var errRefused = errors.New("sign-in refused")

// authenticate returns the user with this address and password, or errRefused.
// Neither the response nor its timing reveals whether the address exists.
func (s *Service) authenticate(ctx context.Context, hasher *auth.Hasher, email, password string) (known storage.Credentials, err error) {
	if key, err := roster.EmailKey(email); err == nil {
		known, err = s.store.CredentialsOf(ctx, key)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return known, err
		}
	}
	if known.PasswordHash == "" {
		if err := hasher.VerifyDummy(ctx, password); err != nil {
			return known, err
		}
		return known, errRefused
	}
	right, err := hasher.Verify(ctx, known.PasswordHash, password)
	if err != nil {
		return known, err
	}
	if !right || known.Status != roster.Active {
		return known, errRefused
	}
	return s.renewHash(ctx, hasher, known, password)
}

// renewHash rehashes a password whose hash uses other cost parameters than
// today's.
func (s *Service) renewHash(ctx context.Context, hasher *auth.Hasher, known storage.Credentials, password string) (storage.Credentials, error) {
	if !hasher.NeedsRehash(known.PasswordHash) {
		return known, nil
	}
	hash, err := hasher.Hash(ctx, password)
	if err != nil {
		return known, err
	}
	old := known.PasswordHash
	known.PasswordHash = hash
	return known, s.store.SetPasswordHash(ctx, known.UserID, old, hash)
}

func (s *Service) SignOut(c *gin.Context) error {
	if hash, ok := s.cookie.read(c.Request); ok {
		if err := s.store.EndSession(c.Request.Context(), hash, c.ClientIP()); err != nil {
			return err
		}
	}
	s.cookie.write(c.Writer, "")
	s.clearPendingLogin(c.Writer)
	c.Header("Clear-Site-Data", `"cache", "storage"`)
	respond.SeeOther(c, "/signin?left=1")
	return nil
}
