package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/access"
	"rollcall/httpapi/problem"
	"rollcall/roster"
)

const (
	// requestTimeout bounds a request that reads or writes a few rows, and each
	// such step of one that waits or streams.
	requestTimeout = 10 * time.Second
	// writeTimeout is how long a client may take to read a response, or a piece
	// of a long one.
	writeTimeout = time.Minute
)

// serve turns a route into a gin handler. Everything that all requests have in
// common is here, in order.
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

// answer authenticates the caller and runs the handler within its time limit.
func (a *API) answer(c *gin.Context, rt route) error {
	if !rt.slow {
		ctx, cancel := context.WithTimeout(c.Request.Context(), requestTimeout)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		allowTime(c, requestTimeout+writeTimeout)
	}
	var by caller
	if !rt.need.Open() {
		var err error
		if by, err = a.identify(c); err != nil {
			return a.unauthenticated(c, err)
		}
		if err := by.require(rt.need); err != nil {
			return err
		}
		if err := a.admit(c, rt.limit, by); err != nil {
			return err
		}
	}
	return wrapContextError(c.Request.Context(), rt.handle(c, by))
}

// wrapContextError marks an unknown error as a timeout or a client that left,
// because drivers report these with errors of their own.
func wrapContextError(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && problem.From(err).Code == problem.Internal {
		return errors.Join(ctx.Err(), err)
	}
	return err
}

// allowTime sets the deadline for writing the response, replacing the server's
// own. A connection without deadlines has none to set.
func allowTime(c *gin.Context, d time.Duration) {
	_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(d))
}

// newRequestID makes an id that sorts by time. Ids from outside are not used,
// because a client could write into the log with them.
func newRequestID() string {
	id, err := uuid.NewV7()
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return id.String()
}

// protect sets the headers of every response. Handlers may override them.
func protect(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "private, no-store")
}

// NotFound responds to paths that are not in the table.
func (a *API) NotFound(c *gin.Context) {
	a.serve(route{need: access.Public, handle: func(*gin.Context, caller) error {
		return problem.New(problem.NotFound, "Unknown path. See /docs for the API reference.")
	}})(c)
}

// MethodNotAllowed responds to paths that are in the table with another method. Of
// paths that are not the API's, the router has set Allow.
func (a *API) MethodNotAllowed(c *gin.Context) {
	a.serve(route{need: access.Public, handle: func(c *gin.Context, _ caller) error {
		if methods := a.allowed(c.Request.URL.Path); methods != nil {
			c.Header("Allow", strings.Join(methods, ", "))
		}
		return problem.New(problem.MethodNotAllowed, "Allowed methods: %s.", c.Writer.Header().Get("Allow"))
	}})(c)
}

// problemBody is the JSON form of a problem (RFC 9457, section 3).
type problemBody struct {
	Type      string                           `json:"type"`
	Title     string                           `json:"title"`
	Status    int                              `json:"status"`
	Detail    string                           `json:"detail,omitempty"`
	Code      problem.Code                     `json:"code"`
	RequestID string                           `json:"request_id"`
	ImportID  string                           `json:"import_id,omitempty"`
	Fix       string                           `json:"fix,omitempty"`
	Mapping   map[roster.Column]roster.Headers `json:"mapping,omitempty"`
	Encoding  string                           `json:"encoding,omitempty"`
	Delimiter string                           `json:"delimiter,omitempty"`
	HeaderRow int64                            `json:"header_row,omitempty"`
	Errors    []problem.Fault                  `json:"errors,omitempty"`
}

// fail responds with the problem for err.
func (a *API) fail(c *gin.Context, log *slog.Logger, err error) {
	p := problem.From(err)
	if c.Writer.Written() {
		// Too late for another response; aborting it shows that it is
		// incomplete.
		log.Warn("response aborted", "code", p.Code, "error", p)
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
		h.Del(name) // of the intended response
	}
	a.send(c, p.Status, problem.MediaType, problemBody{
		Type: a.types + string(p.Code), Title: p.Title, Status: p.Status, Detail: p.Detail, Code: p.Code,
		RequestID: h.Get("X-Request-Id"), ImportID: p.ImportID, Fix: p.Fix, Mapping: p.Mapping,
		Encoding: p.Encoding, Delimiter: p.Delimiter, HeaderRow: p.HeaderRow, Errors: p.Faults,
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

// json responds with v.
func (a *API) json(c *gin.Context, status int, v any) error {
	a.send(c, status, "application/json", v)
	return nil
}

func (a *API) send(c *gin.Context, status int, mediaType string, v any) {
	sendEncoded(c, status, mediaType, encode(v))
}

func sendEncoded(c *gin.Context, status int, mediaType string, body []byte) {
	allowTime(c, writeTimeout)
	c.Header("Content-Length", strconv.Itoa(len(body)))
	c.Data(status, mediaType, body)
}

// logAccess logs one line per request, without the query, which may contain an
// address, and without headers.
func (a *API) logAccess(c *gin.Context, log *slog.Logger, rt route, took time.Duration) {
	status := c.Writer.Status()
	level := slog.LevelInfo
	if rt.quiet && status < http.StatusBadRequest {
		level = slog.LevelDebug
	}
	if !log.Enabled(c.Request.Context(), level) {
		return
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests: // possible attacks
		log = log.With("client", c.ClientIP())
	}
	log.Log(c.Request.Context(), level, "request",
		"method", c.Request.Method, "route", rt.path, "status", status,
		"bytes", max(0, c.Writer.Size()), "duration", took)
}
