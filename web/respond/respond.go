// Package respond writes responses that all pages share.
package respond

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
)

// WriteTimeout aborts a response if the client does not read for this long.
const WriteTimeout = time.Minute

// SeeOther redirects the browser to a local path, with GET.
func SeeOther(c *gin.Context, path string) {
	Extend(c)
	c.Header("Location", path)
	c.Status(http.StatusSeeOther)
	c.Writer.WriteHeaderNow()
}

// RetryAfter tells a client when to try again, in whole seconds, rounded up.
func RetryAfter(c *gin.Context, wait time.Duration) {
	c.Header("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
}

// Extend gives the client [WriteTimeout] for the response, however long the
// request took: an upload may have taken an hour.
func Extend(c *gin.Context) {
	// Not supported: then there is no deadline to move.
	_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(WriteTimeout))
}
