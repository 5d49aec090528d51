// Package apitypes defines the JSON form of imports, shared by the HTTP API and
// webhooks and documented in api/openapi.yaml.
package apitypes

import (
	"cmp"
	"encoding/hex"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
)

// ImportsPath is the path of imports in the API.
const ImportsPath = "/api/admin/users/imports"

// Import is the JSON form of an import.
type Import struct {
	ID        uuid.UUID     `json:"id"`
	Status    roster.Status `json:"status"`
	DryRun    bool          `json:"dry_run"`
	Filename  string        `json:"filename"`
	SizeBytes int64         `json:"size_bytes"`
	SHA256    string        `json:"sha256"` // in hex

	Total       *int64 `json:"total"`
	Checked     int64  `json:"checked"`
	Valid       int64  `json:"valid"`
	Processed   int64  `json:"processed"`
	Imported    int64  `json:"imported"`
	Updated     int64  `json:"updated"`
	Unchanged   int64  `json:"unchanged"`
	Disabled    int64  `json:"disabled"`
	Failed      int64  `json:"failed"`
	Unprocessed *int64 `json:"unprocessed,omitempty"` // of a canceled import

	Warnings []roster.Warning `json:"warnings"`
	Admins   int64            `json:"admins"`
	Source   string           `json:"source"`
	// DisableLimit is how many users a full roster disables without approval; nil
	// for any other import.
	DisableLimit *int64           `json:"disable_limit"`
	Plan         Plan             `json:"plan"`
	Invitations  InvitationCounts `json:"invitations"`
	Workbook     *roster.Workbook `json:"workbook"` // nil: the file is no workbook, or was not opened yet
	Failure      *roster.Failure  `json:"failure"`
	Undo         *Undo            `json:"undo"`

	CreatedBy  string     `json:"created_by"`
	CreatedAt  time.Time  `json:"created_at"`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Links      Links      `json:"links"`

	// Errors are the first 100 row errors. They and ErrorsTruncated are nil, and
	// absent, in lists, events and webhooks.
	Errors          []RowError `json:"errors,omitzero"`
	ErrorsTruncated *bool      `json:"errors_truncated,omitempty"`

	// Webhook is set only in the response to the request that created the
	// webhook: no other response contains its secret.
	Webhook *CreatedWebhook `json:"webhook,omitempty"`
}

// CreatedWebhook is the webhook that a request for an import created.
type CreatedWebhook struct {
	ID     uuid.UUID `json:"id"`
	Secret string    `json:"secret"`
}

// Plan is what an import will do, as found by its check.
type Plan struct {
	Create       int64 `json:"create"`
	Update       int64 `json:"update"`
	Unchanged    int64 `json:"unchanged"`
	Disable      int64 `json:"disable"`
	AdminsGained int64 `json:"admins_gained"`
	AdminsLost   int64 `json:"admins_lost"`
}

// InvitationCounts are the invitations of an import by state.
type InvitationCounts struct {
	Held      int64 `json:"held"`
	Pending   int64 `json:"pending"`
	Sent      int64 `json:"sent"`
	Failed    int64 `json:"failed"`
	Bounced   int64 `json:"bounced"`
	Accepted  int64 `json:"accepted"`
	Reminders int64 `json:"reminders"` // mailed so far; not a state
}

// Undo is the progress of undoing an import.
type Undo struct {
	AskedAt    time.Time  `json:"asked_at"`
	Removed    int64      `json:"removed"`
	Kept       int64      `json:"kept"`        // accepted or edited since
	Restored   int64      `json:"restored"`    // given their former values
	FinishedAt *time.Time `json:"finished_at"` // nil: it goes on
}

// Links are absolute paths.
type Links struct {
	Self       string `json:"self"`
	Errors     string `json:"errors"`
	ErrorsCSV  string `json:"errors_csv"`
	ErrorsXLSX string `json:"errors_xlsx"`
	ResultsCSV string `json:"results_csv"`
	File       string `json:"file"`
}

// LinksOf returns the links of an import.
func LinksOf(id uuid.UUID) Links {
	self := ImportsPath + "/" + id.String()
	return Links{self, self + "/errors", self + "/errors.csv", self + "/errors.xlsx", self + "/results.csv", self + "/file"}
}

// ImportOf returns the JSON form of an import, without its errors. Times are in
// UTC; Warnings is never nil.
func ImportOf(i *roster.Import) Import {
	v := Import{
		ID: i.ID, Status: i.Status, DryRun: i.Options.DryRun,
		Filename: i.Filename, SizeBytes: i.Size, SHA256: hex.EncodeToString(i.SHA256[:]),
		Total: i.Total, Checked: i.Checked, Valid: i.Valid, Processed: i.Processed,
		Imported: i.Imported, Updated: i.Updated, Unchanged: i.Unchanged, Disabled: i.Disabled, Failed: i.Counts.Failed,
		Warnings: i.Warnings, Admins: i.Admins, Source: cmp.Or(i.Options.Source, roster.DefaultSource), Plan: Plan(i.Plan), DisableLimit: i.DisableLimit, Invitations: InvitationCounts(i.Invitations), Workbook: i.Workbook, Failure: i.Failure,
		CreatedBy: i.CreatedBy.Label, CreatedAt: i.CreatedAt.UTC(), StartedAt: utc(i.StartedAt), FinishedAt: utc(i.FinishedAt),
		Links: LinksOf(i.ID),
	}
	if v.Warnings == nil {
		v.Warnings = []roster.Warning{}
	}
	if u := i.Undo; u != nil {
		v.Undo = &Undo{u.AskedAt.UTC(), u.Removed, u.Kept, u.Restored, utc(u.FinishedAt)}
	}
	if i.Status == roster.Canceled {
		n := i.Unprocessed()
		v.Unprocessed = &n
	}
	return v
}

// utc converts a time to UTC; the database returns it in its own zone.
func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	in := t.UTC()
	return &in
}
