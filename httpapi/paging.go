package httpapi

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/httpapi/problem"
)

// query is the query of a request, each parameter at most once.
type query struct{ values url.Values }

func readQuery(c *gin.Context) (query, error) {
	values, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return query{}, problem.New(problem.InvalidParameter, "The query of the address cannot be read.")
	}
	for name, given := range values {
		if len(given) > 1 {
			return query{}, problem.Parameter(name, "A parameter is given more than once.")
		}
		if !utf8.ValidString(given[0]) || strings.ContainsRune(given[0], 0) {
			return query{}, problem.Parameter(name, "A parameter is not valid text: it must be UTF-8 without NUL characters.")
		}
	}
	return query{values}, nil
}

// get is the value of a parameter, "" if it is not given.
func (q query) get(name string) string { return q.values.Get(name) }

// limit reads how many items a page may have.
func (q query) limit(otherwise, most int) (int, error) {
	text := q.get("limit")
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, problem.Parameter("limit", "limit must be a number from 1 to %d.", most)
	}
	return n, nil
}

// Cursors are opaque to clients: the last id or row of the page before.

func idCursor(id uuid.UUID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func rowCursor(row int64) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(row)))
}

// afterID reads the cursor of a list of things with ids.
func (q query) afterID() (id uuid.UUID, err error) {
	raw, err := q.after(len(id))
	copy(id[:], raw)
	return id, err
}

// afterRow reads the cursor of a list of rows.
func (q query) afterRow() (int64, error) {
	raw, err := q.after(8)
	if err != nil || raw == nil {
		return 0, err
	}
	row := int64(binary.BigEndian.Uint64(raw))
	if row < 0 {
		return 0, badCursor()
	}
	return row, nil
}

// idPage reads the query of a list of things with ids: how many to show, and
// after which.
func idPage(c *gin.Context) (q query, limit int, after uuid.UUID, err error) {
	if q, err = readQuery(c); err != nil {
		return q, 0, after, err
	}
	if limit, err = q.limit(50, 200); err != nil {
		return q, 0, after, err
	}
	after, err = q.afterID()
	return q, limit, after, err
}

// after decodes a cursor of so many bytes; nil if none is given.
func (q query) after(size int) ([]byte, error) {
	text := q.get("after")
	if text == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != size {
		return nil, badCursor()
	}
	return raw, nil
}

func badCursor() error {
	return problem.Parameter("after", "after must be a cursor that this list gave as next.")
}

// list is a page of a list. Next is the cursor of the next one, null on the
// last.
type list[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next"`
}

// answerList answers with a page; next is "" on the last.
func answerList[T any](a *API, c *gin.Context, items []T, next string) error {
	page := list[T]{Items: items}
	if next != "" {
		page.Next = &next
		q := c.Request.URL.Query()
		q.Set("after", next)
		// RFC 8288; a reference relative to the request's own address.
		c.Header("Link", "<"+c.Request.URL.EscapedPath()+"?"+q.Encode()+`>; rel="next"`)
	}
	return a.json(c, http.StatusOK, page)
}

// answerMore answers with the first limit items; one more than that tells that
// there is a next page.
func answerMore[T any](a *API, c *gin.Context, items []T, limit int, cursor func(T) string) error {
	if len(items) <= limit {
		return answerList(a, c, items, "")
	}
	items = items[:limit]
	return answerList(a, c, items, cursor(items[limit-1]))
}
