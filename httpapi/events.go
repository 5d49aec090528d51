package httpapi

import (
	"errors"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/apitypes"
	"rollcall/httpapi/problem"
	"rollcall/internal/broadcast"
	"rollcall/roster"
)

// events is GET …/imports/{id}/events. Each event is the import without its
// errors.
func (a *API) events(c *gin.Context, _ caller, i *roster.Import) error {
	err := a.streams.Serve(c.Writer, c.Request, i, broadcast.Events{
		Body: func(i *roster.Import) any { return apitypes.ImportOf(i) }, Ended: atRest,
	})
	if errors.Is(err, broadcast.ErrTooManyStreams) {
		return problem.New(problem.Unavailable, "Too many event streams are open. Poll the import instead.").RetryAfter(10 * time.Second)
	}
	return err
}
