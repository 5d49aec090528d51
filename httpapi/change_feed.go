package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/apitypes"
	"rollcall/httpapi/header"
	"rollcall/httpapi/problem"
	"rollcall/httpapi/query"
	"rollcall/roster"
	"rollcall/storage"
)

// changeWatcher reports that users may have changed.
type changeWatcher interface {
	WatchChanges() (changed <-chan struct{}, stop func())
}

// feedEnd is the value of after that stands for the end of the feed.
const feedEnd = "now"

// listChanges is GET /api/admin/users/changes. With Prefer: wait it waits for the
// next change if there is none yet.
func (a *API) listChanges(c *gin.Context, _ caller) error {
	ctx, prefer := c.Request.Context(), header.ParsePrefer(c.Request.Header)
	q, err := query.Read(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	limit, err := q.Limit(100, 1000)
	if err != nil {
		return err
	}
	wait := prefer.OrElse(0)
	allowTime(c, wait+requestTimeout+writeTimeout)
	after, err := a.feedCursor(ctx, q.Get("after"))
	if err != nil {
		return err
	}
	page, err := a.awaitChanges(ctx, after, limit, wait)
	if errors.Is(err, storage.ErrChangesExpired) {
		return problem.New(problem.ChangesExpired, "Changes behind this cursor are no longer kept. Take a new cursor with after=%s, read all users, and go on from that cursor.", feedEnd)
	}
	if err != nil {
		return err
	}
	prefer.Applied(c.Writer.Header())
	return a.json(c, http.StatusOK, page)
}

// feedCursor reads the parameter after.
func (a *API) feedCursor(ctx context.Context, text string) (*roster.ChangeCursor, error) {
	switch text {
	case "":
		return nil, nil
	case feedEnd:
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		end, err := a.Store.LastChange(ctx)
		return &end, err
	}
	after, err := roster.ParseChangeCursor(text)
	if err != nil {
		return nil, problem.Parameter("after", "after must be the next value of a page of this feed, or %s.", feedEnd)
	}
	return &after, nil
}

// awaitChanges reads a page, and again after each change until it is not empty or
// the wait is over.
func (a *API) awaitChanges(ctx context.Context, after *roster.ChangeCursor, limit int, wait time.Duration) (page apitypes.Changes, err error) {
	var changed <-chan struct{}
	if wait > 0 {
		var stop func()
		changed, stop = a.Changes.WatchChanges() // before the first read, so that no change is missed
		defer stop()
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		if page, err = a.readChanges(ctx, after, limit); err != nil || wait == 0 || len(page.Items) > 0 {
			return page, err
		}
		select {
		case <-changed:
		case <-over.C:
			return page, nil
		case <-a.Stopping:
			return page, nil
		case <-ctx.Done():
			return page, ctx.Err()
		}
	}
}

func (a *API) readChanges(ctx context.Context, after *roster.ChangeCursor, limit int) (apitypes.Changes, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	entries, next, err := a.Store.Changes(ctx, after, limit)
	return apitypes.ChangesOf(entries, next), err
}
