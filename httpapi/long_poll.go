package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"rollcall/internal/broadcast"
	"rollcall/roster"
)

// await waits for a revision of an import, later than the given one, for which
// done is true. If the wait ends or the server stops first, it returns the
// import it was given. It returns an error only if the client left.
func (a *API) await(ctx context.Context, i *roster.Import, wait time.Duration, done func(*roster.Import) bool) (*roster.Import, error) {
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	now, err := a.Broadcaster.Await(waiting, i.ID, i.Revision, done)
	if err != nil {
		return i, ctx.Err()
	}
	return now, nil
}

// readImport reads an import, once for all simultaneous requests. The caller
// may change the result.
func (a *API) readImport(ctx context.Context, id uuid.UUID) (*roster.Import, error) {
	i, err := coalesce(ctx, &a.reads, "import "+id.String(), func(ctx context.Context) (*roster.Import, error) {
		return a.Store.Import(ctx, id)
	})
	if err != nil {
		return nil, err
	}
	own := *i
	return &own, nil
}

// encode writes JSON of our own types.
func encode(v any) []byte {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // nosniff and the media type make escaping unnecessary
	if err := enc.Encode(v); err != nil {
		panic(err) // a bug
	}
	return body.Bytes()
}

// atRest reports whether an import no longer changes without a request.
func atRest(i *roster.Import) bool { return broadcast.AtRest(i) }
