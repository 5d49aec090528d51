package web

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web/login"
)

// reauthGrace is how long an entered password counts for actions that ask for
// it again: long enough for several actions in a row, short enough that a
// session left open is of little use to someone else. Use does not extend it.
const reauthGrace = 5 * time.Minute

// reauthPrefix starts the names of our own fields, so that they cannot clash
// with those of the interrupted form.
const reauthPrefix = "confirm_"

// reauthView asks for the password, and for a code if there is a second factor,
// before a form takes effect. It carries the values of that form.
type reauthView struct {
	Account  *roster.User
	Task     string // what the form does, after "to"
	Action   string // where the form goes
	Back     string // path of the page it came from
	Fields   []hiddenField
	Factor   bool
	Download bool   // what comes is a file, so this page stays
	Problem  string // why the last attempt failed, "" at first
}

func (reauthView) pageMeta() pageMeta { return pageMeta{Template: "reauth", Title: "Confirm it's you"} }

// hiddenField is one value of a form.
type hiddenField struct{ Name, Value string }

// confirmed runs h only for a user who has entered the password recently.
// Others are asked for it first, and the form is submitted again with it.
func (s *Site) confirmed(task, back string, h userHandler) userHandler {
	return func(c *gin.Context, user *roster.User) error {
		ok, err := s.confirmIdentity(c, user, task, back)
		if err != nil || !ok {
			return err
		}
		return h(c, user)
	}
}

// confirmIdentity reports whether the user has entered the password in this
// session within reauthGrace, or does so with this request. If not, it has
// answered with the page that asks for it.
func (s *Site) confirmIdentity(c *gin.Context, user *roster.User, task, back string) (ok bool, err error) {
	form, err := readForm(c)
	if err != nil {
		return false, err
	}
	request := c.Request // without the deadline below
	defer func() { c.Request = request }()
	defer bound(c, pageTimeout)()
	session := s.login.Session(c.Request)
	ctx := c.Request.Context()
	if recent, err := s.deps.Store.RecentlyAuthenticated(ctx, session, reauthGrace); err != nil || recent {
		return recent, err
	}
	factor, err := s.login.FactorOf(ctx, user.ID)
	if err != nil {
		return false, err
	}
	v := reauthView{
		Account: user, Task: task, Back: back, Action: c.Request.URL.RequestURI(), Factor: factor != nil,
		Download: c.Request.Method != http.MethodPost || form.Get(reauthPrefix+"download") != "",
	}
	status := http.StatusForbidden
	if form.Has(reauthPrefix + "password") {
		problem, err := s.enterAgain(c, user, factor, form.Get(reauthPrefix+"password"), form.Get(reauthPrefix+"code"))
		if err != nil || problem == nil {
			return err == nil, err
		}
		status, v.Problem = problem.Status, problem.Text
	}
	for _, name := range slices.Sorted(maps.Keys(form)) {
		if strings.HasPrefix(name, reauthPrefix) {
			continue
		}
		for _, value := range form[name] {
			v.Fields = append(v.Fields, hiddenField{name, value})
		}
	}
	return false, s.show(c, status, user, v)
}

// enterAgain records on the session that the password, and the code if there is
// a second factor, was right. problem says why it was not.
func (s *Site) enterAgain(c *gin.Context, user *roster.User, factor *storage.SecondFactor, password, code string) (problem *login.ReauthError, err error) {
	hash, problem, err := s.login.Reauthenticate(c, user, password)
	if err != nil || problem != nil {
		return problem, err
	}
	session := s.login.Session(c.Request)
	note := func(proof storage.Proof) error {
		return s.deps.Store.Reauthenticate(c.Request.Context(), storage.Reauthentication{
			UserID: user.ID, Session: session, PasswordHash: hash, Proof: proof,
		}, entry(c, user))
	}
	if factor == nil {
		err = note(storage.Proof{})
	} else {
		problem, err = s.login.TryCode(c, user.Email, *factor, code, note)
	}
	if errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrWrongState) {
		err = login.ErrSignedOut // signed out in the meantime, or the password or the second factor has changed
	}
	return problem, err
}
