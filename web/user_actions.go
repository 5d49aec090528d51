package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/privacy"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web/postform"
)

// userAction is something an administrator does to users.
type userAction struct {
	Name    string // in forms and paths
	Label   string // on the button
	Ask     string // what will happen, shown before confirming
	Done    string // what has happened, after "1 user" or "2 users"
	Reverse string // name of the action that reverts it, "" if none does
	Verb    bool   // Label is a verb that takes the users as its object, and Done its participle
	Danger  bool
	Single  bool   // to one user at a time
	Demotes bool   // the users are no active administrators afterwards
	Task    string // after "to", on the page that asks for the password again; "" if none does

	fits func(*roster.User) bool // whether there is anything to do
	do   func(*Site, context.Context, uuid.UUID, storage.AuditEntry) error
}

// Question asks whether to do it to n users.
func (a userAction) Question(n int) string {
	switch {
	case !a.Verb:
		return a.Label + "?"
	case n == 1:
		return a.Label + " user?"
	}
	return a.Label + " " + counted(int64(n), "user", "users") + "?"
}

// Button is the label of the button that does it to n users.
func (a userAction) Button(n int) string {
	return a.Label + a.colon() + " " + counted(int64(n), "user", "users")
}

// Result says that it was done to n users.
func (a userAction) Result(n int) string {
	return counted(int64(n), "user", "users") + a.colon() + " " + a.Done
}

func (a userAction) colon() string {
	if a.Verb {
		return ""
	}
	return ":"
}

// userActions are all actions, in the order they are offered.
var userActions = []userAction{
	{
		Name: "resend", Label: "Resend invitation", Done: "invitation queued",
		Ask:  "We'll email each user a new link to set a password. Earlier links stop working.",
		fits: func(u *roster.User) bool { return u.Status == roster.Invited },
		do: func(s *Site, ctx context.Context, id uuid.UUID, by storage.AuditEntry) error {
			return s.deps.Store.ResendInvitation(ctx, id, by)
		},
	},
	{
		Name: "revoke", Label: "Revoke invitation", Done: "invitation revoked", Reverse: "resend", Danger: true,
		Ask:  "The link in their email stops working. The accounts are kept, and you can invite the users again.",
		fits: openInvitation,
		do: func(s *Site, ctx context.Context, id uuid.UUID, by storage.AuditEntry) error {
			return s.deps.Store.RevokeInvitation(ctx, id, by)
		},
	},
	{
		Name: "make-admin", Label: "Make administrator", Done: "made administrator", Reverse: "make-user", Task: "make administrators",
		Ask:  "Administrators can see and import all users and change roles and settings. Users who are signed in will have to sign in again.",
		fits: func(u *roster.User) bool { return u.Role == roster.RoleUser },
		do:   changing(storage.UserChange{Role: new(roster.RoleAdmin)}),
	},
	{
		Name: "make-user", Label: "Remove admin role", Done: "admin role removed", Reverse: "make-admin", Danger: true, Demotes: true, Task: "remove the admin role",
		Ask:  "They will no longer be able to import or manage users. Users who are signed in will have to sign in again. API tokens they own stop working until another administrator takes them over.",
		fits: func(u *roster.User) bool { return u.Role == roster.RoleAdmin },
		do:   changing(storage.UserChange{Role: new(roster.RoleUser)}),
	},
	{
		Name: "end-sessions", Label: "Sign out everywhere", Done: "signed out everywhere",
		Ask:  "They will have to sign in again on all devices.",
		fits: func(u *roster.User) bool { return u.Status == roster.Active },
		do: func(s *Site, ctx context.Context, id uuid.UUID, by storage.AuditEntry) error {
			_, err := s.deps.Store.EndSessions(ctx, id, nil, by)
			return err
		},
	},
	{
		Name: "disable", Label: "Disable", Done: "disabled", Reverse: "enable", Verb: true, Danger: true, Demotes: true,
		Ask:  "They are signed out immediately and can't sign in, and unused invitations and API tokens they own stop working. Nothing is deleted; you can enable them again.",
		fits: func(u *roster.User) bool { return u.Status != roster.Disabled },
		do:   changing(storage.UserChange{Disabled: new(true)}),
	},
	{
		Name: "enable", Label: "Enable", Done: "enabled", Reverse: "disable", Verb: true,
		Ask:  "Users with a password can sign in again. Others need a new invitation.",
		fits: func(u *roster.User) bool { return u.Status == roster.Disabled },
		do:   changing(storage.UserChange{Disabled: new(false)}),
	},
	{
		Name: "erase", Label: "Erase", Done: "erased", Verb: true, Danger: true, Single: true, Demotes: true, Task: "erase this person",
		Ask:  "All data about this person is permanently deleted, including their rows in stored import files. Their past actions stay in the audit log under an anonymous ID, and API tokens they own stop working. This can't be undone.",
		fits: func(*roster.User) bool { return true },
		do:   (*Site).erase,
	},
}

// erasureTimeout bounds the search of import files for a person. It is shorter
// than the server's time limit for a response.
const erasureTimeout = 90 * time.Second

// erase deletes a person and all data about them.
func (s *Site) erase(ctx context.Context, id uuid.UUID, by storage.AuditEntry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), erasureTimeout)
	defer cancel()
	p, err := s.deps.Store.DataSubject(ctx, id)
	if err != nil {
		return err
	}
	_, err = s.deps.DataSubjects.Erase(ctx, p, by)
	return err
}

func changing(change storage.UserChange) func(*Site, context.Context, uuid.UUID, storage.AuditEntry) error {
	return func(s *Site, ctx context.Context, id uuid.UUID, by storage.AuditEntry) error {
		_, err := s.deps.Store.ChangeUser(ctx, id, change, by)
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

// changeView asks which action to apply to the selected users, asks to confirm
// it, or shows the users it failed for.
type changeView struct {
	Self    uuid.UUID
	Users   []*roster.User  // the users it applies to
	Action  *userAction     // nil: still to be chosen
	Idle    []*roster.User  // selected too, but the action would not change them
	Refused []blockedChange // set once the action has run
	Changed int             // how many users were changed, if some were refused
	Back    string          // path of the list

	lastAdmin bool // the only user is the last active administrator
}

// lastAdminReason is why an action is not possible for the last active
// administrator.
const lastAdminReason = "This is the last active administrator. Make another user an administrator first."

// Blocked is why an action cannot be applied to the only user, "" if it can.
func (v changeView) Blocked(a userAction) string {
	if v.lastAdmin && a.Demotes {
		return lastAdminReason
	}
	return ""
}

// Reason is why some of the offered actions are blocked, "" if none is.
func (v changeView) Reason() string {
	for _, a := range v.Offers() {
		if why := v.Blocked(a); why != "" {
			return why
		}
	}
	return ""
}

// blockedChange is why an action was refused for a user.
type blockedChange struct {
	User *roster.User
	Text string
}

func (v changeView) pageMeta() pageMeta {
	f := pageMeta{Template: "user_actions", Title: "Edit users", Section: sectionUsers}
	if v.Action != nil {
		f.Title = v.Action.Label
	}
	return f
}

// Offers are the actions that apply to at least one of the users.
func (v changeView) Offers() []userAction {
	return slices.DeleteFunc(slices.Clone(userActions), func(a userAction) bool {
		return a.Single && len(v.Users) > 1 || !slices.ContainsFunc(v.Users, a.fits)
	})
}

// Path is the page that asks to confirm an action.
func (v changeView) Path(action userAction) string {
	query := url.Values{"action": {action.Name}, "back": {v.Back}}
	for _, u := range v.Users {
		query.Add("user", u.ID.String())
	}
	return "/admin/users/change?" + query.Encode()
}

// Own reports whether the only user is the one asking.
func (v changeView) Own() bool {
	return slices.ContainsFunc(v.Users, func(u *roster.User) bool { return u.ID == v.Self })
}

var errNoneSelected = errors.New("no user selected")

// selected reads the users named in a form, each once and no more than fit a
// list; users that no longer exist are skipped.
func (s *Site) selected(ctx context.Context, names []string) ([]*roster.User, error) {
	var users []*roster.User
	for _, name := range names[:min(len(names), listSize)] {
		id, err := uuid.Parse(name)
		if err != nil || slices.ContainsFunc(users, func(u *roster.User) bool { return u.ID == id }) {
			continue
		}
		user, err := s.deps.Store.User(ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		users = append(users, user)
	}
	if len(users) == 0 {
		return nil, errNoneSelected
	}
	return users, nil
}

// showChange asks for an action or its confirmation. Parameters: user, an id,
// any number of times; action, "" if not chosen yet; back, the list to return
// to.
func (s *Site) showChange(c *gin.Context, admin *roster.User) error {
	back := ownUsersPath(c.Query("back"))
	users, err := s.selected(c.Request.Context(), c.QueryArray("user"))
	if errors.Is(err, errNoneSelected) {
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
	if u := users[0]; len(users) == 1 && u.Role == roster.RoleAdmin && u.Status == roster.Active {
		others, err := s.deps.Store.AdminsWithout(c.Request.Context(), u.ID)
		if err != nil {
			return err
		}
		v.lastAdmin = !others
	}
	return s.show(c, http.StatusOK, admin, v)
}

// split separates the users that the action would not change.
func (v *changeView) split() {
	fits := func(u *roster.User) bool { return v.Action.fits(u) }
	for _, u := range v.Users {
		if !fits(u) {
			v.Idle = append(v.Idle, u)
		}
	}
	v.Users = slices.DeleteFunc(slices.Clone(v.Users), func(u *roster.User) bool { return !fits(u) })
}

// changeUsers applies the action to one user after another, so that one that
// cannot be changed does not hold up the others.
func (s *Site) changeUsers(c *gin.Context, admin *roster.User) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	action, known := findAction(form.Get("action"))
	if !known {
		return postform.ErrInvalid
	}
	v := changeView{Self: admin.ID, Action: &action, Back: ownUsersPath(form.Get("back"))}
	ctx := c.Request.Context()
	users, err := s.selected(ctx, form["user"])
	if errors.Is(err, errNoneSelected) {
		seeOther(c, pathPlus(v.Back, "did", "nothing"))
		return nil
	}
	if err != nil {
		return err
	}
	if action.Single && len(users) > 1 {
		return postform.ErrInvalid
	}
	if action.Task != "" {
		if ok, err := s.confirmIdentity(c, admin, action.Task, v.Back); err != nil || !ok {
			return err
		}
	}
	done := []string{"did", action.Name}
	for _, u := range users {
		err := action.do(s, ctx, u.ID, entry(c, admin))
		text, refused := blockedReason(err)
		switch {
		case refused:
			v.Refused = append(v.Refused, blockedChange{u, text})
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

// blockedReason is why a user could not be changed, if err is a decision and
// not a failure.
func blockedReason(err error) (text string, refused bool) {
	if _, busy := errors.AsType[*privacy.BusyError](err); busy {
		return "An unfinished import contains this person and would create them again. Wait for it to finish, or cancel it.", true
	}
	switch {
	case errors.Is(err, storage.ErrLastAdmin):
		return lastAdminReason, true
	case errors.Is(err, storage.ErrWrongState):
		return "This user has changed since the page was loaded. Reload the list and try again.", true
	case errors.Is(err, storage.ErrNotFound):
		return "This user was removed.", true
	}
	return "", false
}

// changeDone is the message of the list after an action.
type changeDone struct {
	Text string
	Undo string // path of the page that asks to revert it, "" for none
	Hint string // label of that action
}

// readDone reads the parameters that changeUsers redirects with; nil if nothing
// was done.
func readDone(c *gin.Context) *changeDone {
	if c.Query("did") == "nothing" {
		return &changeDone{Text: "Select one or more users first."}
	}
	action, known := findAction(c.Query("did"))
	users := c.QueryArray("user")
	if !known || len(users) == 0 {
		return nil
	}
	done := &changeDone{Text: action.Result(len(users)) + "."}
	if reverse, known := findAction(action.Reverse); known {
		query := url.Values{"action": {reverse.Name}, "user": users}
		done.Undo, done.Hint = "/admin/users/change?"+query.Encode(), reverse.Label
	}
	return done
}
