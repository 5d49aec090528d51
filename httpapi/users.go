package httpapi

import (
	"errors"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/apitypes"
	"rollcall/httpapi/problem"
	"rollcall/httpapi/query"
	"rollcall/roster"
	"rollcall/storage"
)

// maxSearch bounds a search, in bytes.
const maxSearch = 200

// listUsers is GET /api/admin/users.
func (a *API) listUsers(c *gin.Context, _ caller) error {
	q, limit, after, err := query.Page(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	f, err := userFilter(q)
	if errors.Is(err, errNoMatch) {
		return answerAll(a, c, []apitypes.User{})
	}
	if err != nil {
		return err
	}
	f.After, f.Limit = after, limit+1
	users, err := a.Store.Users(c.Request.Context(), f)
	if err != nil {
		return err
	}
	items := make([]apitypes.User, len(users))
	for k, u := range users {
		items[k] = apitypes.UserOf(u)
	}
	return answerMore(a, c, items, limit, func(v apitypes.User) string { return query.IDCursor(v.ID) })
}

// errNoMatch: the filter has a value that no user has.
var errNoMatch = errors.New("no user matches")

// userFilter reads the filters of the list of users.
func userFilter(q query.Query) (f storage.UserFilter, err error) {
	var ok bool
	if s := q.Get("status"); s != "" {
		if f.Status, ok = roster.ParseUserStatus(s); !ok {
			return f, problem.Parameter("status", "status must be invited, active or disabled.")
		}
	}
	if f.Role = roster.Role(q.Get("role")); f.Role != "" && f.Role != roster.RoleUser && f.Role != roster.RoleAdmin {
		return f, problem.Parameter("role", "role must be user or admin.")
	}
	if f.Invitation = roster.InvitationStatus(q.Get("invitation")); f.Invitation != "" && !slices.Contains(invitationStatuses, f.Invitation) {
		return f, problem.Parameter("invitation", "invitation must be held, pending, sent, failed, accepted, expired or revoked.")
	}
	if s := q.Get("import_id"); s != "" {
		if f.ImportID, err = uuid.Parse(s); err != nil {
			return f, problem.Parameter("import_id", "import_id must be the ID of an import.")
		}
	}
	if f.Query = q.Get("q"); len(f.Query) > maxSearch {
		return f, problem.Parameter("q", "q is longer than %d bytes.", maxSearch)
	}
	if f.ExternalID, f.Source = q.Get("external_id"), q.Get("source"); f.Source != "" && !roster.ValidSource(f.Source) {
		return f, errNoMatch
	}
	if f.ExternalID != "" && f.Source == "" {
		f.Source = roster.DefaultSource
	}
	f.Department = q.Get("department")
	if s := q.Get("email"); s != "" {
		if f.EmailKey, err = roster.EmailKey(s); err != nil {
			return f, errNoMatch
		}
	}
	return f, nil
}

var invitationStatuses = []roster.InvitationStatus{
	roster.InvitationHeld, roster.InvitationPending, roster.InvitationSent, roster.InvitationFailed, roster.InvitationBounced,
	roster.InvitationAccepted, roster.InvitationExpired, roster.InvitationRevoked,
}

// showUser is GET /api/admin/users/{id}.
func (a *API) showUser(c *gin.Context, _ caller, id uuid.UUID) error {
	u, err := a.Store.User(c.Request.Context(), id)
	if err != nil {
		return err
	}
	return a.answerUser(c, http.StatusOK, u)
}

// resendOne is POST /api/admin/users/{id}/invitation.
func (a *API) resendOne(c *gin.Context, by caller, id uuid.UUID) error {
	err := a.Store.ResendInvitation(c.Request.Context(), id, by.entry())
	if errors.Is(err, storage.ErrWrongState) {
		return problem.New(problem.WrongState, "Only users who haven't set a password can be invited.")
	}
	if err != nil {
		return err
	}
	u, err := a.Store.User(c.Request.Context(), id)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusAccepted, apitypes.UserOf(u))
}
