package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Find returns the import that was started with an Idempotency-Key, nil if
// there is none. The retention period deletes keys too.
func (c *Client) Find(ctx context.Context, key string) (*Import, error) {
	var found *Import
	err := c.retry(ctx, false, func() (err error) {
		found, err = c.find(ctx, key)
		return err
	})
	if err != nil || found == nil {
		return nil, err
	}
	return c.Import(ctx, found.ID) // lists contain no errors
}

func (c *Client) find(ctx context.Context, key string) (*Import, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	r, err := c.request(ctx, http.MethodGet, "users/imports", nil)
	if err != nil {
		return nil, err
	}
	r.URL.RawQuery = url.Values{"idempotency_key": {key}}.Encode()
	answer, err := c.send(r, http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var list struct{ Items []*Import }
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, unanswered(r, true, err)
	}
	if json.Unmarshal(raw, &list) != nil {
		return nil, fmt.Errorf("%w: the response is not a list of imports", ErrNotRollcall)
	}
	if len(list.Items) == 0 {
		return nil, nil
	}
	return list.Items[0], nil
}
