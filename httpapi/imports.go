package httpapi

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/httpapi/header"
	"rollcall/httpapi/problem"
	"rollcall/httpapi/query"
	"rollcall/roster"
	"rollcall/storage"
)

// showImport is GET …/imports/{id}. With Prefer: wait it waits for a change:
// from the revision the client has, if If-None-Match tells it; otherwise from
// the present one, unless nothing is to be expected.
func (a *API) showImport(c *gin.Context, _ caller, p page) error {
	prefer := header.ParsePrefer(c.Request.Header)
	known := c.Request.Header.Values("If-None-Match")
	wait := prefer.OrElse(0)
	allowTime(c, wait+ordinary+answering)
	if from, ok := waitsFrom(known, p.Import); ok && wait > 0 {
		now, err := a.await(c.Request.Context(), from, wait, anyChange)
		if err != nil {
			return err
		}
		if now.Revision > p.Revision {
			if p, err = a.pages.get(c.Request.Context(), p.ID); err != nil {
				return err
			}
		}
	}
	prefer.Applied(c.Writer.Header())
	return a.answerPage(c, p, known)
}

// answerPage sends an import, unless the client knows it.
func (a *API) answerPage(c *gin.Context, p page, known []string) error {
	h := c.Writer.Header()
	h.Set("Cache-Control", "private, no-cache")
	if !atRest(p.Import) {
		h.Set("Retry-After", strconv.Itoa(a.crowd.again(time.Now())))
	}
	if matches(known, etag(p.Import)) {
		h.Set("ETag", etag(p.Import))
		c.Status(http.StatusNotModified)
		c.Writer.WriteHeaderNow()
		return nil
	}
	p, err := a.pages.filled(c.Request.Context(), p)
	if err != nil {
		return err
	}
	h.Set("ETag", etag(p.Import))
	sendEncoded(c, http.StatusOK, "application/json", p.body)
	return nil
}

// anyChange ends a wait with the first change.
func anyChange(*roster.Import) bool { return true }

// waitsFrom is the import as the client has it that would wait for a change: at
// the revision that If-None-Match names, or, where it names none, the present
// one. False: there is nothing to wait for.
//
// A client that is behind waits too. It is told at once unless the others who
// wait for this import were told only just now; then it takes its turn with
// them.
func waitsFrom(known []string, i *roster.Import) (from *roster.Import, ok bool) {
	if len(known) == 0 && !atRest(i) || matches(known, etag(i)) {
		return i, true
	}
	then := *i
	for tag := range tags(known) {
		text, is := strings.CutPrefix(strings.Trim(tag, `"`), i.ID.String()+".")
		if revision, err := strconv.ParseInt(text, 10, 64); is && err == nil && revision < i.Revision {
			then.Revision = revision
			return &then, true
		}
	}
	return nil, false
}

// etag is a strong validator: id and revision name one body.
func etag(i *roster.Import) string { return fmt.Sprintf(`"%s.%d"`, i.ID, i.Revision) }

// matches compares as If-None-Match does (RFC 9110, section 13.1.2).
func matches(header []string, tag string) bool {
	for item := range tags(header) {
		if item == tag || item == "*" {
			return true
		}
	}
	return false
}

// tags are the entity tags of a header, without what makes them weak.
func tags(header []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range header {
			for item := range strings.SplitSeq(line, ",") {
				if !yield(strings.TrimPrefix(strings.TrimSpace(item), "W/")) {
					return
				}
			}
		}
	}
}

// listImports is GET …/imports.
func (a *API) listImports(c *gin.Context, by caller) error {
	q, limit, after, err := query.Page(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	f := storage.ImportFilter{After: after, Limit: limit + 1}
	if s := q.Get("status"); s != "" {
		var ok bool
		if f.Status, ok = roster.ParseStatus(s); !ok {
			return problem.Parameter("status", "status must be queued, checking, ready, importing, completed, canceled or failed.")
		}
	}
	f.Key = q.Get("idempotency_key")
	if !by.as().SeesAllImports() || f.Key != "" { // a key is its caller's own
		f.Actor = &by.actor
	}
	imports, err := a.Store.Imports(c.Request.Context(), f)
	if err != nil {
		return err
	}
	items := make([]importView, len(imports))
	for k, i := range imports {
		items[k] = viewOf(i)
	}
	return answerMore(a, c, items, limit, func(v importView) string { return query.IDCursor(v.ID) })
}

// listErrors is GET …/imports/{id}/errors.
func (a *API) listErrors(c *gin.Context, _ caller, i *roster.Import) error {
	limit, after, err := rowPage(c)
	if err != nil {
		return err
	}
	refusals, err := a.Store.Refusals(c.Request.Context(), i.ID, after, limit+1)
	if err != nil {
		return err
	}
	return answerMore(a, c, viewErrors(i, refusals), limit, func(v errorView) string { return query.RowCursor(v.Row) })
}

// confirm is POST …/imports/{id}/confirm.
func (a *API) confirm(c *gin.Context, by caller, i *roster.Import) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), ordinary)
	defer cancel()
	dispatch, err := a.Store.ConfirmImport(ctx, i.ID, by.entry())
	if errors.Is(err, storage.ErrWrongState) {
		return problem.New(problem.WrongState, "Only a dry run that is ready can be confirmed; this import is not.")
	}
	if err != nil {
		return err
	}
	a.ring(c, i.ID, dispatch)
	i.Status, i.Options.DryRun = roster.Importing, false // what was committed, should it not be readable now
	return a.answerStarted(c, i, nil, header.ParsePrefer(c.Request.Header), 0)
}

// cancel is POST …/imports/{id}/cancel.
func (a *API) cancel(c *gin.Context, by caller, i *roster.Import) error {
	err := a.Store.CancelImport(c.Request.Context(), i.ID, by.entry())
	if errors.Is(err, storage.ErrWrongState) {
		return problem.New(problem.WrongState, "The import has ended; there is nothing to cancel.")
	}
	if err != nil {
		return err
	}
	if i, err = a.readImport(c.Request.Context(), i.ID); err != nil {
		return err
	}
	return a.accepted(c, i, nil)
}

// resent says how many invitations will be sent afresh.
type resent struct {
	Resent int64 `json:"resent"`
}

// resendAll is POST …/imports/{id}/invitations/resend.
func (a *API) resendAll(c *gin.Context, by caller, i *roster.Import) error {
	n, err := a.Store.ResendInvitations(c.Request.Context(), i.ID, by.entry())
	if err != nil {
		return err
	}
	return a.json(c, http.StatusAccepted, resent{n})
}
