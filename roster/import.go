package roster

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// Status is where an import stands. docs/state-machine.md draws the moves.
type Status string

// The states of an import, in the order in which an ordinary one meets them.
const (
	Queued    Status = "queued"    // received and committed, no worker has begun
	Checking  Status = "checking"  // every row is being read and judged; nothing is written to users
	Ready     Status = "ready"     // a dry run's end: checked, waiting to be confirmed
	Importing Status = "importing" // batches of rows are being committed
	Completed Status = "completed" // every row is either in or reported
	Canceled  Status = "canceled"  // stopped on request; rows already in stay in
	Failed    Status = "failed"    // the file as a whole could not be used; nothing was written
)

var statuses = []Status{Queued, Checking, Ready, Importing, Completed, Canceled, Failed}

// Statuses lists every state.
func Statuses() []Status { return slices.Clone(statuses) }

// ParseStatus finds the state named s.
func ParseStatus(s string) (Status, bool) {
	st := Status(s)
	return st, slices.Contains(statuses, st)
}

// Ended reports whether the import will never change by itself or on request
// again, but for its invitations.
func (s Status) Ended() bool { return s == Completed || s == Canceled || s == Failed }

// Working reports whether a worker has, or should soon have, this import in hand.
func (s Status) Working() bool { return s == Queued || s == Checking || s == Importing }

// OnDuplicate says what an import does with an address that already has a user.
type OnDuplicate string

// The two ways to treat an address that is already there.
const (
	SkipDuplicates   OnDuplicate = "skip"   // refuse the row with duplicate_email
	UpdateDuplicates OnDuplicate = "update" // set name, department and role of the user
)

// ParseOnDuplicate reads the request's word; blank means skip.
func ParseOnDuplicate(s string) (OnDuplicate, bool) {
	switch OnDuplicate(s) {
	case "", SkipDuplicates:
		return SkipDuplicates, true
	case UpdateDuplicates:
		return UpdateDuplicates, true
	}
	return "", false
}

// Options are the wishes that came with a file. Together with its bytes they
// decide the outcome, so both count for an Idempotency-Key.
type Options struct {
	DryRun          bool
	OnDuplicate     OnDuplicate
	SendInvitations bool
	Encoding        string            // a WHATWG name, "auto", or "" for UTF-8
	Delimiter       string            // one of , ; tab | or "" to find it
	Mapping         map[string]string // our column -> header in the file; nil: by name
	WebhookURL      string            // "" for none
}

// Counts are an import's numbers. None of them ever goes back.
type Counts struct {
	Total     *int64 // rows in the file; nil until it has been read once
	Checked   int64
	Valid     int64
	Processed int64
	Imported  int64
	Updated   int64
	Failed    int64
	Admins    int64 // valid rows that ask for the role admin
}

// Unprocessed is how many rows a canceled import left untouched; 0 while the
// total is unknown.
func (c Counts) Unprocessed() int64 {
	if c.Total == nil {
		return 0
	}
	return max(0, *c.Total-c.Imported-c.Updated-c.Failed)
}

// InvitationCounts say how the invitations of one import fare.
type InvitationCounts struct {
	Held, Pending, Sent, Failed, Accepted int64
}

// Failure is why an import as a whole ended Failed.
type Failure struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
	// Mapping, of a missing column, is what the mapping of the next upload
	// would be if the likeliest headers are meant; nil if none is likely.
	Mapping map[Column]string `json:"mapping,omitempty"`
}

// Warning is something the person who uploaded the file should know although
// no row was refused for it.
type Warning struct {
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Columns []string `json:"columns,omitempty"`
	Rows    int64    `json:"rows,omitempty"` // how many rows it concerns
	// Encoding, of rows in another one, is what to read the file as.
	Encoding string `json:"encoding,omitempty"`
	// Mapping, of unknown columns, proposes those that may hold a column of
	// ours which the file does not have by name; nil if none is likely.
	Mapping map[Column]string `json:"mapping,omitempty"`
}

// Warning codes.
const (
	WarnUnknownColumns = "unknown_columns"
	WarnLikelyEncoding = "likely_encoding" // rows are not UTF-8, another encoding probably reads all
	WarnMixedEncodings = "mixed_encodings" // rows are not UTF-8, the rest is
	WarnRolesKept      = "roles_kept"
)

// Undo is how far the undo of an import has come.
type Undo struct {
	AskedAt    time.Time
	Removed    int64      // users that are gone
	Kept       int64      // users who had accepted or been edited by then, and stay
	FinishedAt *time.Time // nil: it goes on
}

// Import is one file of people on its way to becoming users.
type Import struct {
	ID       uuid.UUID
	Status   Status
	Options  Options
	Filename string
	Size     int64 // bytes
	SHA256   [32]byte
	Counts
	Invitations InvitationCounts
	Warnings    []Warning
	Failure     *Failure // set exactly when Status is Failed
	CreatedBy   Actor
	CreatedAt   time.Time
	StartedAt   *time.Time
	FinishedAt  *time.Time
	PurgedAt    *time.Time // the upload and the row values are gone since
	Undo        *Undo      // nil: none was asked for
	Revision    int64      // rises with every visible change
}

// Purged reports whether retention has taken the uploaded bytes and values.
func (i *Import) Purged() bool { return i.PurgedAt != nil }

// ActorKind tells what sort of caller did something.
type ActorKind string

// The kinds of callers.
const (
	ActorUser   ActorKind = "user"   // a signed-in administrator
	ActorToken  ActorKind = "token"  // an API token
	ActorConfig ActorKind = "config" // the token from the environment
	ActorSystem ActorKind = "system" // upkeep, command line
)

// Actor is who did something. ID is the user's or the token's, and the zero
// UUID for the others; Label is what people read.
type Actor struct {
	Kind  ActorKind
	ID    uuid.UUID
	Label string
}

// Key names the actor for comparison and idempotency: "token:<id>".
func (a Actor) Key() string { return string(a.Kind) + ":" + a.ID.String() }
