package ratelimit_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/ratelimit"
)

func TestTake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(3, time.Minute)
		take := func(key string, want ratelimit.Result) {
			t.Helper()
			want.OK = want.RetryAfter == 0
			if got := l.Take(key); got != want {
				t.Errorf("Take(%s) = %+v, want %+v", key, got, want)
			}
		}
		type result = ratelimit.Result
		take("a", result{Remaining: 2, ResetAfter: time.Minute})
		take("a", result{Remaining: 1, ResetAfter: 2 * time.Minute})
		take("a", result{ResetAfter: 3 * time.Minute})
		take("a", result{RetryAfter: time.Minute, ResetAfter: 3 * time.Minute}) // a rejected call does not count
		take("a", result{RetryAfter: time.Minute, ResetAfter: 3 * time.Minute})
		take("b", result{Remaining: 2, ResetAfter: time.Minute})
		time.Sleep(20 * time.Second)
		take("a", result{RetryAfter: 40 * time.Second, ResetAfter: 160 * time.Second})
		time.Sleep(40 * time.Second)
		take("a", result{ResetAfter: 3 * time.Minute})
		l.GiveBack("a")
		take("a", result{ResetAfter: 3 * time.Minute})
		time.Sleep(time.Hour) // no more than a burst is saved up
		take("a", result{Remaining: 2, ResetAfter: time.Minute})
	})
}

// TestKeysAreBounded: memory is bounded, and the keys that have their whole
// burst available are forgotten first.
func TestKeysAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(1, time.Minute)
		for i := range 15_000 {
			l.Take("idle" + strconv.Itoa(i))
		}
		time.Sleep(59 * time.Second)
		l.Take("busy")
		time.Sleep(2 * time.Second)
		for i := range 5_000 {
			l.Take("new" + strconv.Itoa(i))
		}
		if n := l.Keys(); n != 5_001 {
			t.Errorf("%d keys, want those in use alone", n)
		}
		if l.Take("busy").OK {
			t.Error("a key in use is forgotten")
		}
		for i := range 50_000 {
			l.Take("flood" + strconv.Itoa(i))
		}
		if n := l.Keys(); n > 20_000 {
			t.Errorf("%d keys", n)
		}
	})
}
