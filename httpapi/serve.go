package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/access"
	"rollcall/httpapi/problem"
	"rollcall/roster"
)

const (
	// ordinary bounds a request that reads or writes a few rows, and each such
	// step of one that waits or streams.
	ordinary = 10 * time.Second
	// answering is how long a client may take to read an answer, or a piece of
	// a long one.
	answering = time.Minute
)

// serve makes of a route what gin calls: everything every request has in
// common is here, in its order.
func (a *API) serve(rt route) gin.HandlerFunc {
	return func(c *gin.Context) {
		began := time.Now()
		id := newRequestID()
		c.Header("X-Request-Id", id)
		protect(c.Writer.Header())
		log := a.Log.With("request_id", id)
		defer func() { a.logAccess(c, log, rt, time.Since(began)) }()
		defer a.recover(c, log)
		if err := a.answer(c, rt); err != nil {
			a.fail(c, log, err)
		}
	}
}

// answer runs the handler as the caller, within its time.
func (a *API) answer(c *gin.Context, rt route) error {
	if !rt.slow {
		ctx, cancel := context.WithTimeout(c.Request.Context(), ordinary)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		allowTime(c, ordinary+answering)
	}
	var by caller
	if !rt.need.Open() {
		var err error
		if by, err = a.identify(c.Request); err != nil {
			return a.unauthenticated(c, err)
		}
		if err := by.require(rt.need); err != nil {
			return err
		}
		if err := a.admit(c, rt.limit, by); err != nil {
			return err
		}
	}
	return plainly(c.Request.Context(), rt.handle(c, by))
}

// plainly makes an error that nobody knows tell that the request's time was
// over, or its client gone: drivers say so in words of their own.
func plainly(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && problem.From(err).Code == problem.Internal {
		return errors.Join(ctx.Err(), err)
	}
	return err
}

// allowTime moves the deadline for writing the answer, whatever the server's
// own is. A connection without deadlines has none to move.
func allowTime(c *gin.Context, d time.Duration) {
	_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(d))
}

// newRequestID makes an id that sorts by time. None is taken from outside: it
// would let a client write into the log.
func newRequestID() string {
	id, err := uuid.NewV7()
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return id.String()
}

// protect sets the headers every answer has. Handlers change what they know
// better.
func protect(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "private, no-store")
}

// NotFound answers for paths that are not in the table.
func (a *API) NotFound(c *gin.Context) {
	a.serve(route{need: access.Anybody, handle: func(*gin.Context, caller) error {
		return problem.New(problem.NotFound, "There is no such path. The API is described under /docs.")
	}})(c)
}

// MethodNotAllowed answers for paths that are in the table under another
// method. The router has set Allow.
func (a *API) MethodNotAllowed(c *gin.Context) {
	a.serve(route{need: access.Anybody, handle: func(c *gin.Context, _ caller) error {
		return problem.New(problem.MethodNotAllowed, "This path allows: %s.", c.Writer.Header().Get("Allow"))
	}})(c)
}

// problemBody is a problem as it is sent (RFC 9457, section 3).
type problemBody struct {
	Type      string                   `json:"type"`
	Title     string                   `json:"title"`
	Status    int                      `json:"status"`
	Detail    string                   `json:"detail,omitempty"`
	Code      problem.Code             `json:"code"`
	RequestID string                   `json:"request_id"`
	ImportID  string                   `json:"import_id,omitempty"`
	Fix       string                   `json:"fix,omitempty"`
	Mapping   map[roster.Column]string `json:"mapping,omitempty"`
	Errors    []problem.Fault          `json:"errors,omitempty"`
}

// fail answers with the problem for err.
func (a *API) fail(c *gin.Context, log *slog.Logger, err error) {
	p := problem.From(err)
	if c.Writer.Written() {
		// Too late for another answer; a broken-off one shows that it is not whole.
		log.Warn("answer broken off", "code", p.Code, "error", p)
		panic(http.ErrAbortHandler)
	}
	if p.Status >= http.StatusInternalServerError {
		log.Error("request failed", "code", p.Code, "error", p)
	}
	h := c.Writer.Header()
	for name, values := range p.Header {
		h[name] = values
	}
	for _, name := range []string{"Content-Disposition", "Content-Length", "ETag", "Last-Modified"} {
		h.Del(name) // of the answer this was to be
	}
	a.send(c, p.Status, problem.MediaType, problemBody{
		Type: a.types + string(p.Code), Title: p.Title, Status: p.Status, Detail: p.Detail, Code: p.Code,
		RequestID: h.Get("X-Request-Id"), ImportID: p.ImportID, Fix: p.Fix, Mapping: p.Mapping, Errors: p.Faults,
	})
}

// recover turns a panic of a handler into an internal error. It is deferred.
func (a *API) recover(c *gin.Context, log *slog.Logger) {
	switch v := recover(); v {
	case nil:
	case http.ErrAbortHandler:
		panic(v) // for net/http: closes the connection
	default:
		a.fail(c, log, fmt.Errorf("panic of type %T\n%s", v, debug.Stack()))
	}
}

// json answers with v.
func (a *API) json(c *gin.Context, status int, v any) error {
	a.send(c, status, "application/json", v)
	return nil
}

func (a *API) send(c *gin.Context, status int, mediaType string, v any) {
	sendEncoded(c, status, mediaType, encode(v))
}

func sendEncoded(c *gin.Context, status int, mediaType string, body []byte) {
	allowTime(c, answering)
	c.Header("Content-Length", strconv.Itoa(len(body)))
	c.Data(status, mediaType, body)
}

// logAccess writes one line a request: never the query, which may hold an
// address, nor any header.
func (a *API) logAccess(c *gin.Context, log *slog.Logger, rt route, took time.Duration) {
	status := c.Writer.Status()
	level := slog.LevelInfo
	if rt.often && status < http.StatusBadRequest {
		level = slog.LevelDebug
	}
	if !log.Enabled(c.Request.Context(), level) {
		return
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests: // whoever tries doors
		log = log.With("client", remoteHost(c.Request))
	}
	log.Log(c.Request.Context(), level, "request",
		"method", c.Request.Method, "route", rt.path, "status", status,
		"bytes", max(0, c.Writer.Size()), "duration", took)
}
