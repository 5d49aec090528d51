package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/mileusna/useragent"

	"rollcall/auth"
	"rollcall/roster"
	"rollcall/storage"
)

// accountPath is where people look after their own account.
const accountPath = "/admin/account"

// others stands for all sessions but the one that asks, in the form that ends
// sessions.
const others = "others"

// accountView is one's own account: the password, and where one is signed in.
type accountView struct {
	Account    *roster.User
	Sessions   []storage.Session
	Factor     *storage.SecondFactor // nil: none
	MinLength  int
	Complaints []string // why the new password was refused
	Problem    string   // why no session was ended
	Done       string   // what the last form did, "" if nothing
}

func (accountView) frame() frame {
	return frame{Template: "account", Title: "Your account", Section: sectionAccount}
}

// Elsewhere reports whether there are sessions beside the one that asks.
func (v accountView) Elsewhere() bool { return len(v.Sessions) > 1 }

// accountDone is what a redirect to the page says has happened.
var accountDone = map[string]string{
	"password": "The password is changed. Everywhere else you are signed out.",
	"session":  "That browser is signed out.",
	others:     "You are signed out everywhere else.",
	"factor":   "The second factor is removed. Everywhere else you are signed out.",
}

func (s *Site) showAccount(c *gin.Context, user *roster.User) error {
	return s.account(c, http.StatusOK, user, accountView{Done: accountDone[c.Query("did")]})
}

// account answers with the page, filled in.
func (s *Site) account(c *gin.Context, status int, user *roster.User, v accountView) error {
	current, _ := s.cookie.read(c.Request)
	sessions, err := s.Store.Sessions(c.Request.Context(), user.ID, current, sessionIdle, listSize)
	if err != nil {
		return err
	}
	if v.Factor, err = s.factorOf(c.Request.Context(), user.ID); err != nil {
		return err
	}
	v.Account, v.Sessions, v.MinLength = user, sessions, auth.MinPasswordLength
	return s.show(c, status, user, v)
}

// changePassword sets a new password for who knows the current one.
func (s *Site) changePassword(c *gin.Context, user *roster.User) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	old, problem, err := s.prove(c, user, form.Get("current"))
	if err != nil {
		return err
	}
	if problem != nil {
		return s.account(c, problem.status, user, accountView{Complaints: []string{problem.text}})
	}
	password := form.Get("password")
	complaints := s.complaints(user.Name, user.Email, password, form["password_again"])
	if password != "" && password == form.Get("current") {
		complaints = append(complaints, "This is the password you have. Choose another one.")
	}
	if len(complaints) > 0 {
		return s.account(c, http.StatusUnprocessableEntity, user, accountView{Complaints: complaints})
	}
	ctx := c.Request.Context()
	change := storage.PasswordChange{UserID: user.ID, Old: old}
	if change.New, err = s.Hasher.Hash(ctx, password); err != nil {
		return err
	}
	change.Current, _ = s.cookie.read(c.Request)
	secret, renewed := auth.NewSession()
	change.Renewed = renewed
	err = s.Store.ChangePassword(ctx, change, entry(c, user))
	if errors.Is(err, storage.ErrWrongState) || errors.Is(err, storage.ErrNotFound) {
		return errSignedOut // changed, disabled or signed out meanwhile
	}
	if err != nil {
		return err
	}
	s.cookie.write(c.Writer, secret)
	s.remember(c.Writer, accountKey(user.Email))
	seeOther(c, accountPath+"?did=password")
	return nil
}

// endSessions signs out elsewhere, for who knows the password: a browser that
// was left open must not lock its owner out of the others.
func (s *Site) endSessions(c *gin.Context, user *roster.User) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	id, badID := uuid.Parse(form.Get("session"))
	all := form.Get("session") == others
	if badID != nil && !all {
		return errBadForm
	}
	_, problem, err := s.prove(c, user, form.Get("current"))
	if err != nil {
		return err
	}
	if problem != nil {
		return s.account(c, problem.status, user, accountView{Problem: problem.text})
	}
	if all {
		current, _ := s.cookie.read(c.Request)
		if _, err := s.Store.EndSessions(c.Request.Context(), user.ID, current[:], entry(c, user)); err != nil {
			return err
		}
		seeOther(c, accountPath+"?did="+others)
		return nil
	}
	// One that has ended meanwhile is what was asked for.
	if err := s.Store.EndSessionOf(c.Request.Context(), user.ID, id, entry(c, user)); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	seeOther(c, accountPath+"?did=session")
	return nil
}

// unproved is why somebody who is signed in could not prove again who they are.
type unproved struct {
	status int
	text   string
}

// prove checks the password of who is signed in, as often as at the sign-in and
// no more, and returns the hash it fits.
func (s *Site) prove(c *gin.Context, user *roster.User, password string) (hash string, problem *unproved, err error) {
	wrong := &unproved{http.StatusUnprocessableEntity, "The current password is not right. Type it again."}
	if password == "" {
		return "", wrong, nil // no guess
	}
	account := accountKey(user.Email)
	attempt, wait := s.attempts.begin(account, network(c.ClientIP()), s.knownDevice(c.Request, account))
	if wait > 0 {
		s.logRefusal(c, "password throttled")
		retryAfter(c, wait)
		return "", &unproved{http.StatusTooManyRequests, "Too many wrong passwords were entered. Try again in " + duration(max(wait, time.Minute)) + "."}, nil
	}
	hash, right, err := s.verifyOwn(c.Request.Context(), user, password)
	if err != nil || right {
		attempt.forgive()
		return hash, nil, err
	}
	s.logRefusal(c, "password refused")
	return "", wrong, nil
}

func (s *Site) verifyOwn(ctx context.Context, user *roster.User, password string) (hash string, right bool, err error) {
	known, err := s.credentialsOf(ctx, user)
	if err != nil {
		return "", false, err
	}
	right, err = s.Hasher.Verify(ctx, known.PasswordHash, password)
	return known.PasswordHash, right, err
}

// maxBrowserWords bounds what a browser may say of itself, in characters.
const maxBrowserWords = 60

// browserWords says which browser a request comes from, such as "Firefox on
// Linux"; "" if it does not tell. No more of what it sends is kept than that.
func browserWords(r *http.Request) string {
	sent := r.UserAgent()
	ua := useragent.Parse(sent[:min(len(sent), 512)])
	words := strings.TrimSpace(ua.Name)
	if words != "" && ua.OS != "" {
		words += " on " + ua.OS
	}
	plain := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(words, ""))
	runes := []rune(plain)
	return string(runes[:min(len(runes), maxBrowserWords)])
}
