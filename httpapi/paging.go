package httpapi

import (
	"encoding/json"
	"net/http"

	"github.com/gin-gonic/gin"
)

// pageBytes bounds a page of a list, in bytes of JSON. A page ends before it, and
// the next one goes on from there.
const pageBytes = 4 << 20

// list is a page of a list. Next is the cursor of the next one, null on the
// last.
type list struct {
	Items []json.RawMessage `json:"items"`
	Next  *string           `json:"next"`
}

// answerAll answers with a list that is one page.
func answerAll[T any](a *API, c *gin.Context, items []T) error {
	return answerPage(a, c, items, false, nil)
}

// answerMore answers with the first limit items; one more than that tells that
// there is a next page.
func answerMore[T any](a *API, c *gin.Context, items []T, limit int, cursor func(T) string) error {
	return answerPage(a, c, items[:min(limit, len(items))], len(items) > limit, cursor)
}

// answerPage answers with as many of the items as a page may hold, and at least
// one. cursor leads to what follows an item; more tells that something follows
// the last. A nil cursor: all items are on one page.
func answerPage[T any](a *API, c *gin.Context, items []T, more bool, cursor func(T) string) error {
	page := list{Items: make([]json.RawMessage, 0, len(items))}
	size := 0
	for _, item := range items {
		raw := encode(item)
		if size += len(raw); size > pageBytes-1<<10 && cursor != nil && len(page.Items) > 0 {
			more = true
			break
		}
		page.Items = append(page.Items, raw)
	}
	if more && len(page.Items) > 0 {
		next := cursor(items[len(page.Items)-1])
		page.Next = &next
		q := c.Request.URL.Query()
		q.Set("after", next)
		// RFC 8288; a reference relative to the request's own URL.
		c.Header("Link", "<"+c.Request.URL.EscapedPath()+"?"+q.Encode()+`>; rel="next"`)
	}
	return a.json(c, http.StatusOK, page)
}
