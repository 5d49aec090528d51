package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/privacy"
	"rollcall/roster"
	"rollcall/storage"
)

// userAction is something an administrator does to users.
type userAction struct {
	Name    string // in forms and paths
	Label   string // on the button
	Ask     string // what will happen, before it does
	Done    string // what has happened, after "1 user" or "2 users"
	Reverse string // name of the action that takes it back, "" if none does
	Danger  bool
	Single  bool // to one user at a time

	fits func(*roster.User) bool // whether there is anything to do
	do   func(*Site, context.Context, uuid.UUID, storage.Entry) error
}

// userActions are all there are, in the order they are offered.
var userActions = []userAction{
	{
		Name: "resend", Label: "Send the invitation again", Done: "invited again: the mail is on its way",
		Ask:  "Each gets a mail with a fresh link to set a password. Links sent before stop working.",
		fits: func(u *roster.User) bool { return u.Status == roster.Invited },
		do: func(s *Site, ctx context.Context, id uuid.UUID, by storage.Entry) error {
			return s.Store.ResendInvitation(ctx, id, by)
		},
	},
	{
		Name: "revoke", Label: "Withdraw the invitation", Done: "no longer invited: the link is dead", Reverse: "resend", Danger: true,
		Ask:  "The link in their mail stops working. The users stay, and can be invited again.",
		fits: openInvitation,
		do: func(s *Site, ctx context.Context, id uuid.UUID, by storage.Entry) error {
			return s.Store.RevokeInvitation(ctx, id, by)
		},
	},
	{
		Name: "make-admin", Label: "Make administrator", Done: "now administrator", Reverse: "make-user",
		Ask:  "Administrators see all users, import, change roles and settings. Where they are signed in, they have to sign in again.",
		fits: func(u *roster.User) bool { return u.Role == roster.RoleUser },
		do:   changing(storage.UserChange{Role: new(roster.RoleAdmin)}),
	},
	{
		Name: "make-user", Label: "Take the admin role away", Done: "no longer administrator", Reverse: "make-admin", Danger: true,
		Ask:  "They can no longer import or manage users. Where they are signed in, they have to sign in again.",
		fits: func(u *roster.User) bool { return u.Role == roster.RoleAdmin },
		do:   changing(storage.UserChange{Role: new(roster.RoleUser)}),
	},
	{
		Name: "end-sessions", Label: "Sign out everywhere", Done: "signed out everywhere",
		Ask:  "Every browser in which they are signed in has to sign in again.",
		fits: func(u *roster.User) bool { return u.Status == roster.Active },
		do: func(s *Site, ctx context.Context, id uuid.UUID, by storage.Entry) error {
			_, err := s.Store.EndSessions(ctx, id, nil, by)
			return err
		},
	},
	{
		Name: "disable", Label: "Disable", Done: "disabled", Reverse: "enable", Danger: true,
		Ask:  "They are signed out everywhere at once and cannot sign in; an invitation not yet used stops working. Nothing is deleted, and they can be enabled again.",
		fits: func(u *roster.User) bool { return u.Status != roster.Disabled },
		do:   changing(storage.UserChange{Disabled: new(true)}),
	},
	{
		Name: "enable", Label: "Enable", Done: "enabled", Reverse: "disable",
		Ask:  "Who had set a password can sign in with it again. Who had not is invited anew only when the invitation is sent again.",
		fits: func(u *roster.User) bool { return u.Status == roster.Disabled },
		do:   changing(storage.UserChange{Disabled: new(false)}),
	},
	{
		Name: "erase", Label: "Erase", Done: "erased", Danger: true, Single: true,
		Ask:  "Everything that is kept about this person is removed for good, and the kept files of imports that name the address with it. What they did stays on record under a keyed hash. It cannot be taken back.",
		fits: func(*roster.User) bool { return true },
		do:   (*Site).erase,
	},
}

// erasing is how long the files of imports may be searched for a person, below
// the time a server gives an answer.
const erasing = 90 * time.Second

// erase removes a person and all that is kept about them.
func (s *Site) erase(ctx context.Context, id uuid.UUID, by storage.Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), erasing)
	defer cancel()
	p, err := s.Store.Person(ctx, id)
	if err != nil {
		return err
	}
	_, err = s.Persons.Erase(ctx, p, by)
	return err
}

func changing(change storage.UserChange) func(*Site, context.Context, uuid.UUID, storage.Entry) error {
	return func(s *Site, ctx context.Context, id uuid.UUID, by storage.Entry) error {
		_, err := s.Store.ChangeUser(ctx, id, change, by)
		return err
	}
}

func openInvitation(u *roster.User) bool {
	return u.Status == roster.Invited && u.Invitation != nil && u.Invitation.Status != roster.InvitationRevoked
}

func findAction(name string) (userAction, bool) {
	i := slices.IndexFunc(userActions, func(a userAction) bool { return a.Name == name })
	if i < 0 {
		return userAction{}, false
	}
	return userActions[i], true
}

// changeView asks what to do to the users chosen, or whether to do it, or tells
// whom it could not be done to.
type changeView struct {
	Self    uuid.UUID
	Users   []*roster.User // whom it is about
	Action  *userAction    // nil: still to be chosen
	Idle    []*roster.User // chosen too, but there is nothing to do
	Refused []refusal      // after the deed
	Changed int            // after the deed, though some were refused
	Back    string         // path of the list
}

// refusal is why something could not be done to a user.
type refusal struct {
	User *roster.User
	Text string
}

func (v changeView) frame() frame {
	f := frame{Template: "userschange", Title: "Change users", Section: sectionUsers}
	if v.Action != nil {
		f.Title = v.Action.Label
	}
	return f
}

// Offers are the actions that fit any of the users.
func (v changeView) Offers() []userAction {
	return slices.DeleteFunc(slices.Clone(userActions), func(a userAction) bool {
		return a.Single && len(v.Users) > 1 || !slices.ContainsFunc(v.Users, a.fits)
	})
}

// Path is the page that asks whether to do an action.
func (v changeView) Path(action userAction) string {
	query := url.Values{"action": {action.Name}, "back": {v.Back}}
	for _, u := range v.Users {
		query.Add("user", u.ID.String())
	}
	return "/admin/users/change?" + query.Encode()
}

// Own reports whether it is about the account of who asks.
func (v changeView) Own() bool {
	return slices.ContainsFunc(v.Users, func(u *roster.User) bool { return u.ID == v.Self })
}

var errNobodyChosen = errors.New("no user is chosen")

// chosen reads the users that a form names, at most a list's worth, each once;
// one that is gone is left out.
func (s *Site) chosen(ctx context.Context, names []string) ([]*roster.User, error) {
	var users []*roster.User
	for _, name := range names[:min(len(names), listSize)] {
		id, err := uuid.Parse(name)
		if err != nil || slices.ContainsFunc(users, func(u *roster.User) bool { return u.ID == id }) {
			continue
		}
		user, err := s.Store.User(ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		users = append(users, user)
	}
	if len(users) == 0 {
		return nil, errNobodyChosen
	}
	return users, nil
}

// showChange asks. Parameters: user, an id, any number of times; action, ""
// while it is to be chosen; back, the list to return to.
func (s *Site) showChange(c *gin.Context, admin *roster.User) error {
	back := ownUsersPath(c.Query("back"))
	users, err := s.chosen(c.Request.Context(), c.QueryArray("user"))
	if errors.Is(err, errNobodyChosen) {
		seeOther(c, pathPlus(back, "did", "nothing"))
		return nil
	}
	if err != nil {
		return err
	}
	v := changeView{Self: admin.ID, Users: users, Back: back}
	if action, known := findAction(c.Query("action")); known {
		v.Action = &action
		v.split()
	}
	return s.show(c, http.StatusOK, admin, v)
}

// split sets aside the users there is nothing to do to.
func (v *changeView) split() {
	fits := func(u *roster.User) bool { return v.Action.fits(u) }
	for _, u := range v.Users {
		if !fits(u) {
			v.Idle = append(v.Idle, u)
		}
	}
	v.Users = slices.DeleteFunc(slices.Clone(v.Users), func(u *roster.User) bool { return !fits(u) })
}

// changeUsers does it, to one user after the other: who cannot be changed holds
// up nobody else.
func (s *Site) changeUsers(c *gin.Context, admin *roster.User) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	action, known := findAction(form.Get("action"))
	if !known {
		return errBadForm
	}
	v := changeView{Self: admin.ID, Action: &action, Back: ownUsersPath(form.Get("back"))}
	ctx := c.Request.Context()
	users, err := s.chosen(ctx, form["user"])
	if errors.Is(err, errNobodyChosen) {
		seeOther(c, pathPlus(v.Back, "did", "nothing"))
		return nil
	}
	if err != nil {
		return err
	}
	if action.Single && len(users) > 1 {
		return errBadForm
	}
	done := []string{"did", action.Name}
	for _, u := range users {
		err := action.do(s, ctx, u.ID, entry(c, admin))
		text, refused := refusalText(err)
		switch {
		case refused:
			v.Refused = append(v.Refused, refusal{u, text})
		case err != nil:
			return err
		default:
			done = append(done, "user", u.ID.String())
			v.Changed++
		}
	}
	if len(v.Refused) > 0 {
		return s.show(c, http.StatusConflict, admin, v)
	}
	seeOther(c, pathPlus(v.Back, done...))
	return nil
}

// refusalText is why a user could not be changed, if err is a decision and not
// a fault.
func refusalText(err error) (text string, refused bool) {
	if _, busy := errors.AsType[*privacy.BusyError](err); busy {
		return "An import that has not ended names this person and would bring them back. Wait for it, or cancel it.", true
	}
	switch {
	case errors.Is(err, storage.ErrLastAdmin):
		return "This is the last active administrator: nobody could manage users any more. Make somebody else administrator first.", true
	case errors.Is(err, storage.ErrWrongState):
		return "Things have moved on: there is nothing left to do here.", true
	case errors.Is(err, storage.ErrNotFound):
		return "This user is no longer there.", true
	}
	return "", false
}

// changeDone is what the list says about a deed.
type changeDone struct {
	Text string
	Undo string // path of the page that asks whether to take it back, "" for none
	Hint string // label of that action
}

// readDone reads what seeOther of changeUsers says; nil if nothing was done.
func readDone(c *gin.Context) *changeDone {
	if c.Query("did") == "nothing" {
		return &changeDone{Text: "Choose one or more users first."}
	}
	action, known := findAction(c.Query("did"))
	users := c.QueryArray("user")
	if !known || len(users) == 0 {
		return nil
	}
	done := &changeDone{Text: fmt.Sprintf("%s: %s.", counted(int64(len(users)), "user", "users"), action.Done)}
	if reverse, known := findAction(action.Reverse); known {
		query := url.Values{"action": {reverse.Name}, "user": users}
		done.Undo, done.Hint = "/admin/users/change?"+query.Encode(), reverse.Label
	}
	return done
}
