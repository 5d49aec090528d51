package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
)

// await reads an import until done says so, the wait is over, the client leaves
// or the server stops, and returns it as it is then. Changes are told by the
// Watcher, so waiting costs nothing in between. The first read counts before
// any waiting; the error is that of a read.
func (a *API) await(ctx context.Context, id uuid.UUID, wait time.Duration, done func(*roster.Import) bool) (*roster.Import, error) {
	changed, stop := a.Watcher.Watch(id) // first, so that no change slips between
	defer stop()
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		i, err := a.readImport(ctx, id)
		if err != nil || done(i) {
			return i, err
		}
		select {
		case <-changed:
		case <-over.C:
			return i, nil
		case <-a.Stopping:
			return i, nil
		case <-ctx.Done():
			return i, ctx.Err()
		}
	}
}

// readImport is one step of a wait. Thousands may wait for the same import: a
// change of it is read once for all of them.
func (a *API) readImport(ctx context.Context, id uuid.UUID) (*roster.Import, error) {
	i, err := a.imports.get(ctx, id)
	if err != nil {
		return nil, err
	}
	own := *i
	return &own, nil
}

// readView is an import with its first errors, read once for all who ask.
func (a *API) readView(ctx context.Context, id uuid.UUID) (importView, error) {
	i, err := a.Store.Import(ctx, id)
	if err != nil {
		return importView{}, err
	}
	return a.viewWithErrors(ctx, i)
}

// atRest tells whether nothing happens to an import unless someone asks for it.
func atRest(i *roster.Import) bool { return !i.Status.Working() }
