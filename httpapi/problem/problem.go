// Package problem turns errors into RFC 9457 problem details, in one place: a
// table from code to status and title, and a table from error to code. An error
// in neither table reveals no details.
package problem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"rollcall/jobs/importer"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
)

// MediaType is the media type of a problem (RFC 9457, section 6.1).
const MediaType = "application/problem+json"

// Problem is an error response. The zero value is not valid: use [New].
type Problem struct {
	Code   Code
	Status int
	Title  string
	Detail string // for this occurrence; "" for none
	// Fix says what to do about a file that cannot be imported; else "".
	Fix string
	// Mapping suggests how to upload a file that lacks a column; nil for none.
	Mapping map[roster.Column]roster.Headers
	// Encoding, Delimiter and HeaderRow suggest how to read a file that could
	// not be used; "" and 0 for none.
	Encoding, Delimiter string
	HeaderRow           int64
	// ImportID is the import that failed; else "".
	ImportID string
	// Faults lists the invalid parts of the request, if they can be reported
	// individually.
	Faults []Fault
	// Header is added to the response's: Retry-After, WWW-Authenticate and
	// such. Nil for none.
	Header http.Header

	cause error
}

// Fault is one error in a request.
type Fault struct {
	Parameter string `json:"parameter"` // name of a part, member, query parameter or header
	Detail    string `json:"detail"`

	// Of a value of a user: the code, advice and suggestion that a row of a file
	// gets for it. "" for others.
	Reason     roster.Code `json:"reason,omitempty"`
	Fix        string      `json:"fix,omitempty"`
	Suggestion string      `json:"suggestion,omitempty"`
}

// New makes a problem with the status and title of its code. A code missing
// from the table is a bug and becomes an internal error.
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

// Parameter is the problem of one part, query parameter or header with an
// invalid value. The detail is a sentence.
func Parameter(name, detail string, args ...any) *Problem {
	p := New(InvalidParameter, detail, args...)
	p.Faults = []Fault{{Parameter: name, Detail: p.Detail}}
	return p
}

// Conflict is the problem of a value that something else has already.
func Conflict(code Code, name, detail string) *Problem {
	p := New(code, detail)
	p.Faults = []Fault{{Parameter: name, Detail: detail, Reason: roster.Code(code), Fix: roster.Code(code).RowFix()}}
	return p
}

// InvalidFields is the problem of values that break the rules of a row.
func InvalidFields(problems []roster.Problem) *Problem {
	p := New(InvalidUser, problems[0].Message)
	for _, each := range problems {
		p.Faults = append(p.Faults, Fault{
			Parameter: string(each.Field), Detail: each.Message, Reason: each.Code, Fix: each.Advice(), Suggestion: each.Suggestion,
		})
	}
	return p
}

// Unusable is the problem of an import that failed: its code, detail and fix
// are those of the file.
func Unusable(i *roster.Import) *Problem {
	f := i.Failure
	p := New(Code(f.Code), f.Message)
	p.Fix, p.Mapping, p.ImportID = f.Fix, f.Mapping, i.ID.String()
	p.Encoding, p.Delimiter, p.HeaderRow = f.Encoding, f.Delimiter, f.HeaderRow
	return p
}

// With adds a header to the response.
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

// Error is for logs: it contains the code and the cause of the problem, but not
// the detail, which may repeat text from the client.
func (p *Problem) Error() string {
	if p.cause != nil {
		return fmt.Sprintf("%s: %v", p.Code, p.cause)
	}
	return string(p.Code)
}

// Unwrap is the cause of the problem, nil if there is none.
func (p *Problem) Unwrap() error { return p.cause }

// retryDatabase is when to try again while the database is unavailable.
const retryDatabase = 5 * time.Second

// From returns the problem for an error. One that is not in the table becomes
// an internal error that reveals nothing of it; its text is in Error, for the
// log.
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
		return New(NotFound, "Not found. It doesn't exist, or this token has no access to it.")
	case errors.Is(err, storage.ErrTooManyEdits):
		return New(TooManyEdits, "At most %d rows of an import can be edited. Correct the others in the error report and upload that.", storage.MaxRowEdits)
	case errors.Is(err, storage.ErrNotEditable):
		return New(NotEditable, "This import was checked by an earlier version. Upload the file again to edit its rows.")
	case errors.Is(err, importer.ErrTooManyTied):
		return New(NotEditable, "Too many rows of the file share this row's address or external_id. Correct the file and upload it again.")
	case errors.Is(err, storage.ErrNoValidRow):
		return New(Code(roster.EmptyRoster), "This would leave the full roster without a valid row, and everyone who is missing from it would be disabled.")
	case errors.Is(err, storage.ErrEditConflict):
		return New(Unavailable, "Other rows of this import are being edited right now. Try again shortly.").RetryAfter(time.Second)
	case errors.Is(err, storage.ErrWrongState):
		return New(WrongState, "Not allowed in the current state.")
	case errors.Is(err, storage.ErrTooMany):
		return New(WrongState, "This token already has %d webhooks, the maximum. Delete one first.", storage.MaxWebhooks)
	case errors.Is(err, storage.ErrPurged):
		return New(Purged, "The uploaded file and its values were deleted after the retention period. Counts and error codes are kept.")
	case errors.Is(err, report.ErrNotEnded):
		return New(NotEnded, "Not available yet: the import is still being processed.").RetryAfter(time.Second)
	case errors.Is(err, report.ErrTooManyRows):
		return New(WrongState, "More rows failed than a sheet of a workbook can have. Download errors.csv instead.")
	case errors.Is(err, storage.ErrKeyArriving):
		return New(KeyInUse, "The first request with this Idempotency-Key is still in progress.").RetryAfter(time.Second)
	case errors.Is(err, storage.ErrKeyReused):
		return New(KeyReused, "This Idempotency-Key was already used with a different file or options. Use a new key.")
	case errors.Is(err, storage.ErrUnavailable):
		return New(Unavailable, "The database is temporarily unavailable. Try again shortly.").RetryAfter(retryDatabase)
	case errors.Is(err, context.DeadlineExceeded):
		return New(Unavailable, "The request took too long. Try again shortly.").RetryAfter(retryDatabase)
	case errors.Is(err, context.Canceled):
		return New(ClientGone, "")
	}
	return New(Internal, "An unexpected error occurred and was logged. If it happens again, give your administrator the request_id.")
}
