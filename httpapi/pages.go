package httpapi

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"rollcall/roster"
)

// page is an import with its first errors, as it is sent.
type page struct {
	revision int64
	rest     bool   // nothing happens to the import by itself
	tag      string // its ETag
	body     []byte
}

// maxPages bounds how many are kept, at some 50 kB each.
const maxPages = 64

// pages keep the last page of each import that is being worked on, which stands
// for as long as the import is at that revision: two thousand who ask in a second
// for one that has changed some twenty times get what was read and encoded twenty
// times. Of an import at rest nothing is kept: nobody hurries, and what is erased
// from it must not show.
type pages struct {
	read *shared[uuid.UUID, page]

	mu   sync.Mutex
	last map[uuid.UUID]page
}

func newPages(read func(context.Context, uuid.UUID) (page, error)) *pages {
	return &pages{read: newShared(read), last: map[uuid.UUID]page{}}
}

// of returns the page of an import, at the revision it was read at or a later one.
func (p *pages) of(ctx context.Context, i *roster.Import) (page, error) {
	if kept, ok := p.kept(i); ok {
		return kept, nil
	}
	now, err := p.read.get(ctx, i.ID)
	if err == nil && !now.rest {
		p.keep(i.ID, now)
	}
	return now, err
}

func (p *pages) kept(i *roster.Import) (kept page, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if atRest(i) {
		delete(p.last, i.ID)
		return page{}, false
	}
	kept, ok = p.last[i.ID]
	return kept, ok && kept.revision >= i.Revision
}

func (p *pages) keep(id uuid.UUID, now page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept, ok := p.last[id]
	if ok && kept.revision >= now.revision {
		return
	}
	for other := range p.last { // any of them: it is read again when it is asked for
		if ok || len(p.last) < maxPages {
			break
		}
		delete(p.last, other)
	}
	p.last[id] = now
}

// readPage reads and encodes an import.
func (a *API) readPage(ctx context.Context, id uuid.UUID) (page, error) {
	i, err := a.Store.Import(ctx, id)
	if err != nil {
		return page{}, err
	}
	view, err := a.viewWithErrors(ctx, i)
	if err != nil {
		return page{}, err
	}
	return page{view.revision, !view.Status.Working(), view.tag, encode(view)}, nil
}
