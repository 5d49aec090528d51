package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
)

// await waits, from an import as it was read, for a later revision of which done
// is true, and returns the latest one seen when that has come, the wait is over
// or the server stops; an error only if the client left. Changes are told by the
// board, so waiting costs nothing in between.
func (a *API) await(ctx context.Context, i *roster.Import, wait time.Duration, done func(*roster.Import) bool) (*roster.Import, error) {
	s, leave := a.board.follow(i.ID)
	defer leave()
	over := time.NewTimer(wait)
	defer over.Stop()
	var due <-chan time.Time // once done, when to tell
	for {
		now, turned := s.look()
		if now != nil && now.Revision > i.Revision {
			i = now.Import
			if lag := s.lag(now); done(i) && lag == 0 {
				return i, nil
			} else if done(i) && (due == nil || atRest(i)) { // the end is told sooner than what was before it
				due = time.After(lag)
			}
		}
		select {
		case <-turned:
		case <-due:
			return i, nil
		case <-over.C:
			return i, nil
		case <-a.Stopping:
			return i, nil
		case <-ctx.Done():
			return i, ctx.Err()
		}
	}
}

// readImport reads an import, once for all who ask at the same time.
func (a *API) readImport(ctx context.Context, id uuid.UUID) (*roster.Import, error) {
	i, err := a.imports.get(ctx, id)
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
	enc.SetEscapeHTML(false) // nosniff and the media type see to that
	if err := enc.Encode(v); err != nil {
		panic(err) // a mistake in the program
	}
	return body.Bytes()
}

// atRest tells whether nothing happens to an import unless someone asks for it.
func atRest(i *roster.Import) bool { return !i.Status.Working() }
