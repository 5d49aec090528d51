package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/httpapi/header"
	"rollcall/httpapi/problem"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/wire"
)

// undo is POST …/imports/{id}/undo. It may be asked again and again: an undo is
// begun once, and every further call tells how it goes.
func (a *API) undo(c *gin.Context, by caller, i *roster.Import) error {
	u, err := a.askUndo(c.Request.Context(), i.ID, by.entry())
	if errors.Is(err, storage.ErrWrongState) {
		return problem.New(problem.WrongState, "Only an import that is completed or canceled can be undone; this one is %s.", i.Status)
	}
	if err != nil {
		return err
	}
	prefer := header.ParsePrefer(c.Request.Header)
	wait := prefer.OrElse(a.ImportWait)
	allowTime(c, wait+ordinary+answering)
	u = a.undoFor(c, i.ID, u, wait)
	h := c.Writer.Header()
	prefer.Applied(h)
	status := http.StatusOK
	if u.FinishedAt == nil {
		status = http.StatusAccepted // the sweeper goes on with it
		h.Set("Retry-After", strconv.Itoa(soonest))
	}
	return a.json(c, status, wire.Undo{AskedAt: u.AskedAt.UTC(), Removed: u.Removed, Kept: u.Kept, FinishedAt: utc(u.FinishedAt)})
}

func (a *API) askUndo(ctx context.Context, id uuid.UUID, by storage.Entry) (storage.Undo, error) {
	ctx, cancel := context.WithTimeout(ctx, ordinary)
	defer cancel()
	return a.Store.AskUndo(ctx, id, by)
}

// undoFor works on an undo until it is finished, the wait is over, the client
// leaves or the server stops, and tells how far it has come. It is committed to
// by now, so that a database which goes away only leaves the rest for later.
func (a *API) undoFor(c *gin.Context, id uuid.UUID, u storage.Undo, wait time.Duration) storage.Undo {
	ctx := c.Request.Context()
	for end := time.Now().Add(wait); u.FinishedAt == nil && time.Now().Before(end) && ctx.Err() == nil && !a.stopping(); {
		next, err := a.undoStep(ctx, id)
		if err != nil {
			a.Log.Warn("undo interrupted; the sweeper will go on", "import_id", id, "error", err)
			return u
		}
		u = next
	}
	return u
}

// undoStep ends what it begins, even if nobody waits any more.
func (a *API) undoStep(ctx context.Context, id uuid.UUID) (storage.Undo, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ordinary)
	defer cancel()
	return a.Store.UndoStep(ctx, id)
}

// stopping tells whether the server has begun to shut down.
func (a *API) stopping() bool {
	select {
	case <-a.Stopping:
		return true
	default:
		return false
	}
}
