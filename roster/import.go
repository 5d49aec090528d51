package roster

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// Status is the state of an import. docs/state-machine.md shows the
// transitions.
type Status string

// The states of an import, in their usual order.
const (
	Queued    Status = "queued"    // received and committed, no worker has started
	Checking  Status = "checking"  // every row is being read and validated; nothing is written to users
	Ready     Status = "ready"     // a dry run's end: checked, waiting to be confirmed
	Held      Status = "held"      // checked, and over the safety limit of a full roster: waits for approval
	Importing Status = "importing" // batches of rows are being committed
	Completed Status = "completed" // every row is either in or reported
	Canceled  Status = "canceled"  // stopped on request; imported rows are kept
	Failed    Status = "failed"    // the file as a whole could not be used; nothing was written
)

var statuses = []Status{Queued, Checking, Ready, Held, Importing, Completed, Canceled, Failed}

// Statuses lists every state.
func Statuses() []Status { return slices.Clone(statuses) }

// ParseStatus finds the state named s.
func ParseStatus(s string) (Status, bool) {
	st := Status(s)
	return st, slices.Contains(statuses, st)
}

// Ended reports whether the import is final: only its invitations can still
// change.
func (s Status) Ended() bool { return s == Completed || s == Canceled || s == Failed }

// Working reports whether a worker runs this import, or should soon.
func (s Status) Working() bool { return s == Queued || s == Checking || s == Importing }

// OnDuplicate says what an import does with a row whose address has a user.
type OnDuplicate string

// The two ways to treat an existing address.
const (
	SkipDuplicates   OnDuplicate = "skip"   // fail the row with duplicate_email
	UpdateDuplicates OnDuplicate = "update" // set name, department and role of the user
)

// ParseOnDuplicate parses the option's value; blank means skip.
func ParseOnDuplicate(s string) (OnDuplicate, bool) {
	switch OnDuplicate(s) {
	case "", SkipDuplicates:
		return SkipDuplicates, true
	case UpdateDuplicates:
		return UpdateDuplicates, true
	}
	return "", false
}

// Options are the options sent with a file. The outcome depends on them as much
// as on the file's bytes, so an Idempotency-Key covers both.
type Options struct {
	DryRun          bool
	OnDuplicate     OnDuplicate
	SendInvitations bool
	Encoding        string            // a WHATWG name, "auto", or "" for UTF-8
	Delimiter       string            // one of , ; tab | or "" to detect it
	Mapping         map[string]string // our column -> header in the file, or [Headers]; nil: by name
	WebhookURL      string            // "" for none
	Blank           Blank             `json:",omitempty"` // "" is BlankKeep
	// Source is the system whose keys the file has; "" is DefaultSource.
	Source string `json:",omitempty"`
	// Missing is MissingDisable for a full roster; "" is MissingKeep.
	Missing Missing `json:",omitempty"`
	// MaxDisable is the safety limit of a full roster; "": the installation's.
	MaxDisable string `json:",omitempty"`
	// ValueMap says what values of the file mean; nil: themselves.
	ValueMap ValueMap `json:",omitempty"`
	// Profile is the import profile that the mapping is from; "" for none.
	Profile string `json:",omitempty"`
	// Attributes are the attributes that are declared when the file is uploaded:
	// columns of it may hold them. They are no option, so an Idempotency-Key does
	// not cover them.
	Attributes []string `json:"-"`
	// Sheet is the sheet of a workbook; "": the first visible one with cells.
	Sheet string `json:",omitempty"`
	// Notify are the addresses that are told when the import ends, as compared, at
	// most [MaxNotify]. They are forgotten then. None: those of the token.
	Notify []string `json:",omitempty"`
	// HeaderRow is the row with the names of the columns; 0: the first that isn't
	// blank.
	HeaderRow int64 `json:",omitempty"`
}

// MaxHeaderRow is the largest [Options.HeaderRow].
const MaxHeaderRow = 1000

// MaxSheetName is how long [Options.Sheet] may be, in bytes. Excel allows 31
// characters.
const MaxSheetName = 1000

// Workbook is what was found in a file that is a workbook.
type Workbook struct {
	Sheet      string  `json:"sheet,omitempty"` // the one that is read; "" if none can be
	Sheets     []Sheet `json:"sheets"`
	HiddenRows int64   `json:"hidden_rows"` // of the sheet that is read
	// Converted: the rows of the sheet are stored, and are what is imported.
	Converted bool `json:"-"`
}

// Sheet is a sheet of a workbook.
type Sheet struct {
	Name   string `json:"name"`
	Hidden bool   `json:"hidden"`
}

// Columns are the columns that the file may have.
func (o Options) Columns() []Column { return ColumnsWith(o.Attributes) }

// DefaultSource is the source of imports that name none.
const DefaultSource = "default"

// ValidSource reports whether s may name a source: 1 to 64 letters, digits, dots,
// underscores and hyphens, the first a letter or digit.
func ValidSource(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 64
}

// MaxRoleValues is how many different values of the role column a check notes.
const MaxRoleValues = 50

// ValidProfileName reports whether s may name an import profile. The rule is that
// of sources.
func ValidProfileName(s string) bool { return ValidSource(s) }

// Counts are an import's numbers. None of them ever decreases, but for those that edits
// of rows change.
type Counts struct {
	Total     *int64 // rows in the file; nil until it has been read once
	Checked   int64
	Valid     int64
	Processed int64
	Imported  int64
	Updated   int64 // rows that changed a user
	Unchanged int64 // rows whose user was right already
	Disabled  int64 // users who were missing from a full roster
	Failed    int64
	Admins    int64 // valid rows that ask for the role admin
}

// Unprocessed returns how many rows a canceled import did not process; 0 while
// the total is unknown.
func (c Counts) Unprocessed() int64 {
	if c.Total == nil {
		return 0
	}
	return max(0, *c.Total-c.Imported-c.Updated-c.Unchanged-c.Failed)
}

// InvitationCounts are the numbers of one import's invitations by state.
type InvitationCounts struct {
	Held, Pending, Sent, Failed, Bounced, Accepted int64
	Reminders                                      int64 // mailed so far; not a state
}

// Failure is why an import as a whole ended Failed.
type Failure struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
	// Mapping, for missing columns, is a proposed mapping for the next upload,
	// from the likeliest headers; nil unless there is one for every missing
	// column.
	Mapping map[Column]Headers `json:"mapping,omitempty"`
	// Encoding, Delimiter and HeaderRow are settings with which the next upload
	// would probably succeed; "" and 0 if they are not the problem. HeaderRow
	// is the row that seems to have the column names.
	Encoding  string `json:"encoding,omitempty"`
	Delimiter string `json:"delimiter,omitempty"`
	HeaderRow int64  `json:"header_row,omitempty"`
}

// Undo is the progress of undoing an import.
type Undo struct {
	AskedAt    time.Time
	Removed    int64      // users that are gone
	Kept       int64      // users who had accepted or been edited by then, and stay
	Restored   int64      // users who have their former values back
	FinishedAt *time.Time // nil: it goes on
}

// Import is one file of people who are to become users.
type Import struct {
	ID       uuid.UUID
	Status   Status
	Options  Options
	Filename string
	Size     int64 // bytes
	SHA256   [32]byte
	Counts
	Plan Plan
	// DepartmentsCleared is how many users the import would leave without their
	// department because of a blank cell, as found by its check.
	DepartmentsCleared int64
	// DisableLimit is the safety limit of a full roster in users, once it is
	// checked; nil for any other import.
	DisableLimit *int64
	Invitations  InvitationCounts
	Warnings     []Warning
	// RoleValues are the values of the file's role column, as they are first met,
	// at most [MaxRoleValues] and one more; they are deleted with the file.
	RoleValues   []string
	Workbook     *Workbook // nil: the file is no workbook, or was not opened yet
	Failure      *Failure  // set exactly when Status is Failed
	CreatedBy    Actor
	CreatedAt    time.Time
	StartedAt    *time.Time
	FinishedAt   *time.Time
	PurgedAt     *time.Time // the upload and the row values are gone since
	FileErasedAt *time.Time // the upload is gone since, because a person in it was erased
	Undo         *Undo      // nil: none was asked for
	Revision     int64      // rises with every visible change
}

// IsSheet reports whether the rows are those of a workbook's sheet.
func (i *Import) IsSheet() bool { return i.Workbook != nil && i.Workbook.Converted }

// Purged reports whether retention has deleted the uploaded bytes and values.
func (i *Import) Purged() bool { return i.PurgedAt != nil }

// ActorKind is the kind of a caller.
type ActorKind string

// The kinds of callers.
const (
	ActorUser   ActorKind = "user"   // a signed-in administrator
	ActorToken  ActorKind = "token"  // an API token
	ActorConfig ActorKind = "config" // the token from the environment
	ActorSystem ActorKind = "system" // maintenance, command line
)

// Actor is the caller that did something. ID is the user's or the token's, and
// the zero UUID for the others; Label is for display.
type Actor struct {
	Kind  ActorKind
	ID    uuid.UUID
	Label string
}

// Key identifies the actor for comparison and idempotency: "token:<id>".
func (a Actor) Key() string { return string(a.Kind) + ":" + a.ID.String() }

// Is reports whether the actor is this user.
func (a Actor) Is(user uuid.UUID) bool { return a.Kind == ActorUser && a.ID == user }
