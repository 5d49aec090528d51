package httpapi

import (
	"context"
	"time"
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
