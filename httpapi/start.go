package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/httpapi/header"
	"rollcall/httpapi/problem"
	"rollcall/roster"
	"rollcall/wire"
)

// ringing is how long an answer waits for the bell. With Redis away the sweeper
// rings later; the import is committed either way.
const ringing = 500 * time.Millisecond

// startImport is POST /api/admin/users/import.
func (a *API) startImport(c *gin.Context, by caller) error {
	if err := a.mayStart(c, by); err != nil {
		return err
	}
	secret := sealedSecret{api: a}
	received, err := a.receiver.Receive(c.Writer, c.Request, by.entry(), a.uploadWebhooks(&secret))
	if err != nil {
		return err
	}
	if received.Created {
		a.ring(c, received.Import.ID, received.Dispatch)
	}
	return a.answerStarted(c, received.Import, secret.told(received.Webhook), header.ParsePrefer(c.Request.Header), a.ImportWait)
}

// answerStarted waits for an import that is under way and answers with what has
// become of it: the import itself if it is at rest, 202 if it is not, a problem
// if its file cannot be used. The webhook is one that the request has made, nil
// for none.
func (a *API) answerStarted(c *gin.Context, i *roster.Import, hook *newWebhook, prefer header.Preference, otherwise time.Duration) error {
	wait := prefer.OrElse(otherwise)
	allowTime(c, wait+ordinary+answering)
	if wait > 0 && !atRest(i) {
		// Should the database be away now, the import is still committed: that
		// much can be said for sure.
		if now, err := a.await(c.Request.Context(), i, wait, atRest); err == nil {
			i = now
		}
	}
	h := c.Writer.Header()
	prefer.Applied(h)
	switch {
	case i.Status == roster.Failed:
		return problem.Unusable(i)
	case atRest(i):
		view, err := a.viewWithErrors(c.Request.Context(), i)
		if err != nil {
			return err
		}
		view.Webhook = hook
		return a.json(c, http.StatusOK, view)
	}
	return a.accepted(c, i, hook)
}

// accepted answers 202: what was asked for is committed and goes on.
func (a *API) accepted(c *gin.Context, i *roster.Import, hook *newWebhook) error {
	h := c.Writer.Header()
	h.Set("Location", wire.LinksOf(i.ID).Self)
	if !atRest(i) {
		h.Set("Retry-After", strconv.Itoa(soonest))
	}
	view, err := a.viewWithErrors(c.Request.Context(), i)
	if err != nil {
		view = viewOf(i) // the errors can be asked for later
		view.Errors, view.ErrorsTruncated = &[]errorView{}, pointer(i.Failed > 0)
	}
	view.Webhook = hook
	return a.json(c, http.StatusAccepted, view)
}

// ring tells the workers, for as long as an answer can wait for that. The
// client may be gone by now: that changes nothing.
func (a *API) ring(c *gin.Context, id uuid.UUID, dispatch int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), ringing)
	defer cancel()
	log := a.Log.With("import_id", id, "request_id", c.Writer.Header().Get("X-Request-Id"))
	rung := make(chan struct{})
	// In a goroutine of its own because a client of Redis may heed its own
	// timeouts only; those end it.
	go func() {
		defer close(rung)
		if err := a.Bell.RingImport(ctx, id, dispatch); err != nil {
			log.Warn("ringing failed; the sweeper will ring again", "error", err)
		}
	}()
	select {
	case <-rung:
	case <-ctx.Done():
	}
}
