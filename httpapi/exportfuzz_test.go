package httpapi

import (
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gin-gonic/gin"
)

// ReadPrefer is what parsePrefer reads, and what the client is told of it.
func ReadPrefer(value string) (async bool, wait time.Duration, applied string) {
	p := parsePrefer(http.Header{"Prefer": {value}})
	h := http.Header{}
	p.applied(h)
	return p.async, p.wait, h.Get("Preference-Applied")
}

// ReadPage is what the query of a list says, with the cursors written again.
func ReadPage(raw string) (limit int, id, row string, err error) {
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	c.Request = httptest.NewRequest("GET", "/", nil)
	c.Request.URL.RawQuery = raw
	q, err := readQuery(c)
	if err != nil {
		return 0, "", "", err
	}
	if limit, err = q.limit(50, 200); err != nil {
		return 0, "", "", err
	}
	if after, err := q.afterID(); err == nil {
		id = idCursor(after)
	}
	if after, err := q.afterRow(); err == nil {
		row = rowCursor(after)
	}
	return limit, id, row, nil
}

// Disposition is disposition.
func Disposition(filename string) string { return disposition(filename) }
