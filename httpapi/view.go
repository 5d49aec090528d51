package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall/apitypes"
	"rollcall/roster"
)

// shownErrors is how many row errors are part of an import.
const shownErrors = 100

// importWithErrors reads an import with its first errors, both at one revision,
// so that an ETag identifies one body.
func (a *API) importWithErrors(ctx context.Context, id uuid.UUID) (*roster.Import, apitypes.Import, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	i, refusals, err := a.Store.ImportWithRowErrors(ctx, id, shownErrors)
	if err != nil {
		return nil, apitypes.Import{}, err
	}
	v := apitypes.ImportOf(i)
	v.Errors, v.ErrorsTruncated = apitypes.RowErrorsOf(i, refusals), pointer(int64(len(refusals)) < v.Failed)
	return i, v, nil
}

// utc converts a time to UTC; the database returns it in its own zone.
func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return pointer(t.UTC())
}

func pointer[T any](v T) *T { return &v }
