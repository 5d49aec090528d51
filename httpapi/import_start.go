package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/apitypes"
	"rollcall/httpapi/header"
	"rollcall/httpapi/problem"
	"rollcall/roster"
)

// enqueueTimeout is how long a response waits for the queue. If Redis is
// unavailable, the sweeper enqueues the import later; it is committed either
// way.
const enqueueTimeout = 500 * time.Millisecond

// startImport is POST /api/admin/users/import.
func (a *API) startImport(c *gin.Context, by caller) error {
	if err := a.mayStart(c, by); err != nil {
		return err
	}
	secret := sealedSecret{api: a}
	rights := a.uploadRights(c.Request.Context(), by)
	rights.Webhooks = a.uploadWebhooks(&secret)
	received, err := a.receiver.Receive(c.Writer, c.Request, by.entry(), rights)
	if err != nil {
		return err
	}
	if received.Created {
		a.enqueue(c, received.Import.ID, received.Dispatch)
	}
	return a.answerStarted(c, received.Import, secret.told(received.Webhook), header.ParsePrefer(c.Request.Header), a.ImportWait)
}

// answerStarted waits for an import in progress and responds with the result:
// the import itself if it has come to rest, 202 if it has not, a problem if its
// file cannot be used. The webhook is the one that the request has created, nil
// for none.
func (a *API) answerStarted(c *gin.Context, i *roster.Import, hook *apitypes.CreatedWebhook, prefer header.Preference, otherwise time.Duration) error {
	wait := prefer.OrElse(otherwise)
	allowTime(c, wait+requestTimeout+writeTimeout)
	if wait > 0 && !atRest(i) {
		// If the database is unavailable now, the import is still committed, so
		// the response can say that much.
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
		_, view, err := a.importWithErrors(c.Request.Context(), i.ID)
		if err != nil {
			return err
		}
		view.Webhook = hook
		return a.json(c, http.StatusOK, view)
	}
	return a.accepted(c, i, hook)
}

// accepted responds 202: the request is committed and continues in the
// background.
func (a *API) accepted(c *gin.Context, i *roster.Import, hook *apitypes.CreatedWebhook) error {
	h := c.Writer.Header()
	h.Set("Location", apitypes.LinksOf(i.ID).Self)
	if !atRest(i) {
		h.Set("Retry-After", strconv.Itoa(minRetryAfter))
	}
	_, view, err := a.importWithErrors(c.Request.Context(), i.ID)
	if err != nil {
		view = apitypes.ImportOf(i) // the client can request the errors later
		view.Errors, view.ErrorsTruncated = []apitypes.RowError{}, pointer(i.Failed > 0)
	}
	view.Webhook = hook
	return a.json(c, http.StatusAccepted, view)
}

// enqueue tells the workers about an import and waits at most enqueueTimeout.
// It does not stop if the client leaves.
func (a *API) enqueue(c *gin.Context, id uuid.UUID, dispatch int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), enqueueTimeout)
	defer cancel()
	log := a.Log.With("import_id", id, "request_id", c.Writer.Header().Get("X-Request-Id"))
	rung := make(chan struct{})
	// Run in a goroutine because a Redis client may ignore the context and
	// honor only its own timeouts; those end it.
	go func() {
		defer close(rung)
		if err := a.Queue.EnqueueImport(ctx, id, dispatch); err != nil {
			log.Debug("failed to enqueue import; sweeper will retry", "error", err)
		}
	}()
	select {
	case <-rung:
	case <-ctx.Done():
	}
}
