package httpapi

import (
	"context"
	"errors"

	"github.com/gin-gonic/gin"

	"rollcall/apitypes"
	"rollcall/auth"
	"rollcall/httpapi/header"
	"rollcall/httpapi/problem"
	"rollcall/httpapi/query"
	"rollcall/roster"
	"rollcall/storage"
)

// approval is the body of a confirmation; it may be absent.
type approval struct {
	AllowDisable *int64 `json:"allow_disable"`
}

// confirm is POST …/imports/{id}/confirm.
func (a *API) confirm(c *gin.Context, by caller, i *roster.Import) error {
	var said approval
	if _, err := readJSON(c, &said); err != nil {
		return err
	}
	if said.AllowDisable != nil && *said.AllowDisable < 0 {
		return problem.Parameter("allow_disable", "allow_disable must be a number of users.")
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), requestTimeout)
	defer cancel()
	ok := storage.Approval{AllowDisable: said.AllowDisable, Admin: auth.Allows(by.scopes, auth.ScopeAdmin)}
	dispatch, err := a.Store.ConfirmImport(ctx, i.ID, ok, by.entry())
	switch {
	case errors.Is(err, storage.ErrWrongState):
		return problem.New(problem.WrongState, "Only an import that is ready or held can be confirmed.")
	case errors.Is(err, storage.ErrApprovalRequired):
		return problem.New(problem.ApprovalRequired,
			"The import would disable %d users; its safety limit is %d. To go on, an administrator confirms it with allow_disable of at least %d.",
			i.Plan.Disable, *i.DisableLimit, i.Plan.Disable)
	case err != nil:
		return err
	}
	a.enqueue(c, i.ID, dispatch)
	i.Status, i.Options.DryRun = roster.Importing, false // what was committed, should it not be readable now
	return a.answerStarted(c, i, nil, header.ParsePrefer(c.Request.Header), 0)
}

// listMissing is GET …/imports/{id}/missing.
func (a *API) listMissing(c *gin.Context, _ caller, i *roster.Import) error {
	limit, after, err := rowPage(c)
	if err != nil {
		return err
	}
	missing, err := a.Store.MissingUsers(c.Request.Context(), i.ID, after, limit+1)
	if err != nil {
		return err
	}
	items := make([]missingView, len(missing))
	for k, m := range missing {
		items[k] = missingView{apitypes.UserOf(m.User), m.N}
	}
	return answerMore(a, c, items, limit, func(v missingView) string { return query.RowCursor(v.n) })
}

// missingView is a user who is missing, as it is sent.
type missingView struct {
	apitypes.User
	n int64 // among those of the import
}
