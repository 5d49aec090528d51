package web

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
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web/foreign"
)

// codePath is where a sign-in asks for a code of the second factor.
const codePath = "/signin/code"

// halfwayLife is how long the code may take, by the database's clock.
const halfwayLife = 5 * time.Minute

// purposeHalfway signs the cookie of a browser in which a right password was
// entered and the code is still to come.
const purposeHalfway auth.Purpose = "halfway signed in"

// halfway is what that cookie says. It is no session: all it opens is the page
// for the code, in the browser that has it.
type halfway struct {
	user     uuid.UUID
	password [32]byte // SHA-256 of the hash that the password was held against
	expires  time.Time
	next     string // where to go then
}

// errLate is for a code without, or too long after, the password.
var errLate = errors.New("no password was entered, or not in time")

// halfwayCookie is named after the session's, and bound like it.
func (k sessionCookie) halfwayCookie() string { return k.name + "_halfway" }

func (s *Site) writeHalfway(w http.ResponseWriter, h halfway) {
	body := append(h.user[:], h.password[:]...)
	body = binary.BigEndian.AppendUint64(body, uint64(h.expires.Unix()))
	s.setHalfway(w, s.Signer.Sign(purposeHalfway, append(body, h.next...)), int(halfwayLife/time.Second))
}

// endHalfway takes the cookie away.
func (s *Site) endHalfway(w http.ResponseWriter) { s.setHalfway(w, "", -1) }

func (s *Site) setHalfway(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookie.halfwayCookie(), Value: value, Path: "/", MaxAge: maxAge,
		Secure: s.cookie.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// readHalfway returns what the cookie says; ok is false if there is none of ours.
func (s *Site) readHalfway(r *http.Request) (h halfway, ok bool) {
	cookie, err := r.Cookie(s.cookie.halfwayCookie())
	if err != nil {
		return h, false
	}
	const fixed = len(h.user) + len(h.password) + 8
	body, ok := s.Signer.Verify(purposeHalfway, cookie.Value)
	if !ok || len(body) < fixed {
		return h, false
	}
	copy(h.user[:], body)
	copy(h.password[:], body[len(h.user):])
	h.expires = time.Unix(int64(binary.BigEndian.Uint64(body[fixed-8:])), 0)
	h.next = foreign.OwnPath(string(body[fixed:]))
	return h, true
}

// arrival is somebody whose password was right, as of now.
type arrival struct {
	known  storage.Credentials
	email  string
	factor storage.SecondFactor
	next   string
}

// arriving returns who is to enter a code, or errLate if the time is over, or the
// password, the person's state or the second factor is no longer what it was.
func (s *Site) arriving(c *gin.Context) (a arrival, err error) {
	half, ok := s.readHalfway(c.Request)
	if !ok {
		return a, errLate
	}
	ctx := c.Request.Context()
	user, err := s.Store.User(ctx, half.user)
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
	factor, err := s.factorOf(ctx, half.user)
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

// credentialsOf reads what signing in needs to know of a user.
func (s *Site) credentialsOf(ctx context.Context, user *roster.User) (known storage.Credentials, err error) {
	key, err := roster.EmailKey(user.Email)
	if err != nil {
		return known, err
	}
	return s.Store.CredentialsOf(ctx, key)
}

// startOver sends back to the sign-in who is late; any other error stays.
func (s *Site) startOver(c *gin.Context, err error) error {
	if !errors.Is(err, errLate) && !errors.Is(err, storage.ErrWrongState) {
		return err
	}
	s.endHalfway(c.Writer)
	seeOther(c, "/signin?late=1")
	return nil
}

// codeView asks for a code at the sign-in.
type codeView struct {
	Email   string
	Problem string // why the last one was refused
}

func (codeView) frame() frame { return frame{Template: "code", Title: "Sign in"} }

func (s *Site) showCode(c *gin.Context) error {
	a, err := s.arriving(c)
	if err != nil {
		return s.startOver(c, err)
	}
	return s.show(c, http.StatusOK, nil, codeView{Email: a.email})
}

// enterCode signs in who has entered the password before and now a code.
func (s *Site) enterCode(c *gin.Context) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	a, err := s.arriving(c)
	if err != nil {
		return s.startOver(c, err)
	}
	var where string
	problem, err := s.tryCode(c, a.email, a.factor, form.Get("code"), func(proof storage.Proof) (err error) {
		where, err = s.admit(c, a.known, a.email, a.next, proof)
		return err
	})
	if err != nil {
		return s.startOver(c, err)
	}
	if problem != nil {
		if problem.status == http.StatusUnprocessableEntity {
			problem.status = http.StatusUnauthorized
		}
		return s.show(c, problem.status, nil, codeView{Email: a.email, Problem: problem.text})
	}
	s.endHalfway(c.Writer)
	seeOther(c, where)
	return nil
}

// tryCode does with a code what only its owner may, as often as passwords may be
// tried and no more. problem is why it was not done.
func (s *Site) tryCode(c *gin.Context, email string, factor storage.SecondFactor, code string, do func(storage.Proof) error) (problem *unproved, err error) {
	wrong := &unproved{http.StatusUnprocessableEntity, "That code is not right, or was used before. Wait for the next one, and type that."}
	if code == "" {
		return wrong, nil // no guess
	}
	account := accountKey(email)
	attempt, wait := s.codes.begin(account, network(c.ClientIP()), s.knownDevice(c.Request, account))
	if wait > 0 {
		s.logRefusal(c, "code throttled")
		retryAfter(c, wait)
		return &unproved{http.StatusTooManyRequests, "Too many wrong codes were entered. Try again in " + duration(max(wait, time.Minute)) + "."}, nil
	}
	proof, fits, err := s.proofOf(factor, code)
	if err == nil && fits {
		err = do(proof)
	}
	if err == nil && !fits || errors.Is(err, storage.ErrCodeUsed) {
		s.logRefusal(c, "code refused")
		return wrong, nil
	}
	attempt.forgive()
	return nil, err
}

// proofOf reads a code, of the app or for recovery. Whether it was used before is
// for the database to say; so is whether there is such a recovery code.
func (s *Site) proofOf(factor storage.SecondFactor, code string) (p storage.Proof, fits bool, err error) {
	p.Factor = factor.ID
	if hash, ok := auth.ParseRecoveryCode(code); ok {
		p.Recovery = &hash
		return p, true, nil
	}
	secret, err := s.Sealer.Open(factor.Secret, auth.TOTPContext(factor.UserID))
	if err != nil {
		return p, false, err
	}
	p.Step, fits = auth.MatchTOTP(secret, code, factor.Now)
	return p, fits, nil
}
