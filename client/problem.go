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

// ErrNotRollcall is returned for an answer that no Rollcall gives: a proxy's
// error page, a redirect, another program at that address.
var ErrNotRollcall = errors.New("the server does not answer as Rollcall does")

const (
	maxProblem = 1 << 20 // bytes of a problem document that are read

	// maxRetryAfter bounds how long a server can make us wait.
	maxRetryAfter = time.Minute
)

// Problem is an error the API answered with (RFC 9457).
type Problem struct {
	Title     string `json:"title"`
	Status    int    `json:"status"` // of HTTP
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	Fix       string `json:"fix"`
	RequestID string `json:"request_id"`
	ImportID  string `json:"import_id"` // of an import that exists nevertheless; "" for none
	Errors    []struct {
		Parameter string `json:"parameter"`
		Detail    string `json:"detail"`
	} `json:"errors"` // the parameters that are wrong, if that is it

	// RetryAfter is when to try again, from now; 0 if the server did not say.
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
		// An upload whose first try is still arriving (RFC 9110 §15.5.10); other
		// conflicts say no Retry-After.
		return p.RetryAfter > 0
	}
	return false
}

// Unanswered is a request that got no answer, or only part of one.
type Unanswered struct {
	Host    string // asked
	Reached bool   // a connection had been made
	cause   error
}

// Error names the host and the cause.
func (u *Unanswered) Error() string { return fmt.Sprintf("no answer from %s: %v", u.Host, u.cause) }

// Unwrap returns the cause.
func (u *Unanswered) Unwrap() error { return u.cause }

// unanswered wraps what http.Client.Do or reading its answer returned, without
// the URL that net/http repeats. Being told to stop stays what it is.
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
	return &Unanswered{Host: r.URL.Host, Reached: reached, cause: err}
}

// readProblem reads the error an answer is. One that is no problem document
// wraps ErrNotRollcall, except where a proxy says to come back later.
func readProblem(answer *http.Response) error {
	p := Problem{}
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	raw, _ := io.ReadAll(io.LimitReader(answer.Body, maxProblem)) // a torn document fails to parse
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
	if understood || p.temporary() {
		return &p
	}
	if to, err := answer.Location(); err == nil && answer.StatusCode/100 == 3 {
		there := url.URL{Scheme: to.Scheme, Host: to.Host}
		return fmt.Errorf("%w: it sends to %s; use that address if it is the right one", ErrNotRollcall, &there)
	}
	return fmt.Errorf("%w: HTTP status %d without a problem document", ErrNotRollcall, answer.StatusCode)
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
	// At least a moment: it was said to come back, though perhaps at once.
	return min(max(wait, 100*time.Millisecond), maxRetryAfter)
}
