package httpapi

import (
	"context"
	"time"

	"golang.org/x/sync/singleflight"
)

// Coalesce is coalesce.
func Coalesce[V any](ctx context.Context, reads *singleflight.Group, key string, read func(context.Context) (V, error)) (V, error) {
	return coalesce(ctx, reads, key, read)
}

// RetryAfters returns what a pollPacer tells clients that come at these times.
func RetryAfters() func(now time.Time) int { return newPollPacer().retryAfter }
