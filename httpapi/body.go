package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/httpapi/problem"
)

// maxBody bounds a JSON body, in bytes.
const maxBody = 64 << 10

// readJSON reads the body into v, which says what members there are. An empty
// body leaves v as it is, and present tells that.
func readJSON(c *gin.Context, v any) (present bool, err error) {
	conn := http.NewResponseController(c.Writer)
	_ = conn.SetReadDeadline(time.Now().Add(ordinary))
	defer func() { _ = conn.SetReadDeadline(time.Time{}) }() // an old one would pass for the client's leaving
	dec := json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, maxBody))
	dec.DisallowUnknownFields()
	err = dec.Decode(v)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if media, _, _ := mime.ParseMediaType(c.Request.Header.Get("Content-Type")); media != "application/json" {
		return false, problem.New(problem.UnsupportedMedia, "Send the body as application/json.").With("Accept", "application/json")
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
		return false, problem.New(problem.InvalidParameter, "The body must be one JSON object of at most %d bytes, with no members but those described.", maxBody)
	}
	return true, nil
}

// errMoreThanOne: something stands behind the value.
var errMoreThanOne = errors.New("more than one JSON value")
