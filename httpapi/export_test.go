package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
)

// Shared is shared, for tests.
type Shared struct{ *shared[string, int] }

// NewShared makes a Shared.
func NewShared(read func(context.Context, string) (int, error)) Shared {
	return Shared{newShared(read)}
}

// Get is get.
func (s Shared) Get(ctx context.Context, key string) (int, error) { return s.get(ctx, key) }

// Keys is how many keys are remembered.
func (s Shared) Keys() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.reads)
}

// Board is board, for tests.
type Board struct{ *board }

// NewBoard makes a Board.
func NewBoard(w watcher, read func(context.Context, uuid.UUID) (*roster.Import, error), gap time.Duration) Board {
	return Board{newBoard(w, read, gap)}
}

// Next waits at an import until a later revision is shown.
func (b Board) Next(ctx context.Context, id uuid.UUID, after int64) (*roster.Import, error) {
	a := API{board: b.board}
	return a.await(ctx, &roster.Import{ID: id, Revision: after}, time.Hour, anyChange)
}

// Shown is how many imports are on the board.
func (b Board) Shown() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.shown)
}

// Limiter is limiter, for tests.
type Limiter struct{ *limiter }

// NewLimiter makes a Limiter.
func NewLimiter(q Quota) Limiter { return Limiter{newLimiter("test", q)} }

// Take tells what take does.
func (l Limiter) Take(key string, now time.Time) (ok bool, remaining int, again, full time.Duration) {
	a := l.take(key, now)
	return a.ok, a.remaining, a.again, a.full
}

// Keys is how many keys are remembered.
func (l Limiter) Keys() int { return len(l.buckets) }

// MaxBuckets is how many they may be.
const MaxBuckets = maxBuckets

// Pages is pages, for tests.
type Pages struct{ *pages }

// NewPages makes Pages of imports without errors; whole is called when these are
// read.
func NewPages(row func(context.Context, uuid.UUID) (*roster.Import, error), whole func()) Pages {
	return Pages{newPages(row, func(_ context.Context, i *roster.Import) (importView, error) {
		whole()
		return viewOf(i).with(nil), nil
	})}
}

// Body is the import as it is sent.
func (p Pages) Body(ctx context.Context, id uuid.UUID) (*roster.Import, error) {
	now, err := p.get(ctx, id)
	if err != nil {
		return nil, err
	}
	if now, err = p.filled(ctx, now); err != nil {
		return nil, err
	}
	return now.view.of, nil
}
