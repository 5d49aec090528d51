// Package problem turns errors into RFC 9457 problem details, in one place: a
// table from code to status and title, and a table from error to code. An error
// that stands in neither shows nothing of itself.
package problem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
)

// MediaType is the media type of a problem (RFC 9457, section 6.1).
const MediaType = "application/problem+json"

// Problem is an answer other than success. The zero value is not one: use
// [New].
type Problem struct {
	Code   Code
	Status int
	Title  string
	Detail string // for this occurrence; "" for none
	// Fix says what to do about a file that cannot be imported; else "".
	Fix string
	// Mapping proposes how to upload a file that lacks a column; nil for none.
	Mapping map[roster.Column]string
	// ImportID is the import that ended failed; else "".
	ImportID string
	// Faults are the parts of the request that are wrong, where that can be
	// told part by part.
	Faults []Fault
	// Header is added to the answer's: Retry-After, WWW-Authenticate and such.
	// Nil for none.
	Header http.Header

	cause error
}

// Fault is one thing wrong with a request.
type Fault struct {
	Parameter string `json:"parameter"` // name of a part, query parameter or header
	Detail    string `json:"detail"`
}

// New makes a problem with the status and title of its code. A code outside the
// table is a mistake in the program and becomes an internal error.
func New(code Code, detail string, args ...any) *Problem {
	k, ok := known[code]
	if !ok {
		code, k = Internal, known[Internal]
	}
	if len(args) > 0 {
		detail = fmt.Sprintf(detail, args...)
	}
	return &Problem{Code: code, Status: k.status, Title: k.title, Detail: detail}
}

// Parameter is the problem of one part, query parameter or header whose value
// cannot be used. The detail is a sentence.
func Parameter(name, detail string, args ...any) *Problem {
	p := New(InvalidParameter, detail, args...)
	p.Faults = []Fault{{Parameter: name, Detail: p.Detail}}
	return p
}

// Unusable is the problem of an import that ended failed: its code, detail and
// fix are those of the file.
func Unusable(i *roster.Import) *Problem {
	f := i.Failure
	p := New(Code(f.Code), f.Message)
	p.Fix, p.Mapping, p.ImportID = f.Fix, f.Mapping, i.ID.String()
	return p
}

// With adds a header to the answer.
func (p *Problem) With(name, value string) *Problem {
	if p.Header == nil {
		p.Header = http.Header{}
	}
	p.Header.Set(name, value)
	return p
}

// RetryAfter tells the client when to try again, in whole seconds.
func (p *Problem) RetryAfter(d time.Duration) *Problem {
	return p.With("Retry-After", strconv.Itoa(int(d.Seconds())))
}

// Error is for logs: it holds the code and what caused the problem, but not the
// detail, which may repeat what the client sent.
func (p *Problem) Error() string {
	if p.cause != nil {
		return fmt.Sprintf("%s: %v", p.Code, p.cause)
	}
	return string(p.Code)
}

// Unwrap is the error that the problem was made from, nil if there is none.
func (p *Problem) Unwrap() error { return p.cause }

// retryDatabase is when to try again while the database is away.
const retryDatabase = 5 * time.Second

// From finds the problem for an error. One that is not in the table becomes an
// internal error that shows nothing of it; its text is in Error, for the log.
func From(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	p := match(err)
	p.cause = err
	return p
}

// match is the table from error to problem.
func match(err error) *Problem {
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return New(NotFound, "There is nothing under this address that you may see.")
	case errors.Is(err, storage.ErrWrongState):
		return New(WrongState, "Things are not in a state that allows this.")
	case errors.Is(err, storage.ErrTooMany):
		return New(WrongState, "You have as many webhooks as one token may have, which is %d. Delete one first.", storage.MaxWebhooks)
	case errors.Is(err, storage.ErrPurged):
		return New(Purged, "The uploaded file and the values in it were deleted when their time was over; counts and codes are kept.")
	case errors.Is(err, report.ErrNotEnded):
		return New(NotEnded, "The report is made once the import has come that far.").RetryAfter(time.Second)
	case errors.Is(err, storage.ErrKeyArriving):
		return New(KeyInUse, "The first request with this Idempotency-Key is still arriving.").RetryAfter(time.Second)
	case errors.Is(err, storage.ErrKeyReused):
		return New(KeyReused, "This Idempotency-Key came before, with another file or other options. Use a new key.")
	case errors.Is(err, storage.ErrUnavailable):
		return New(Unavailable, "The database cannot be asked at the moment. Try again shortly.").RetryAfter(retryDatabase)
	case errors.Is(err, context.DeadlineExceeded):
		return New(Unavailable, "The answer took too long. Try again shortly.").RetryAfter(retryDatabase)
	case errors.Is(err, context.Canceled):
		return New(ClientGone, "")
	}
	return New(Internal, "The request could not be served because of a fault on the server. Tell its operator the request_id.")
}
