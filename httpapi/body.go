package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/httpapi/problem"
)

// maxBody bounds a JSON body, in bytes.
const maxBody = 64 << 10

// readJSON decodes the body into v, which defines the allowed members. An empty
// body leaves v unchanged, and present is false.
func readJSON(c *gin.Context, v any) (present bool, err error) {
	return readBody(c, v, "application/json")
}

// readBody is readJSON for a body of one of these media types.
func readBody(c *gin.Context, v any, media ...string) (present bool, err error) {
	conn := http.NewResponseController(c.Writer)
	_ = conn.SetReadDeadline(time.Now().Add(requestTimeout))
	defer func() {
		// Past the end of the body the deadline would pass for the client's leaving.
		// Before it, the deadline ends a client that never comes to the end: net/http
		// reads on before it answers.
		if err == nil {
			_ = conn.SetReadDeadline(time.Time{})
		}
	}()
	dec := json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, maxBody))
	dec.DisallowUnknownFields()
	err = dec.Decode(v)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if sent, _, _ := mime.ParseMediaType(c.Request.Header.Get("Content-Type")); !slices.Contains(media, sent) {
		p := problem.New(problem.UnsupportedMedia, "Send the body as %s.", media[0]).With("Accept", strings.Join(media, ", "))
		if c.Request.Method == http.MethodPatch {
			p.With("Accept-Patch", strings.Join(media, ", "))
		}
		return false, p
	}
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errMoreThanOne
		}
	}
	if mistyped, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && mistyped.Field != "" {
		return false, problem.Parameter(mistyped.Field, "%s must not be a JSON %s.", mistyped.Field, mistyped.Value)
	}
	if err != nil {
		if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
			return false, problem.New(problem.InvalidParameter, "Unknown member %s. Check its spelling.", name)
		}
		return false, problem.New(problem.InvalidParameter, "The body must be one JSON object of at most %d bytes.", maxBody)
	}
	return true, nil
}

// errMoreThanOne: there is more data after the value.
var errMoreThanOne = errors.New("more than one JSON value")
