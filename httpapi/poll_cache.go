package httpapi

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"rollcall/apitypes"
	"rollcall/roster"
)

// maxCachedImports bounds the memory of a pollCache, at up to some 100 kB each.
const maxCachedImports = 64

// cachedImport is an import with its first errors in the JSON form of one
// revision. It is shared by all requests for it and must not be changed.
type cachedImport struct {
	*roster.Import
	view apitypes.Import
	body []byte // view, encoded
}

// pollCache keeps the latest body of each import that is polled. A body never
// goes stale: id and revision identify it, and a poll reads the revision first.
// The zero value is an empty cache.
type pollCache struct {
	mu      sync.Mutex
	imports map[uuid.UUID]cachedImport
}

func (p *pollCache) get(id uuid.UUID) (kept cachedImport, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept, ok = p.imports[id]
	return kept, ok
}

// put stores an import unless a later revision is already stored.
func (p *pollCache) put(now cachedImport) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.imports == nil {
		p.imports = map[uuid.UUID]cachedImport{}
	}
	if kept, ok := p.imports[now.ID]; ok && kept.Revision >= now.Revision {
		return
	}
	if len(p.imports) >= maxCachedImports {
		for other := range p.imports { // drop any of them: it is read again when needed
			delete(p.imports, other)
			break
		}
	}
	p.imports[now.ID] = now
}

// loadCached returns the JSON form of an import that was just read, at this
// revision or a later one.
func (a *API) loadCached(ctx context.Context, i *roster.Import) (cachedImport, error) {
	kept, ok := a.cached.get(i.ID)
	if ok && kept.Revision >= i.Revision {
		return kept, nil
	}
	if ok && sameErrors(kept, i) {
		view := apitypes.ImportOf(i)
		view.Errors, view.ErrorsTruncated = kept.view.Errors, pointer(int64(len(kept.view.Errors)) < i.Counts.Failed)
		now := cachedImport{i, view, encode(view)}
		a.cached.put(now)
		return now, nil
	}
	return coalesce(ctx, &a.reads, "body "+i.ID.String(), func(ctx context.Context) (cachedImport, error) {
		i, view, err := a.importWithErrors(ctx, i.ID)
		if err != nil {
			return cachedImport{}, err
		}
		now := cachedImport{i, view, encode(view)}
		a.cached.put(now)
		return now, nil
	})
}

// sameErrors reports whether the first errors of an import are those of an
// earlier revision. While an import is in progress none is removed, and the
// check finds them in the order of the file.
func sameErrors(kept cachedImport, i *roster.Import) bool {
	return !atRest(kept.Import) && !atRest(i) && (kept.Counts.Failed == i.Counts.Failed || i.Status == roster.Checking && len(kept.view.Errors) == shownErrors)
}
