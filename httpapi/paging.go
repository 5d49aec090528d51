package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

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
