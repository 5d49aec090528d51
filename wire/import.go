// Package wire is how things look as JSON, where more than one sender has to
// agree on it: the API answers with an import, and webhooks carry the same.
// api/openapi.yaml describes it.
package wire

import (
	"encoding/hex"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
)

// ImportsPath is where the API has imports.
const ImportsPath = "/api/admin/users/imports"

// Import is an import as it is sent, but for its errors.
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
	Failed      int64  `json:"failed"`
	Unprocessed *int64 `json:"unprocessed,omitempty"` // of a canceled import

	Warnings    []roster.Warning `json:"warnings"`
	Admins      int64            `json:"admins"`
	Invitations InvitationCounts `json:"invitations"`
	Failure     *roster.Failure  `json:"failure"`
	Undo        *Undo            `json:"undo"`

	CreatedBy  string     `json:"created_by"`
	CreatedAt  time.Time  `json:"created_at"`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Links      Links      `json:"links"`
}

// InvitationCounts are the invitations of an import by state.
type InvitationCounts struct {
	Held     int64 `json:"held"`
	Pending  int64 `json:"pending"`
	Sent     int64 `json:"sent"`
	Failed   int64 `json:"failed"`
	Accepted int64 `json:"accepted"`
}

// Undo is how far the undo of an import has come.
type Undo struct {
	AskedAt    time.Time  `json:"asked_at"`
	Removed    int64      `json:"removed"`
	Kept       int64      `json:"kept"`        // accepted or edited since
	FinishedAt *time.Time `json:"finished_at"` // nil: it goes on
}

// Links are absolute paths.
type Links struct {
	Self       string `json:"self"`
	Errors     string `json:"errors"`
	ErrorsCSV  string `json:"errors_csv"`
	ResultsCSV string `json:"results_csv"`
	File       string `json:"file"`
}

// LinksOf are the links of an import.
func LinksOf(id uuid.UUID) Links {
	self := ImportsPath + "/" + id.String()
	return Links{self, self + "/errors", self + "/errors.csv", self + "/results.csv", self + "/file"}
}

// ImportOf is an import as it is sent. Times are in UTC; Warnings is never nil.
func ImportOf(i *roster.Import) Import {
	v := Import{
		ID: i.ID, Status: i.Status, DryRun: i.Options.DryRun,
		Filename: i.Filename, SizeBytes: i.Size, SHA256: hex.EncodeToString(i.SHA256[:]),
		Total: i.Total, Checked: i.Checked, Valid: i.Valid, Processed: i.Processed,
		Imported: i.Imported, Updated: i.Updated, Failed: i.Counts.Failed,
		Warnings: i.Warnings, Admins: i.Admins, Invitations: InvitationCounts(i.Invitations), Failure: i.Failure,
		CreatedBy: i.CreatedBy.Label, CreatedAt: i.CreatedAt.UTC(), StartedAt: utc(i.StartedAt), FinishedAt: utc(i.FinishedAt),
		Links: LinksOf(i.ID),
	}
	if v.Warnings == nil {
		v.Warnings = []roster.Warning{}
	}
	if u := i.Undo; u != nil {
		v.Undo = &Undo{u.AskedAt.UTC(), u.Removed, u.Kept, utc(u.FinishedAt)}
	}
	if i.Status == roster.Canceled {
		n := i.Unprocessed()
		v.Unprocessed = &n
	}
	return v
}

// utc is a time in UTC; the database gives it in its own zone.
func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	in := t.UTC()
	return &in
}
