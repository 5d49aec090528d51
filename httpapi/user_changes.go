package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/httpapi/problem"
	"rollcall/httpapi/query"
	"rollcall/roster"
	"rollcall/storage"
)

// Members of a request that are options, not values of the user. The plural is the
// name that imports have for it.
const (
	memberSource          = "source"
	memberAttributes      = "attributes"
	memberSendInvitation  = "send_invitation"
	memberSendInvitations = "send_invitations"
)

// userMembers are the members of a request about a user: a column of the import
// each, with its rules.
type userMembers map[string]json.RawMessage

// createUser is POST /api/admin/users.
func (a *API) createUser(c *gin.Context, by caller) error {
	var in userMembers
	if err := requireJSON(c, &in, "application/json"); err != nil {
		return err
	}
	send, err := in.takeInvitation(c)
	if err != nil {
		return err
	}
	source, err := in.takeSource()
	if err != nil {
		return err
	}
	attributes, wrong, err := in.takeAttributes(a.Attributes)
	if err != nil {
		return err
	}
	values, err := in.values()
	if err != nil {
		return err
	}
	fields, problems := roster.CheckRow(values.cells(roster.Cells{}))
	fields.Attributes = roster.NewAttributes(attributes)
	if problems = append(problems, wrong...); len(problems) > 0 {
		return problem.InvalidFields(problems)
	}
	u, err := a.Store.AddUser(c.Request.Context(), fields, cmp.Or(source, by.source), send, by.entry())
	if err != nil {
		return userProblem(err)
	}
	c.Header("Location", prefix+"/users/"+u.ID.String())
	return a.answerUser(c, http.StatusCreated, u)
}

// changeUser is PATCH /api/admin/users/{id}: a JSON Merge Patch (RFC 7396). Members
// that are absent stay; null empties those that may be empty.
func (a *API) changeUser(c *gin.Context, by caller, id uuid.UUID) error {
	var in userMembers
	if err := requireJSON(c, &in, "application/merge-patch+json", "application/json"); err != nil {
		return err
	}
	send, err := in.takeInvitation(c)
	if err != nil {
		return err
	}
	source, err := in.takeSource()
	if err != nil {
		return err
	}
	attributes, wrong, err := in.takeAttributes(a.Attributes)
	if err != nil {
		return err
	}
	values, err := in.values()
	if err != nil {
		return err
	}
	change, err := values.change(wrong)
	if err != nil {
		return err
	}
	change.Attributes = attributes
	if change.ExternalID != nil && source == "" {
		if source, err = a.sourceOf(c.Request.Context(), id, by); err != nil {
			return err
		}
	}
	change.Source, change.Invite = source, send
	if tags := c.Request.Header.Values("If-Match"); len(tags) > 0 {
		change.Check = func(u *roster.User) error { return matchUser(tags, u) }
	}
	u, err := a.Store.ChangeUser(c.Request.Context(), id, change, by.entry())
	if err != nil {
		return userProblem(err)
	}
	return a.answerUser(c, http.StatusOK, u)
}

// userProblem is the response to a user that cannot be created or changed.
func userProblem(err error) error {
	switch {
	case errors.Is(err, storage.ErrAlreadyExists):
		return problem.Conflict(problem.DuplicateEmail, string(roster.ColumnEmail), "Another user already has this address.")
	case errors.Is(err, storage.ErrExternalIDExists):
		return problem.Conflict(problem.DuplicateExternalID, string(roster.ColumnExternalID), "Another user already has this external_id in the source.")
	case errors.Is(err, storage.ErrLastAdmin):
		return problem.New(problem.LastAdmin, "This is the last active administrator. Give another user the admin role first.")
	case errors.Is(err, storage.ErrOwnAccount):
		return problem.New(problem.OwnAccount, "This token belongs to the user. A token can't change the role or status of its owner; use another administrator's token, or the panel.")
	case errors.Is(err, storage.ErrForbidden):
		return problem.New(problem.InsufficientScope, "This token may not do that any more.").
			With("WWW-Authenticate", realm+`, error="insufficient_scope", scope="`+string(auth.ScopeAdmin)+`"`)
	}
	return err
}

// takeInvitation takes out whether a user who may set a password is invited: the
// member, or the query parameter, send_invitation. Default: yes.
func (in userMembers) takeInvitation(c *gin.Context) (roster.InvitationStatus, error) {
	q, err := query.Read(c.Request.URL.RawQuery)
	if err != nil {
		return "", err
	}
	send, said := true, ""
	say := func(name string, value bool) error {
		if said != "" {
			return problem.Parameter(name, "%s was already said by %s.", name, said)
		}
		send, said = value, name
		return nil
	}
	for _, name := range []string{memberSendInvitation, memberSendInvitations} {
		if text := q.Get(name); text != "" {
			value, err := strconv.ParseBool(text)
			if err != nil {
				return "", problem.Parameter(name, "%s must be true or false.", name)
			}
			if err := say(name, value); err != nil {
				return "", err
			}
		}
		if raw, ok := in[name]; ok {
			delete(in, name)
			var value bool
			if json.Unmarshal(raw, &value) != nil || string(raw) == "null" {
				return "", problem.Parameter(name, "%s must be true or false.", name)
			}
			if err := say(name, value); err != nil {
				return "", err
			}
		}
	}
	if send {
		return roster.InvitationPending, nil
	}
	return roster.InvitationHeld, nil
}

// takeSource takes out the source of the external_id; "" if the request names none.
func (in userMembers) takeSource() (string, error) {
	raw, ok := in[memberSource]
	delete(in, memberSource)
	if !ok || string(raw) == "null" {
		return "", nil
	}
	var source string
	if json.Unmarshal(raw, &source) != nil || !roster.ValidSource(source) {
		return "", problem.Parameter(memberSource, "source must have 1 to 64 letters, digits, dots, underscores or hyphens, and start with a letter or digit.")
	}
	return source, nil
}

// takeAttributes takes out the values of declared attributes; a blank or null one is
// "". wrong are those that break the rules.
func (in userMembers) takeAttributes(declared []string) (values map[string]string, wrong []roster.Problem, err error) {
	raw, ok := in[memberAttributes]
	delete(in, memberAttributes)
	if !ok {
		return nil, nil, nil
	}
	var given map[string]*string
	if json.Unmarshal(raw, &given) != nil || given == nil {
		return nil, nil, problem.Parameter(memberAttributes, "attributes must be an object of strings.")
	}
	values = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(declared, name) {
			return nil, nil, problem.Parameter(memberAttributes, "%q is not an attribute that this installation declares.", name)
		}
		value := ""
		if given[name] != nil {
			value = strings.TrimSpace(*given[name])
		}
		if p := roster.AttributeProblem(name, value); p != nil {
			wrong = append(wrong, *p)
		}
		values[name] = value
	}
	return values, wrong, nil
}

// userValues are the values of a request about a user, by column. A null is nil.
type userValues map[roster.Column]*string

// values reads what is left of the members.
func (in userMembers) values() (userValues, error) {
	values := userValues{}
	for name, raw := range in {
		if !slices.Contains(roster.Columns[:], roster.Column(name)) {
			return nil, problem.Parameter(name, "%q is not a value of a user that can be set.", name)
		}
		var value *string
		if err := json.Unmarshal(raw, &value); err != nil {
			return nil, problem.Parameter(name, "%s must be a JSON string.", name)
		}
		values[roster.Column(name)] = value
	}
	return values, nil
}

// cells are the values as those of a row; others are as in rest.
func (v userValues) cells(rest roster.Cells) roster.Cells {
	set := func(cell *string, column roster.Column) {
		if value, ok := v[column]; ok {
			*cell = ""
			if value != nil {
				*cell = *value
			}
		}
	}
	set(&rest.Email, roster.ColumnEmail)
	set(&rest.Name, roster.ColumnName)
	set(&rest.Role, roster.ColumnRole)
	set(&rest.Department, roster.ColumnDepartment)
	set(&rest.ExternalID, roster.ColumnExternalID)
	set(&rest.Status, roster.ColumnStatus)
	set(&rest.Locale, roster.ColumnLocale)
	return rest
}

// blank reports whether a column is there and empty.
func (v userValues) blank(column roster.Column) bool {
	value, ok := v[column]
	return ok && (value == nil || strings.TrimSpace(*value) == "")
}

// change is what the values change of a user, or why they cannot; further are
// problems of other values.
func (v userValues) change(further []roster.Problem) (c storage.UserChange, err error) {
	// What is absent is not checked: these pass.
	fields, problems := roster.CheckRow(v.cells(roster.Cells{Email: "a@example.com", Name: "A"}))
	has := func(column roster.Column) bool { _, ok := v[column]; return ok }
	if v.blank(roster.ColumnRole) {
		problems = append(problems, roster.Problem{Field: roster.ColumnRole, Code: roster.InvalidRole, Message: "A user always has a role: user or admin."})
	}
	if v.blank(roster.ColumnStatus) {
		problems = append(problems, roster.Problem{Field: roster.ColumnStatus, Code: roster.InvalidStatus, Message: "The status must be active or disabled."})
	}
	if problems = append(problems, further...); len(problems) > 0 {
		return c, problem.InvalidFields(problems)
	}
	if has(roster.ColumnEmail) {
		c.Email, c.EmailKey = &fields.Email, fields.EmailKey
	}
	if has(roster.ColumnName) {
		c.Name = &fields.Name
	}
	if has(roster.ColumnRole) {
		c.Role = &fields.Role
	}
	if has(roster.ColumnDepartment) {
		c.Department = &fields.Department
	}
	if has(roster.ColumnLocale) {
		c.Locale = &fields.Locale
	}
	if has(roster.ColumnExternalID) {
		c.ExternalID = &fields.ExternalID
	}
	if has(roster.ColumnStatus) {
		c.Disabled = new(fields.Status == roster.Disabled)
	}
	return c, nil
}

// requireJSON reads a body that must be there, in one of these media types.
func requireJSON(c *gin.Context, v *userMembers, media ...string) error {
	present, err := readBody(c, v, media...)
	if err != nil {
		return err
	}
	if !present || *v == nil {
		return problem.New(problem.InvalidParameter, "The body must be one JSON object of at most %d bytes.", maxBody)
	}
	return nil
}

// sourceOf is the source of a user's key where the request names none: the one that
// the user is shown with, or that of the token.
func (a *API) sourceOf(ctx context.Context, id uuid.UUID, by caller) (string, error) {
	u, err := a.Store.User(ctx, id)
	if err != nil {
		return "", err
	}
	return cmp.Or(u.Source, by.source), nil
}
