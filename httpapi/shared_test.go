package httpapi_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/httpapi"
)

// TestManyAskersMakeTwoReads: those who come while a read is under way get what
// is read after it, all of them by one read.
func TestManyAskersMakeTwoReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		s := httpapi.NewShared(func(context.Context, string) (int, error) {
			reads++
			n := reads
			time.Sleep(time.Second)
			return n, nil
		})
		var first, others sync.WaitGroup
		first.Go(func() {
			if n, err := s.Get(t.Context(), "x"); n != 1 || err != nil {
				t.Errorf("the first got %d, %v", n, err)
			}
		})
		synctest.Wait()
		for range 1000 {
			others.Go(func() {
				if n, err := s.Get(t.Context(), "x"); n != 2 || err != nil {
					t.Errorf("one who came later got %d, %v", n, err)
				}
			})
		}
		first.Wait()
		others.Wait()
		synctest.Wait()
		if reads != 2 || s.Keys() != 0 {
			t.Errorf("%d reads, %d keys kept", reads, s.Keys())
		}
	})
}

// TestSlowReadIsOvertaken: who waits for a read that hangs is answered by the next
// one, of which there are a few at most; one that fails fails for its own only.
func TestSlowReadIsOvertaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var begun atomic.Int64
		s := httpapi.NewShared(func(context.Context, string) (int, error) {
			n := int(begun.Add(1))
			switch n {
			case 1, 4, 5, 6, 7:
				time.Sleep(time.Second)
			case 2:
				return 0, errors.New("away")
			}
			return n, nil
		})
		ask := func() (n int, took time.Duration, err error) {
			began := time.Now()
			n, err = s.Get(t.Context(), "x")
			return n, time.Since(began), err
		}
		var all sync.WaitGroup
		all.Go(func() {
			if n, took, err := ask(); n != 3 || err != nil || took > 100*time.Millisecond {
				t.Errorf("the first got %d, %v after %s", n, err, took)
			}
		})
		synctest.Wait()
		if n, _, err := ask(); err == nil {
			t.Errorf("the second got %d", n)
		}
		if n, took, err := ask(); n != 3 || err != nil || took > 100*time.Millisecond {
			t.Errorf("the third got %d, %v after %s", n, err, took)
		}
		all.Wait()
		time.Sleep(2 * time.Second) // all that was begun has ended
		for range 100 {
			all.Go(func() { _, _, _ = ask() })
			time.Sleep(7 * time.Millisecond)
		}
		if n := begun.Load(); n != 7 {
			t.Errorf("%d reads have begun, want 3 and 4 that are under way", n)
		}
		all.Wait()
		synctest.Wait()
		time.Sleep(time.Second)
		if s.Keys() != 0 {
			t.Errorf("%d keys kept", s.Keys())
		}
	})
}

func TestKeysDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := httpapi.NewShared(func(context.Context, string) (int, error) { time.Sleep(time.Second); return 1, nil })
		began := time.Now()
		var all sync.WaitGroup
		for _, key := range []string{"a", "b", "c"} {
			all.Go(func() { _, _ = s.Get(t.Context(), key) })
		}
		all.Wait()
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestWhoLeavesEndsNobodysRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failure := errors.New("no such thing")
		s := httpapi.NewShared(func(ctx context.Context, _ string) (int, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(time.Second):
				return 0, failure
			}
		})
		leaving, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() { _, err := s.Get(leaving, "x"); left <- err }()
		synctest.Wait()
		staying := make(chan error)
		go func() { _, err := s.Get(t.Context(), "x"); staying <- err }()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("who left got %v", err)
		}
		if err := <-staying; !errors.Is(err, failure) {
			t.Errorf("who stayed got %v", err)
		}
		synctest.Wait()
	})
}
