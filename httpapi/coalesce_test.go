package httpapi_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/singleflight"

	"rollcall/httpapi"
)

// TestThoseWhoAskTogetherShareARead: one read for all requests before it
// begins, another for requests after that.
func TestThoseWhoAskTogetherShareARead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reads singleflight.Group
		var begun atomic.Int64
		read := func(context.Context) (int64, error) {
			n := begun.Add(1)
			time.Sleep(10 * time.Millisecond)
			return n, nil
		}
		var all sync.WaitGroup
		ask := func(want int64) {
			for range 1000 {
				all.Go(func() {
					if n, err := httpapi.Coalesce(t.Context(), &reads, "x", read); n != want || err != nil {
						t.Errorf("got read %d, want %d (%v)", n, want, err)
					}
				})
			}
		}
		ask(1)
		time.Sleep(5 * time.Millisecond) // the first read has begun
		ask(2)
		all.Wait()
		if begun.Load() != 2 {
			t.Errorf("%d reads", begun.Load())
		}
	})
}

// TestSlowReadIsOvertaken: requests that wait for a read that hangs get the
// result of the next one, all the same. The slow read holds up neither later
// requests nor requests for other keys, and a failure is reported.
func TestSlowReadIsOvertaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reads singleflight.Group
		var begun atomic.Int64
		read := func(context.Context) (int64, error) {
			n := begun.Add(1)
			if n == 1 {
				time.Sleep(time.Second)
			}
			return n, nil
		}
		var all sync.WaitGroup
		ask := func(key string, want int64, within time.Duration) {
			all.Go(func() {
				began := time.Now()
				n, err := httpapi.Coalesce(t.Context(), &reads, key, read)
				if took := time.Since(began); n != want || err != nil || took > within {
					t.Errorf("%s: got read %d, want %d, after %s (%v)", key, n, want, took, err)
				}
			})
		}
		for range 1000 {
			ask("x", 4, 20*time.Millisecond)
		}
		time.Sleep(5 * time.Millisecond)
		ask("x", 2, 3*time.Millisecond)
		time.Sleep(5 * time.Millisecond)
		ask("y", 3, 3*time.Millisecond)
		all.Wait()
		if begun.Load() != 4 {
			t.Errorf("%d reads", begun.Load())
		}
		away := errors.New("away")
		if _, err := httpapi.Coalesce(t.Context(), &reads, "z", func(context.Context) (int64, error) { return 0, away }); !errors.Is(err, away) {
			t.Errorf("a read that failed: %v", err)
		}
		time.Sleep(time.Second)
	})
}

// TestLeavingEndsNoRead: a client that leaves ends its own waiting only.
func TestLeavingEndsNoRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reads singleflight.Group
		read := func(ctx context.Context) (string, error) {
			select {
			case <-ctx.Done():
				return "", ctx.Err()
			case <-time.After(time.Second):
				return "read", nil
			}
		}
		leaving, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := httpapi.Coalesce(leaving, &reads, "x", read); !errors.Is(err, context.Canceled) {
				t.Errorf("the one who left got %v", err)
			}
		})
		all.Go(func() {
			if got, err := httpapi.Coalesce(t.Context(), &reads, "x", read); got != "read" || err != nil {
				t.Errorf("the one who stayed got %q, %v", got, err)
			}
		})
		time.Sleep(100 * time.Millisecond)
		leave()
		all.Wait()
		time.Sleep(time.Second) // until the read that came second has ended
	})
}
