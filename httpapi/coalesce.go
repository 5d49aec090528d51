package httpapi

import (
	"context"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// gatherTime is how long a read waits for more requests to join. It is also
	// the minimum time between the starts of two reads with one key.
	gatherTime = 2 * time.Millisecond
	// overtakeAfter is when requests that wait for a read also join a later
	// one. While an import runs, one read in a hundred takes a hundred times as
	// long as most.
	overtakeAfter = 15 * time.Millisecond
)

// coalesce makes one read for all requests for the same key at about the same
// time. It is a [singleflight] with two differences. A read starts after a
// short delay in which more requests can join, and requests that come after its
// start get the next read, so that no result is older than its request. And a
// slow read may be overtaken by the next one. The result is shared by all
// requests and must not be changed.
//
// The end of ctx ends the waiting, not the read.
func coalesce[V any](ctx context.Context, reads *singleflight.Group, key string, read func(context.Context) (V, error)) (V, error) {
	ask := func() <-chan singleflight.Result {
		return reads.DoChan(key, func() (any, error) {
			time.Sleep(gatherTime)
			reads.Forget(key)
			ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
			defer cancel()
			return read(ctx)
		})
	}
	first, second := ask(), (<-chan singleflight.Result)(nil)
	slow := time.NewTimer(overtakeAfter)
	defer slow.Stop()
	for {
		var answer singleflight.Result
		select {
		case answer = <-first:
		case answer = <-second:
		case <-slow.C:
			second = ask()
			continue
		case <-ctx.Done():
			answer.Err = ctx.Err()
		}
		value, _ := answer.Val.(V)
		return value, answer.Err
	}
}
