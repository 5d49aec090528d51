package login

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/internal/humanize"
	"rollcall/internal/ratelimit"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web/postform"
	"rollcall/web/respond"
	"rollcall/web/sanitize"
)

// CodePath is the page that asks for a code of the second factor during
// sign-in.
const CodePath = "/signin/code"

// pendingLoginTTL is how long a user may take to enter the code, by the
// database's clock.
const pendingLoginTTL = 5 * time.Minute

// purposePendingLogin signs the cookie of a browser in which the right password
// was entered and the code is still missing.
const purposePendingLogin auth.Purpose = "halfway signed in"

// pendingLogin is the content of that cookie. It is not a session: it only
// gives access to the page for the code, in the same browser.
type pendingLogin struct {
	user     uuid.UUID
	password [32]byte // SHA-256 of the hash that the password matched
	expires  time.Time
	next     string // where to go afterwards
}

// errLate is returned for a code without a password, or too long after it.
var errLate = errors.New("no password was entered, or not in time")

// pendingLoginCookie is named after the session cookie and bound the same way.
func (k sessionCookie) pendingLoginCookie() string { return k.name + "_halfway" }

func (s *Service) writePendingLogin(w http.ResponseWriter, h pendingLogin) {
	body := append(h.user[:], h.password[:]...)
	body = binary.BigEndian.AppendUint64(body, uint64(h.expires.Unix()))
	s.setPendingLogin(w, s.signer.Sign(purposePendingLogin, append(body, h.next...)), int(pendingLoginTTL/time.Second))
}

// clearPendingLogin deletes the cookie.
func (s *Service) clearPendingLogin(w http.ResponseWriter) { s.setPendingLogin(w, "", -1) }

func (s *Service) setPendingLogin(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookie.pendingLoginCookie(), Value: value, Path: "/", MaxAge: maxAge,
		Secure: s.cookie.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// readPendingLogin reads the cookie; ok is false if there is none with a valid
// signature.
func (s *Service) readPendingLogin(r *http.Request) (h pendingLogin, ok bool) {
	cookie, err := r.Cookie(s.cookie.pendingLoginCookie())
	if err != nil {
		return h, false
	}
	const fixed = len(h.user) + len(h.password) + 8
	body, ok := s.signer.Verify(purposePendingLogin, cookie.Value)
	if !ok || len(body) < fixed {
		return h, false
	}
	copy(h.user[:], body)
	copy(h.password[:], body[len(h.user):])
	h.expires = time.Unix(int64(binary.BigEndian.Uint64(body[fixed-8:])), 0)
	h.next = sanitize.LocalPath(string(body[fixed:]))
	return h, true
}

// resumedLogin is a user whose password was right, with their current data.
type resumedLogin struct {
	known  storage.Credentials
	email  string
	factor storage.SecondFactor
	next   string
}

// resumeLogin returns the user who is to enter a code, or errLate if the time
// is over or the password, the user's state or the second factor has changed.
func (s *Service) resumeLogin(c *gin.Context) (a resumedLogin, err error) {
	half, ok := s.readPendingLogin(c.Request)
	if !ok {
		return a, errLate
	}
	ctx := c.Request.Context()
	user, err := s.store.User(ctx, half.user)
	if errors.Is(err, storage.ErrNotFound) {
		return a, errLate
	}
	if err != nil {
		return a, err
	}
	a.email, a.next = user.Email, half.next
	if a.known, err = s.credentialsOf(ctx, user); err != nil {
		return a, err
	}
	factor, err := s.FactorOf(ctx, half.user)
	if err != nil {
		return a, err
	}
	if factor == nil || !factor.Now.Before(half.expires) || user.Status != roster.Active ||
		!auth.SameHash(sha256.Sum256([]byte(a.known.PasswordHash)), half.password) {
		return a, errLate
	}
	a.factor = *factor
	return a, nil
}

// credentialsOf reads the data of a user that signing in needs.
func (s *Service) credentialsOf(ctx context.Context, user *roster.User) (known storage.Credentials, err error) {
	key, err := roster.EmailKey(user.Email)
	if err != nil {
		return known, err
	}
	return s.store.CredentialsOf(ctx, key)
}

// startOver redirects to the sign-in on errLate; any other error is returned.
func (s *Service) startOver(c *gin.Context, err error) error {
	if !errors.Is(err, errLate) && !errors.Is(err, storage.ErrWrongState) {
		return err
	}
	s.clearPendingLogin(c.Writer)
	respond.SeeOther(c, "/signin?late=1")
	return nil
}

// codeView asks for a code during sign-in.
type codeView struct {
	Email   string
	Problem string // why the last one was refused
}

func (codeView) page() Page { return Page{Template: "login_code", Title: "Sign in"} }

func (s *Service) ShowCode(c *gin.Context) error {
	a, err := s.resumeLogin(c)
	if err != nil {
		return s.startOver(c, err)
	}
	return s.show(c, http.StatusOK, nil, codeView{Email: a.email})
}

// EnterCode signs in a user who has entered the password before and now a code.
func (s *Service) EnterCode(c *gin.Context) error {
	form, err := postform.Read(c)
	if err != nil {
		return err
	}
	a, err := s.resumeLogin(c)
	if err != nil {
		return s.startOver(c, err)
	}
	var where string
	problem, err := s.TryCode(c, a.email, a.factor, form.Get("code"), func(proof storage.Proof) (err error) {
		where, err = s.admit(c, a.known, a.email, a.next, proof)
		return err
	})
	if err != nil {
		return s.startOver(c, err)
	}
	if problem != nil {
		if problem.Status == http.StatusUnprocessableEntity {
			problem.Status = http.StatusUnauthorized
		}
		return s.show(c, problem.Status, nil, codeView{Email: a.email, Problem: problem.Text})
	}
	s.clearPendingLogin(c.Writer)
	respond.SeeOther(c, where)
	return nil
}

// lockedText explains why codes of the app are not accepted, and what is.
const lockedText = "Too many incorrect codes: codes from the authenticator app are no longer accepted. Use a recovery code. Without one, ask the operator of this server to reset two-factor authentication."

// beginCode reserves an attempt to enter a code. Recovery codes cannot be
// guessed, and let an owner in while others guess on the account: they are
// limited by network address only.
func (s *Service) beginCode(c *gin.Context, account string, factor storage.SecondFactor, recovery bool) (loginAttempt, time.Duration) {
	address := network(c.ClientIP())
	if recovery {
		return loginAttempt{[]*ratelimit.Limiter{s.recovery}, []string{address}}, s.recovery.Take(address).RetryAfter
	}
	return s.codes.begin(account, address, s.knownDevice(c.Request, account, factor.ID))
}

// TryCode runs an action that needs a code, limited like attempts to enter a
// password. problem is why it was not run.
func (s *Service) TryCode(c *gin.Context, email string, factor storage.SecondFactor, code string, do func(storage.Proof) error) (problem *ReauthError, err error) {
	wrong := &ReauthError{http.StatusUnprocessableEntity, "That code is incorrect or was already used. Wait for the next code and try again."}
	if code == "" {
		return wrong, nil // does not count as a guess
	}
	hash, recovery := auth.ParseRecoveryCode(code)
	if !recovery && factor.Locked() {
		s.frame.LogRefusal(c, "codes locked")
		return &ReauthError{http.StatusForbidden, lockedText}, nil
	}
	attempt, wait := s.beginCode(c, accountKey(email), factor, recovery)
	if wait > 0 {
		s.frame.LogRefusal(c, "code throttled")
		respond.RetryAfter(c, wait)
		return &ReauthError{http.StatusTooManyRequests, "Too many incorrect codes. Try again in " + humanize.Duration(max(wait, time.Minute)) + "."}, nil
	}
	proof, fits := storage.Proof{Factor: factor.ID, Recovery: &hash}, true
	if !recovery {
		proof, fits, err = s.countedProof(c.Request.Context(), factor, code)
	}
	if err == nil && fits {
		err = do(proof)
	}
	if err == nil && !fits || errors.Is(err, storage.ErrCodeUsed) {
		s.frame.LogRefusal(c, "code refused")
		return wrong, nil
	}
	attempt.forgive()
	return nil, err
}

// countedProof reads a code of the app after counting the attempt. The database
// decides whether the code was used before, and whether a recovery code exists.
func (s *Service) countedProof(ctx context.Context, factor storage.SecondFactor, code string) (p storage.Proof, fits bool, err error) {
	p.Factor = factor.ID
	if err := s.store.CountCode(ctx, factor); err != nil {
		return p, false, err
	}
	secret, err := s.sealer.Open(factor.Secret, auth.TOTPContext(factor.UserID))
	if err != nil {
		return p, false, err
	}
	p.Step, fits = auth.MatchTOTP(secret, code, factor.Now)
	return p, fits, nil
}
