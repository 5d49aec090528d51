package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
)

const (
	// longPoll is how long the server is asked to wait for a change.
	longPoll = 30 * time.Second

	// pollGap is the minimum time between two requests: no faster than a person
	// can follow.
	pollGap = 200 * time.Millisecond

	// idleGap is the same after a response without a change, in case the server
	// ignores the requested wait.
	idleGap = time.Second
)

// Import returns the import with this id. Unlike Upload and Follow it does not
// retry.
func (c *Client) Import(ctx context.Context, id uuid.UUID) (*Import, error) {
	return c.poll(ctx, id, "")
}

// Follow waits until an import is settled and returns it. It asks for changes
// by long polling and tells seen, if that is not nil, each one in order, the
// last included. Lost connections and a server that is away for less than the
// client's patience only cost time.
func (c *Client) Follow(ctx context.Context, i *Import, seen func(*Import)) (*Import, error) {
	return c.follow(ctx, i, seen, func(i *Import) bool { return i.Settled() })
}

// FollowUndo waits like Follow until the undo of an import, if one was
// requested, has finished.
func (c *Client) FollowUndo(ctx context.Context, i *Import) (*Import, error) {
	return c.follow(ctx, i, nil, func(i *Import) bool { return i.Undo == nil || i.Undo.FinishedAt != nil })
}

func (c *Client) follow(ctx context.Context, i *Import, seen func(*Import), done func(*Import) bool) (*Import, error) {
	for !done(i) {
		asked := time.Now()
		var next *Import
		err := c.retry(ctx, true, func() (err error) {
			next, err = c.poll(ctx, i.ID, i.etag)
			return err
		})
		if err != nil {
			return nil, err
		}
		gap := idleGap
		if next != nil {
			gap, i = pollGap, next
			if seen != nil {
				seen(i)
			}
		}
		if !done(i) && !sleep(ctx, gap-time.Since(asked)) {
			return nil, ctx.Err()
		}
	}
	return i, nil
}

// poll requests an import. With the etag of the known revision it waits for a
// change, and returns nil if there was none.
func (c *Client) poll(ctx context.Context, id uuid.UUID, etag string) (*Import, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	r, err := c.request(ctx, http.MethodGet, "users/imports/"+id.String(), nil)
	if err != nil {
		return nil, err
	}
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
		r.Header.Set("Prefer", "wait="+strconv.Itoa(int(longPoll.Seconds())))
	}
	answer, err := c.send(r, http.StatusOK, http.StatusNotModified)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode == http.StatusNotModified {
		answer.Body.Close()
		return nil, nil
	}
	return readImport(answer)
}

// ReportFormat is the form of an error report.
type ReportFormat struct{ extension, mediaType string }

// The forms of an error report.
var (
	CSV  = ReportFormat{".csv", "text/csv"}
	XLSX = ReportFormat{".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
)

// ErrorReport writes the error report of a settled import to w and returns its
// length. After an error w holds part of it.
func (c *Client) ErrorReport(ctx context.Context, id uuid.UUID, format ReportFormat, w io.Writer) (int64, error) {
	var answer *http.Response
	err := c.retry(ctx, true, func() error {
		r, err := c.request(ctx, http.MethodGet, "users/imports/"+id.String()+"/errors"+format.extension, nil)
		if err != nil {
			return err
		}
		r.Header.Set("Accept", format.mediaType+", application/problem+json")
		answer, err = c.send(r, http.StatusOK)
		return err
	})
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	n, err := io.Copy(w, answer.Body)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = unanswered(answer.Request, true, err)
	}
	return n, err
}
