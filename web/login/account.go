package login

import (
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/mileusna/useragent"

	"rollcall/auth"
	"rollcall/internal/humanize"
	"rollcall/internal/i18n"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web/postform"
	"rollcall/web/respond"
)

// AccountPath is the page where users manage their own account.
const AccountPath = "/admin/account"

// others is the form value that selects all sessions except the current one.
const others = "others"

// accountView is the user's own account: the password and the active sessions.
type accountView struct {
	Account    *roster.User
	Sessions   []storage.Session
	Factor     *storage.SecondFactor // nil: none
	MinLength  int
	Complaints []string // why the new password was refused
	Problem    string   // why no session was ended
	Done       string   // result of the last form, "" for none
}

func (accountView) page() Page {
	return Page{Template: "account", Title: "Your account", Account: true}
}

// Elsewhere reports whether there are sessions besides the current one.
func (v accountView) Elsewhere() bool { return len(v.Sessions) > 1 }

// accountDone maps the result in a redirect to the message of the page.
var accountDone = map[string]string{
	"password": "Password changed. You've been signed out on all other devices.",
	"session":  "Session signed out.",
	others:     "You've been signed out on all other devices.",
	"factor":   "Two-factor authentication is off. You've been signed out on all other devices.",
}

func (s *Service) ShowAccount(c *gin.Context, user *roster.User) error {
	return s.account(c, http.StatusOK, user, accountView{Done: accountDone[c.Query("did")]})
}

// account shows the page with the user's data.
func (s *Service) account(c *gin.Context, status int, user *roster.User, v accountView) error {
	current, _ := s.cookie.read(c.Request)
	sessions, err := s.store.Sessions(c.Request.Context(), user.ID, current, sessionIdle, maxSessionsListed)
	if err != nil {
		return err
	}
	if v.Factor, err = s.FactorOf(c.Request.Context(), user.ID); err != nil {
		return err
	}
	v.Account, v.Sessions, v.MinLength = user, sessions, auth.MinPasswordLength
	return s.show(c, status, user, v)
}

// ChangePassword sets a new password if the current one is entered.
func (s *Service) ChangePassword(c *gin.Context, user *roster.User) error {
	form, err := postform.Read(c)
	if err != nil {
		return err
	}
	old, problem, err := s.Reauthenticate(c, user, form.Get("current"))
	if err != nil {
		return err
	}
	if problem != nil {
		return s.account(c, problem.Status, user, accountView{Complaints: []string{problem.Text}})
	}
	password := form.Get("password")
	complaints := s.complaints(i18n.Reader{}, user.Name, user.Email, password, form["password_again"])
	if password != "" && password == form.Get("current") {
		complaints = append(complaints, "This is your current password. Choose a different one.")
	}
	if len(complaints) > 0 {
		return s.account(c, http.StatusUnprocessableEntity, user, accountView{Complaints: complaints})
	}
	ctx := c.Request.Context()
	change := storage.PasswordChange{UserID: user.ID, Old: old}
	if change.New, err = s.hash(c, user.Email, password, true); err != nil {
		return err
	}
	change.Current, _ = s.cookie.read(c.Request)
	secret, renewed := auth.NewSession()
	change.Renewed = renewed
	err = s.store.ChangePassword(ctx, change, AuditEntry(c, user))
	if errors.Is(err, storage.ErrWrongState) || errors.Is(err, storage.ErrNotFound) {
		return ErrSignedOut // changed, disabled or signed out in the meantime
	}
	if err != nil {
		return err
	}
	s.cookie.write(c.Writer, secret)
	respond.SeeOther(c, AccountPath+"?did=password")
	return nil
}

// EndSessions signs out other sessions if the password is entered: someone at a
// browser left open must not be able to lock its owner out.
func (s *Service) EndSessions(c *gin.Context, user *roster.User) error {
	form, err := postform.Read(c)
	if err != nil {
		return err
	}
	id, badID := uuid.Parse(form.Get("session"))
	all := form.Get("session") == others
	if badID != nil && !all {
		return postform.ErrInvalid
	}
	_, problem, err := s.Reauthenticate(c, user, form.Get("current"))
	if err != nil {
		return err
	}
	if problem != nil {
		return s.account(c, problem.Status, user, accountView{Problem: problem.Text})
	}
	if all {
		current, _ := s.cookie.read(c.Request)
		if _, err := s.store.EndSessions(c.Request.Context(), user.ID, current[:], AuditEntry(c, user)); err != nil {
			return err
		}
		respond.SeeOther(c, AccountPath+"?did="+others)
		return nil
	}
	// A session that has already ended needs no error: that was the goal.
	if err := s.store.EndSessionOf(c.Request.Context(), user.ID, id, AuditEntry(c, user)); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	respond.SeeOther(c, AccountPath+"?did=session")
	return nil
}

// ReauthError is why a signed-in user failed to confirm their identity.
type ReauthError struct {
	Status int    // HTTP status of the response
	Text   string // message for the user
}

// Reauthenticate checks the password of the signed-in user, limited like a
// sign-in, and returns the hash that it matched.
func (s *Service) Reauthenticate(c *gin.Context, user *roster.User, password string) (hash string, problem *ReauthError, err error) {
	wrong := &ReauthError{http.StatusUnprocessableEntity, "The current password is incorrect. Try again."}
	if password == "" {
		return "", wrong, nil // does not count as a guess
	}
	account := accountKey(user.Email)
	attempt, wait := s.attempts.begin(account, network(c.ClientIP()), s.knownDevice(c.Request, account, uuid.Nil))
	if wait > 0 {
		s.frame.LogRefusal(c, "password throttled")
		respond.RetryAfter(c, wait)
		return "", &ReauthError{http.StatusTooManyRequests, "Too many incorrect passwords. Try again in " + humanize.Duration(max(wait, time.Minute)) + "."}, nil
	}
	hash, right, err := s.verifyOwn(c, user, password)
	if err != nil || right {
		attempt.forgive()
		return hash, nil, err
	}
	s.frame.LogRefusal(c, "password refused")
	return "", wrong, nil
}

func (s *Service) verifyOwn(c *gin.Context, user *roster.User, password string) (hash string, right bool, err error) {
	known, err := s.credentialsOf(c.Request.Context(), user)
	if err != nil {
		return "", false, err
	}
	hasher, done, err := s.hashing(c, accountKey(user.Email), true)
	if err != nil {
		return "", false, err
	}
	defer done()
	right, err = hasher.Verify(c.Request.Context(), known.PasswordHash, password)
	return known.PasswordHash, right, err
}

// hash hashes a new password of an account, within the limits of hashing.
func (s *Service) hash(c *gin.Context, email, password string, known bool) (string, error) {
	hasher, done, err := s.hashing(c, accountKey(email), known)
	if err != nil {
		return "", err
	}
	defer done()
	return hasher.Hash(c.Request.Context(), password)
}

// maxBrowserWords bounds the stored name of a browser, in characters.
const maxBrowserWords = 60

// browserWords names the browser of a request, such as "Firefox on Linux"; ""
// if it is unknown. Nothing else from the User-Agent is stored.
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
