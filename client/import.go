package client

import (
	"encoding/json"
	"time"
)

// Import is one file on its way to becoming users, as the API tells it.
type Import struct {
	ID        string `json:"id"` // a UUID
	Status    Status `json:"status"`
	DryRun    bool   `json:"dry_run"`
	Filename  string `json:"filename"`
	SizeBytes int64  `json:"size_bytes"`

	Total       *int64 `json:"total"` // rows; nil until the file has been read once
	Checked     int64  `json:"checked"`
	Valid       int64  `json:"valid"`
	Processed   int64  `json:"processed"`
	Imported    int64  `json:"imported"`
	Updated     int64  `json:"updated"`
	Failed      int64  `json:"failed"`
	Unprocessed int64  `json:"unprocessed"` // of a canceled import
	Admins      int64  `json:"admins"`      // valid rows that ask for the role admin

	Errors          []RowError `json:"errors"` // the first 100
	ErrorsTruncated bool       `json:"errors_truncated"`
	Warnings        []Warning  `json:"warnings"`
	Failure         *Failure   `json:"failure"` // set exactly when Status is Failed
	Undo            *Undo      `json:"undo"`    // nil: none was asked for

	Invitations Invitations `json:"invitations"`

	CreatedAt  time.Time  `json:"created_at"`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`

	// Raw is the answer this was read from, with whatever a newer server says.
	Raw json.RawMessage `json:"-"`

	etag string // the revision, for If-None-Match; "" if none was given
}

// Status is where an import stands.
type Status string

// The states of an import.
const (
	Queued    Status = "queued"
	Checking  Status = "checking"
	Ready     Status = "ready" // a dry run's end
	Importing Status = "importing"
	Completed Status = "completed"
	Canceled  Status = "canceled"
	Failed    Status = "failed"
)

// Settled reports whether the import will not change by itself any more, but
// for its invitations. A state this client does not know is not settled.
func (s Status) Settled() bool {
	return s == Ready || s == Completed || s == Canceled || s == Failed
}

// RowError is a row that was refused: the first problem found, and the further
// ones.
type RowError struct {
	Row     int64  `json:"row"`  // as a spreadsheet numbers it
	Line    int64  `json:"line"` // as a text editor does
	Email   string `json:"email"`
	Reason  string `json:"reason"` // a code
	Field   string `json:"field"`
	Value   string `json:"value"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
	Also    []struct {
		Field   string `json:"field"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
	} `json:"also"`
}

// Warning is something to know although no row was refused for it.
type Warning struct {
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Columns []string `json:"columns"`
	// Encoding, of rows in another one, is what to upload the file with.
	Encoding string `json:"encoding"`
}

// Failure is why a file as a whole could not be used.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
}

// Undo is how far the undo of an import has come.
type Undo struct {
	AskedAt    time.Time  `json:"asked_at"`
	Removed    int64      `json:"removed"`
	Kept       int64      `json:"kept"`
	FinishedAt *time.Time `json:"finished_at"` // nil: it goes on
}

// Invitations say how many of an import's invitations are where.
type Invitations struct {
	Held     int64 `json:"held"`
	Pending  int64 `json:"pending"`
	Sent     int64 `json:"sent"`
	Failed   int64 `json:"failed"`
	Accepted int64 `json:"accepted"`
}
