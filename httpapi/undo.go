package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/apitypes"
	"rollcall/httpapi/header"
	"rollcall/httpapi/problem"
	"rollcall/roster"
	"rollcall/storage"
)

// undo is POST …/imports/{id}/undo. It may be repeated: an undo is started
// once, and every further call returns its progress.
func (a *API) undo(c *gin.Context, by caller, i *roster.Import) error {
	u, err := a.requestUndo(c.Request.Context(), i.ID, by.entry())
	if errors.Is(err, storage.ErrWrongState) {
		return problem.New(problem.WrongState, "Only a completed or canceled import can be undone; this one is %s.", i.Status)
	}
	if err != nil {
		return err
	}
	prefer := header.ParsePrefer(c.Request.Header)
	wait := prefer.OrElse(a.ImportWait)
	allowTime(c, wait+requestTimeout+writeTimeout)
	u = a.undoFor(c, i.ID, u, wait)
	h := c.Writer.Header()
	prefer.Applied(h)
	status := http.StatusOK
	if u.FinishedAt == nil {
		status = http.StatusAccepted // the sweeper continues it
		h.Set("Retry-After", strconv.Itoa(minRetryAfter))
	}
	return a.json(c, status, apitypes.Undo{AskedAt: u.AskedAt.UTC(), Removed: u.Removed, Kept: u.Kept, Restored: u.Restored, FinishedAt: utc(u.FinishedAt)})
}

func (a *API) requestUndo(ctx context.Context, id uuid.UUID, by storage.AuditEntry) (storage.Undo, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return a.Store.RequestUndo(ctx, id, by)
}

// undoFor works on an undo until it is finished, the wait is over, the client
// leaves or the server stops, and returns its progress. The request for the
// undo is already committed, so if the database becomes unavailable the rest is
// done later.
func (a *API) undoFor(c *gin.Context, id uuid.UUID, u storage.Undo, wait time.Duration) storage.Undo {
	ctx := c.Request.Context()
	for end := time.Now().Add(wait); u.FinishedAt == nil && time.Now().Before(end) && ctx.Err() == nil && !a.stopping(); {
		next, err := a.undoStep(ctx, id)
		if err != nil {
			a.Log.Warn("undo interrupted; sweeper will continue", "import_id", id, "error", err)
			return u
		}
		u = next
	}
	return u
}

// undoStep finishes the step it starts, even if the client has left.
func (a *API) undoStep(ctx context.Context, id uuid.UUID) (storage.Undo, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	return a.Store.UndoStep(ctx, id)
}

// stopping reports whether the server has begun to shut down.
func (a *API) stopping() bool {
	select {
	case <-a.Stopping:
		return true
	default:
		return false
	}
}
