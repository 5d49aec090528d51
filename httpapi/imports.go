package httpapi

import (
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/apitypes"
	"rollcall/httpapi/header"
	"rollcall/httpapi/problem"
	"rollcall/httpapi/query"
	"rollcall/roster"
	"rollcall/storage"
)

// showImport is GET …/imports/{id}. With Prefer: wait it waits for a change:
// from the client's revision if the request has If-None-Match, otherwise from
// the current one, unless no change is expected.
func (a *API) showImport(c *gin.Context, _ caller, i *roster.Import) error {
	ctx, prefer, known := c.Request.Context(), header.ParsePrefer(c.Request.Header), c.Request.Header.Values("If-None-Match")
	wait := prefer.OrElse(0)
	allowTime(c, wait+requestTimeout+writeTimeout)
	if from, ok := waitsFrom(known, i); ok && wait > 0 {
		now, err := a.await(ctx, from, wait, anyChange)
		if err != nil {
			return err
		}
		if now.Revision > i.Revision {
			if i, err = a.readImport(ctx, i.ID); err != nil {
				return err
			}
		}
	}
	h := c.Writer.Header()
	prefer.Applied(h)
	h.Set("Cache-Control", "private, no-cache")
	if !atRest(i) {
		h.Set("Retry-After", strconv.Itoa(a.pacer.retryAfter(time.Now())))
	}
	if matches(known, etag(i)) {
		h.Set("ETag", etag(i))
		c.Status(http.StatusNotModified)
		c.Writer.WriteHeaderNow()
		return nil
	}
	now, err := a.loadCached(ctx, i)
	if err != nil {
		return err
	}
	h.Set("ETag", etag(now.Import))
	sendEncoded(c, http.StatusOK, "application/json", now.body)
	return nil
}

// anyChange ends a wait at the first change.
func anyChange(*roster.Import) bool { return true }

// waitsFrom returns the import at the revision that a waiting client has: the
// one in If-None-Match or, without the header, the current one. False means
// that there is nothing to wait for.
//
// A client that is behind waits too. It gets the current revision at once,
// unless the other clients waiting for this import were just updated; then it
// is updated together with them.
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

// etag is a strong validator: id and revision identify one body.
func etag(i *roster.Import) string { return fmt.Sprintf(`"%s.%d"`, i.ID, i.Revision) }

// matches compares like If-None-Match does (RFC 9110, section 13.1.2).
func matches(header []string, tag string) bool {
	for item := range tags(header) {
		if item == tag || item == "*" {
			return true
		}
	}
	return false
}

// tags are the entity tags of a header, without the prefix of weak ones.
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
	f := storage.ImportFilter{After: after}
	if s := q.Get("status"); s != "" {
		var ok bool
		if f.Status, ok = roster.ParseStatus(s); !ok {
			return problem.Parameter("status", "status must be queued, checking, ready, held, importing, completed, canceled or failed.")
		}
	}
	f.Key = q.Get("idempotency_key")
	if !by.access().SeesAllImports() || f.Key != "" { // a caller sees only its own keys
		f.Actor = &by.actor
	}
	var items []apitypes.Import
	// An import may hold a mapping and warnings of 100 kB: no more of them are in
	// memory than a page takes, and a few.
	for size := 0; len(items) <= limit && size <= pageBytes; {
		f.Limit = min(limit+1-len(items), importsAtOnce)
		imports, err := a.Store.Imports(c.Request.Context(), f)
		if err != nil {
			return err
		}
		for _, i := range imports {
			items = append(items, apitypes.ImportOf(i))
			f.After = i.ID
			size += sizeOf(i)
		}
		if len(imports) < f.Limit {
			break
		}
	}
	return answerMore(a, c, items, limit, func(v apitypes.Import) string { return query.IDCursor(v.ID) })
}

// importsAtOnce is how many imports of a list are read in one query.
const importsAtOnce = 51

// sizeOf is about how many bytes of text an import holds that have no small bound.
func sizeOf(i *roster.Import) (n int) {
	for column, header := range i.Options.Mapping {
		n += len(column) + len(header)
	}
	for _, w := range i.Warnings {
		n += len(w.Message)
		for _, column := range w.Columns {
			n += len(column)
		}
	}
	return n
}

// listErrors is GET …/imports/{id}/errors.
func (a *API) listErrors(c *gin.Context, _ caller, i *roster.Import) error {
	limit, after, err := rowPage(c)
	if err != nil {
		return err
	}
	if i.Purged() {
		return storage.ErrPurged
	}
	refusals, err := a.Store.RowErrors(c.Request.Context(), i.ID, after, limit+1)
	if err != nil {
		return err
	}
	return answerMore(a, c, apitypes.RowErrorsOf(i, refusals), limit, func(v apitypes.RowError) string { return query.RowCursor(v.Row) })
}

// cancel is POST …/imports/{id}/cancel.
func (a *API) cancel(c *gin.Context, by caller, i *roster.Import) error {
	err := a.Store.CancelImport(c.Request.Context(), i.ID, by.entry())
	if errors.Is(err, storage.ErrWrongState) {
		return problem.New(problem.WrongState, "The import has already finished.")
	}
	if err != nil {
		return err
	}
	if i, err = a.readImport(c.Request.Context(), i.ID); err != nil {
		return err
	}
	return a.accepted(c, i, nil)
}

// resent tells how many invitations will be sent again.
type resent struct {
	Resent int64 `json:"resent"`
}

// readBouncedToo reads the query parameter bounced: whether those whose mail came back
// get another one.
func readBouncedToo(c *gin.Context) (bool, error) {
	q, err := query.Read(c.Request.URL.RawQuery)
	if err != nil {
		return false, err
	}
	switch q.Get("bounced") {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, problem.Parameter("bounced", "bounced must be true or false.")
}

// retryFailed is POST /api/admin/users/invitations/retry.
func (a *API) retryFailed(c *gin.Context, by caller) error {
	bouncedToo, err := readBouncedToo(c)
	if err != nil {
		return err
	}
	n, err := a.Store.RetryAllFailedInvitations(c.Request.Context(), bouncedToo, by.entry())
	if err != nil {
		return err
	}
	return a.json(c, http.StatusAccepted, resent{n})
}

// resendAll is POST …/imports/{id}/invitations/resend.
func (a *API) resendAll(c *gin.Context, by caller, i *roster.Import) error {
	bouncedToo, err := readBouncedToo(c)
	if err != nil {
		return err
	}
	n, err := a.Store.ResendInvitations(c.Request.Context(), i.ID, bouncedToo, by.entry())
	if err != nil {
		return err
	}
	return a.json(c, http.StatusAccepted, resent{n})
}
