package httpapi

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
)

// shownErrors is how many errors stand in an import itself.
const shownErrors = 100

// importView is an import as it is sent.
type importView struct {
	ID        uuid.UUID     `json:"id"`
	Status    roster.Status `json:"status"`
	DryRun    bool          `json:"dry_run"`
	Filename  string        `json:"filename"`
	SizeBytes int64         `json:"size_bytes"`
	SHA256    string        `json:"sha256"`

	Total       *int64 `json:"total"`
	Checked     int64  `json:"checked"`
	Valid       int64  `json:"valid"`
	Processed   int64  `json:"processed"`
	Imported    int64  `json:"imported"`
	Updated     int64  `json:"updated"`
	Failed      int64  `json:"failed"`
	Unprocessed *int64 `json:"unprocessed,omitempty"` // of a canceled import

	// Errors and ErrorsTruncated are nil, and absent, in lists.
	Errors          *[]errorView `json:"errors,omitempty"`
	ErrorsTruncated *bool        `json:"errors_truncated,omitempty"`

	Warnings    []roster.Warning `json:"warnings"`
	Admins      int64            `json:"admins"`
	Invitations invitationCounts `json:"invitations"`
	Failure     *roster.Failure  `json:"failure"`

	CreatedBy  string     `json:"created_by"`
	CreatedAt  time.Time  `json:"created_at"`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Links      links      `json:"links"`

	tag string // the ETag of this body
}

type invitationCounts struct {
	Held     int64 `json:"held"`
	Pending  int64 `json:"pending"`
	Sent     int64 `json:"sent"`
	Failed   int64 `json:"failed"`
	Accepted int64 `json:"accepted"`
}

// links are absolute paths.
type links struct {
	Self       string `json:"self"`
	Errors     string `json:"errors"`
	ErrorsCSV  string `json:"errors_csv"`
	ResultsCSV string `json:"results_csv"`
	File       string `json:"file"`
}

func linksOf(id uuid.UUID) links {
	self := prefix + "/users/imports/" + id.String()
	return links{self, self + "/errors", self + "/errors.csv", self + "/results.csv", self + "/file"}
}

// errorView is a refused row. Email and Value are null once retention has taken
// them.
type errorView struct {
	Row     int64          `json:"row"`
	Line    int64          `json:"line"`
	Email   *string        `json:"email"`
	Reason  roster.Code    `json:"reason"`
	Field   *roster.Column `json:"field"` // null: the row as a whole
	Value   *string        `json:"value"`
	Message string         `json:"message"`
	Fix     string         `json:"fix"`
	Also    []alsoView     `json:"also"`
}

// alsoView is a further problem of the same row.
type alsoView struct {
	Field   *roster.Column `json:"field"`
	Reason  roster.Code    `json:"reason"`
	Message string         `json:"message"`
}

// viewOf is an import without its errors.
func viewOf(i *roster.Import) importView {
	v := importView{
		ID: i.ID, Status: i.Status, DryRun: i.Options.DryRun,
		Filename: i.Filename, SizeBytes: i.Size, SHA256: hex.EncodeToString(i.SHA256[:]),
		Total: i.Total, Checked: i.Checked, Valid: i.Valid, Processed: i.Processed,
		Imported: i.Imported, Updated: i.Updated, Failed: i.Counts.Failed,
		Warnings: i.Warnings, Admins: i.Admins, Invitations: invitationCounts(i.Invitations), Failure: i.Failure,
		CreatedBy: i.CreatedBy.Label, CreatedAt: i.CreatedAt.UTC(), StartedAt: utc(i.StartedAt), FinishedAt: utc(i.FinishedAt),
		Links: linksOf(i.ID), tag: etag(i),
	}
	if v.Warnings == nil {
		v.Warnings = []roster.Warning{}
	}
	if i.Status == roster.Canceled {
		v.Unprocessed = pointer(i.Unprocessed())
	}
	return v
}

// settling bounds how often an import is read again because it moved while its
// errors were read.
const settling = 3

// viewWithErrors is an import with its first errors. Both are of the same
// revision wherever the import stands still long enough, so that an ETag stands
// for one body.
func (a *API) viewWithErrors(ctx context.Context, i *roster.Import) (importView, error) {
	ctx, cancel := context.WithTimeout(ctx, ordinary)
	defer cancel()
	for range settling {
		refusals, err := a.Store.Refusals(ctx, i.ID, 0, shownErrors+1)
		if err != nil {
			return importView{}, err
		}
		now := i
		if len(refusals) > 0 || i.Counts.Failed > 0 {
			if now, err = a.Store.Import(ctx, i.ID); err != nil {
				return importView{}, err
			}
		}
		if now.Revision == i.Revision {
			return viewWith(i, refusals), nil
		}
		i = now
	}
	refusals, err := a.Store.Refusals(ctx, i.ID, 0, shownErrors+1)
	return viewWith(i, refusals), err
}

// viewWith is an import with the first of these errors.
func viewWith(i *roster.Import, refusals []roster.Refusal) importView {
	v := viewOf(i)
	// Never more than are counted: a batch may have come in between.
	shown := refusals[:min(int64(len(refusals)), shownErrors, i.Counts.Failed)]
	errors := viewErrors(i, shown)
	v.Errors, v.ErrorsTruncated = &errors, pointer(int64(len(shown)) < i.Counts.Failed)
	return v
}

func viewErrors(i *roster.Import, refusals []roster.Refusal) []errorView {
	views := make([]errorView, len(refusals))
	for k, r := range refusals {
		p := r.Problems[0]
		views[k] = errorView{
			Row: r.Row, Line: r.Line, Reason: p.Code, Field: fieldOf(p), Message: p.Message, Fix: p.Code.RowFix(),
			Also: make([]alsoView, len(r.Problems)-1),
		}
		if !i.Purged() {
			views[k].Email, views[k].Value = pointer(r.Email), pointer(p.Value)
		}
		for n, also := range r.Problems[1:] {
			views[k].Also[n] = alsoView{fieldOf(also), also.Code, also.Message}
		}
	}
	return views
}

func fieldOf(p roster.Problem) *roster.Column {
	if p.Field == "" {
		return nil
	}
	return &p.Field
}

// utc is a time in UTC; the database gives it in its own zone.
func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return pointer(t.UTC())
}

func pointer[T any](v T) *T { return &v }
