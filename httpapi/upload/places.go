package upload

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// places bound how many uploads do something at once: in all, and for each
// caller fewer, so that no caller takes the places of the others.
type places struct {
	all  *semaphore.Weighted
	each int64

	mu      sync.Mutex
	callers map[string]*share
}

// share is one caller's part of the places.
type share struct {
	*semaphore.Weighted
	users int // that hold a place or wait for one
}

func newPlaces(all, each int) *places {
	return &places{all: semaphore.NewWeighted(int64(all)), each: int64(each), callers: map[string]*share{}}
}

// take waits for a place, first among the caller's own uploads, until ctx ends.
func (p *places) take(ctx context.Context, caller string) (release func(), err error) {
	own := p.enter(caller)
	if err := own.Acquire(ctx, 1); err != nil {
		p.leave(caller, own)
		return nil, err
	}
	if err := p.all.Acquire(ctx, 1); err != nil {
		own.Release(1)
		p.leave(caller, own)
		return nil, err
	}
	return func() {
		p.all.Release(1)
		own.Release(1)
		p.leave(caller, own)
	}, nil
}

func (p *places) enter(caller string) *share {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := p.callers[caller]
	if own == nil {
		own = &share{Weighted: semaphore.NewWeighted(p.each)}
		p.callers[caller] = own
	}
	own.users++
	return own
}

func (p *places) leave(caller string, own *share) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(p.callers, caller)
	}
}
