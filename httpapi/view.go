package httpapi

import (
	"context"
	"time"

	"rollcall/roster"
	"rollcall/wire"
)

// shownErrors is how many errors stand in an import itself.
const shownErrors = 100

// importView is an import as it is sent.
type importView struct {
	wire.Import

	// Errors and ErrorsTruncated are nil, and absent, in lists.
	Errors          *[]errorView `json:"errors,omitempty"`
	ErrorsTruncated *bool        `json:"errors_truncated,omitempty"`

	// Webhook is set in the answer whose request has made the webhook, and
	// absent in all others: no other answer holds its secret.
	Webhook *newWebhook `json:"webhook,omitempty"`

	of      *roster.Import // the import as it is shown
	settled bool           // Errors are of the same revision
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
	return importView{Import: wire.ImportOf(i), of: i}
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
			v := viewWith(i, refusals)
			v.settled = true
			return v, nil
		}
		i = now
	}
	refusals, err := a.Store.Refusals(ctx, i.ID, 0, shownErrors+1)
	return viewWith(i, refusals), err
}

// viewWith is an import with the first of these errors.
func viewWith(i *roster.Import, refusals []roster.Refusal) importView {
	// Never more than are counted: a batch may have come in between.
	return viewOf(i).with(viewErrors(i, refusals[:min(int64(len(refusals)), shownErrors, i.Counts.Failed)]))
}

// with adds the first errors to what is shown.
func (v importView) with(errors []errorView) importView {
	v.Errors, v.ErrorsTruncated = &errors, pointer(int64(len(errors)) < v.of.Counts.Failed)
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
