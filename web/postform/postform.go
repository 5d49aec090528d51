// Package postform reads the forms of pages.
package postform

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"
)

// maxBytes bounds forms without files.
const maxBytes = 64 << 10

// ErrInvalid is returned for a form that cannot be read, or that has values no
// page offers.
var ErrInvalid = errors.New("form cannot be read")

// Read reads a form without files of at most 64 KiB.
func Read(c *gin.Context) (url.Values, error) {
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxBytes)
	if err := c.Request.ParseForm(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return c.Request.PostForm, nil
}
