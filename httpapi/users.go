package httpapi

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/httpapi/problem"
	"rollcall/httpapi/query"
	"rollcall/roster"
	"rollcall/storage"
)

// maxSearch bounds a search, in bytes.
const maxSearch = 200

// userView is a user as it is sent.
type userView struct {
	ID         uuid.UUID         `json:"id"`
	Email      string            `json:"email"`
	Name       string            `json:"name"`
	Role       roster.Role       `json:"role"`
	Department string            `json:"department"`
	Status     roster.UserStatus `json:"status"`
	ImportID   *uuid.UUID        `json:"import_id"`
	CreatedAt  time.Time         `json:"created_at"`
	UpdatedAt  time.Time         `json:"updated_at"`
	Invitation *invitationView   `json:"invitation"`
}

type invitationView struct {
	Status    roster.InvitationStatus `json:"status"`
	SentAt    *time.Time              `json:"sent_at"`
	ExpiresAt *time.Time              `json:"expires_at"`
	LastError *string                 `json:"last_error"`
}

func viewUser(u *roster.User) userView {
	v := userView{
		ID: u.ID, Email: u.Email, Name: u.Name, Role: u.Role, Department: u.Department, Status: u.Status,
		ImportID: u.ImportID, CreatedAt: u.CreatedAt.UTC(), UpdatedAt: u.UpdatedAt.UTC(),
	}
	if i := u.Invitation; i != nil {
		v.Invitation = &invitationView{Status: i.Status, SentAt: utc(i.SentAt), ExpiresAt: utc(i.ExpiresAt)}
		if i.LastError != "" {
			v.Invitation.LastError = &i.LastError
		}
	}
	return v
}

// listUsers is GET /api/admin/users.
func (a *API) listUsers(c *gin.Context, _ caller) error {
	q, limit, after, err := query.Page(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	f, err := userFilter(q)
	if errors.Is(err, errNobody) {
		return answerList(a, c, []userView{}, "")
	}
	if err != nil {
		return err
	}
	f.After, f.Limit = after, limit+1
	users, err := a.Store.Users(c.Request.Context(), f)
	if err != nil {
		return err
	}
	items := make([]userView, len(users))
	for k, u := range users {
		items[k] = viewUser(u)
	}
	return answerMore(a, c, items, limit, func(v userView) string { return query.IDCursor(v.ID) })
}

// errNobody: the filter asks for what no user has.
var errNobody = errors.New("nobody matches")

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
			return f, problem.Parameter("import_id", "import_id must be the id of an import.")
		}
	}
	if f.Query = q.Get("q"); len(f.Query) > maxSearch {
		return f, problem.Parameter("q", "q has more than %d bytes.", maxSearch)
	}
	f.Department = q.Get("department")
	if s := q.Get("email"); s != "" {
		if f.EmailKey, err = roster.EmailKey(s); err != nil {
			return f, errNobody
		}
	}
	return f, nil
}

var invitationStatuses = []roster.InvitationStatus{
	roster.InvitationHeld, roster.InvitationPending, roster.InvitationSent, roster.InvitationFailed,
	roster.InvitationAccepted, roster.InvitationExpired, roster.InvitationRevoked,
}

// showUser is GET /api/admin/users/{id}.
func (a *API) showUser(c *gin.Context, _ caller, id uuid.UUID) error {
	u, err := a.Store.User(c.Request.Context(), id)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusOK, viewUser(u))
}

// resendOne is POST /api/admin/users/{id}/invitation.
func (a *API) resendOne(c *gin.Context, by caller, id uuid.UUID) error {
	err := a.Store.ResendInvitation(c.Request.Context(), id, by.entry())
	if errors.Is(err, storage.ErrWrongState) {
		return problem.New(problem.WrongState, "Only a user who has not set a password yet can be invited.")
	}
	if err != nil {
		return err
	}
	u, err := a.Store.User(c.Request.Context(), id)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusAccepted, viewUser(u))
}
