package httpapi

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
)

// page is an import as it was read for all who ask for it at once. It belongs to
// all of them and must not be changed.
type page struct {
	*roster.Import
	view importView // with the first errors; only with a body
	body []byte     // view as it is sent; nil of an import at rest that is not in hand: it is read if it is needed
	read time.Time  // when the view was
}

const (
	// maxPages bounds how many are kept, at some 100 kB each.
	maxPages = 64
	// keptAtRest is how long the page of an import at rest is kept: those who have
	// polled come for it one after the other, and then hardly anybody.
	keptAtRest = 30 * time.Second
)

// pages read imports for those who poll, and keep the last page of each import
// that is being worked on, or has been until a moment ago. Each read looks at the
// row, so that nobody gets what is older than the question; what hangs on it, the
// errors, is read when there can be others, and encoded once a revision.
type pages struct {
	*shared[uuid.UUID, page]
	row   func(context.Context, uuid.UUID) (*roster.Import, error)
	whole func(context.Context, *roster.Import) (importView, error)
	rest  *shared[uuid.UUID, page] // with their bodies, whatever their state

	mu   sync.Mutex
	last map[uuid.UUID]page
}

func newPages(row func(context.Context, uuid.UUID) (*roster.Import, error), whole func(context.Context, *roster.Import) (importView, error)) *pages {
	p := &pages{row: row, whole: whole, last: map[uuid.UUID]page{}}
	p.shared, p.rest = newShared(p.turn), newShared(p.read)
	return p
}

// filled is the page, or a later one, with its body.
func (p *pages) filled(ctx context.Context, now page) (page, error) {
	if now.body != nil {
		return now, nil
	}
	return p.rest.get(ctx, now.ID)
}

// read reads an import and all that is shown of it.
func (p *pages) read(ctx context.Context, id uuid.UUID) (page, error) {
	i, err := p.row(ctx, id)
	if err != nil {
		return page{}, err
	}
	view, err := p.whole(ctx, i)
	if err != nil {
		return page{}, err
	}
	now := pageOf(view)
	p.keep(id, now)
	return now, nil
}

func pageOf(v importView) page { return page{v.of, v, encode(v), time.Now()} }

// turn reads an import.
func (p *pages) turn(ctx context.Context, id uuid.UUID) (page, error) {
	i, err := p.row(ctx, id)
	if err != nil {
		return page{}, err
	}
	kept, ok := p.kept(id)
	if atRest(i) {
		if ok && kept.Revision == i.Revision && time.Since(kept.read) < keptAtRest {
			return kept, nil
		}
		p.forget(id)
		return page{Import: i}, nil
	}
	if ok && kept.Revision >= i.Revision { // a later read may have been quicker
		return kept, nil
	}
	view := viewOf(i)
	if ok && sameErrors(kept, i) {
		view = view.with(*kept.view.Errors)
		view.settled = true
	} else if view, err = p.whole(ctx, i); err != nil {
		return page{}, err
	}
	now := pageOf(view) // of an import that may have moved on meanwhile
	p.keep(id, now)
	return now, nil
}

// sameErrors tells whether the first errors of an import are still those of the
// page. While it is worked on none is taken away, and the check finds them in
// the order of the file.
func sameErrors(kept page, i *roster.Import) bool {
	if !kept.view.settled {
		return false
	}
	return kept.Counts.Failed == i.Counts.Failed || i.Status == roster.Checking && len(*kept.view.Errors) == shownErrors
}

func (p *pages) kept(id uuid.UUID) (page, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept, ok := p.last[id]
	return kept, ok
}

func (p *pages) forget(id uuid.UUID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.last, id)
}

func (p *pages) keep(id uuid.UUID, now page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept, ok := p.last[id]
	if ok && kept.Revision >= now.Revision {
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
