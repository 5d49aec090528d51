package client

import (
	"context"
	"net/http"
	"net/url"
)

// ProfileTag returns the ETag of an import profile, which changes with it.
func (c *Client) ProfileTag(ctx context.Context, name string) (tag string, err error) {
	err = c.retry(ctx, false, func() error {
		ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
		defer cancel()
		r, err := c.request(ctx, http.MethodGet, "import-profiles/"+url.PathEscape(name), nil)
		if err != nil {
			return err
		}
		answer, err := c.send(r, http.StatusOK)
		if err != nil {
			return err
		}
		tag = answer.Header.Get("ETag")
		return answer.Body.Close()
	})
	return tag, err
}
