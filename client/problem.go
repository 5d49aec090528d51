package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// ErrNotRollcall is returned for a response that cannot come from Rollcall: a
// proxy's error page, a redirect, another program at that address.
var ErrNotRollcall = errors.New("this does not look like a Rollcall server")

const (
	maxProblem = 1 << 20 // maximum size of a problem document, in bytes

	// maxRetryAfter bounds how long a server can make us wait.
	maxRetryAfter = time.Minute
)

// Problem is an error response of the API (RFC 9457).
type Problem struct {
	Title     string `json:"title"`
	Status    int    `json:"status"` // HTTP status
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	Fix       string `json:"fix"`
	RequestID string `json:"request_id"`
	ImportID  string `json:"import_id"` // of an import that was created anyway; "" for none
	Errors    []struct {
		Parameter string `json:"parameter"`
		Detail    string `json:"detail"`
	} `json:"errors"` // the invalid parameters, if any

	// RetryAfter is how long to wait before the next try; 0 if the server did
	// not say.
	RetryAfter time.Duration `json:"-"`
}

// Error returns title and detail on one line.
func (p *Problem) Error() string {
	if p.Detail == "" || p.Detail == p.Title {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

// temporary reports whether the same request may succeed later.
func (p *Problem) temporary() bool {
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusConflict:
		// The first attempt of this upload is still arriving (RFC 9110
		// §15.5.10); other conflicts have no Retry-After.
		return p.RetryAfter > 0
	}
	return false
}

// ConnectionError is a request that got no response, or only part of one.
type ConnectionError struct {
	Host    string // the server
	Reached bool   // a connection was established
	cause   error
}

// Error names the host and the cause.
func (u *ConnectionError) Error() string {
	return fmt.Sprintf("no response from %s: %v", u.Host, u.cause)
}

// Unwrap returns the cause.
func (u *ConnectionError) Unwrap() error { return u.cause }

// unanswered wraps an error of http.Client.Do or of reading the response,
// without the URL that net/http repeats. A canceled context is returned as it
// is.
func unanswered(r *http.Request, reached bool, err error) error {
	cause := context.Cause(r.Context())
	if errors.Is(cause, context.Canceled) {
		return context.Canceled
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if cause != nil {
		err = cause
	}
	return &ConnectionError{Host: r.URL.Host, Reached: reached, cause: err}
}

// readProblem reads the error in a response. One without a problem document
// wraps ErrNotRollcall, unless it is a proxy's request to come back later or to
// send a smaller upload.
func readProblem(answer *http.Response) error {
	p := Problem{}
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	raw, _ := io.ReadAll(io.LimitReader(answer.Body, maxProblem)) // a truncated document fails to parse
	understood := kind == "application/problem+json" && json.Unmarshal(raw, &p) == nil
	if !understood {
		p = Problem{Title: http.StatusText(answer.StatusCode)}
	}
	if p.Title == "" {
		p.Title = "HTTP status " + strconv.Itoa(answer.StatusCode)
	}
	p.Status = answer.StatusCode
	p.RetryAfter = retryAfter(answer.Header, time.Now())
	if p.RequestID == "" {
		p.RequestID = answer.Header.Get("X-Request-Id")
	}
	if !understood && answer.StatusCode == http.StatusRequestEntityTooLarge {
		p.Title = "Upload too large for a proxy"
		p.Detail = "A proxy in front of Rollcall rejected the upload because of its size (HTTP status 413)."
		p.Fix = "Raise the proxy's limit for request bodies (in nginx, client_max_body_size), or split the file"
		return &p
	}
	if understood || p.temporary() {
		return &p
	}
	if to, err := answer.Location(); err == nil && answer.StatusCode/100 == 3 {
		there := url.URL{Scheme: to.Scheme, Host: to.Host}
		return fmt.Errorf("%w: it redirects to %s; use that address if it is correct", ErrNotRollcall, &there)
	}
	return fmt.Errorf("%w: HTTP status %d without an error description", ErrNotRollcall, answer.StatusCode)
}

// retryAfter reads the header (RFC 9110 §10.2.3): seconds, or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if value == "" {
		return 0
	}
	wait := time.Duration(0)
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	// At least a moment: the server asked to come back, even if it said at
	// once.
	return min(max(wait, 100*time.Millisecond), maxRetryAfter)
}
