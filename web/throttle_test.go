package web_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/web"
)

func TestThrottle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		th := web.NewThrottle(3, time.Minute)
		take := func(key string, want time.Duration) {
			t.Helper()
			if got := th.Take(key); got != want {
				t.Errorf("take(%s) = %s, want %s", key, got, want)
			}
		}
		for range 3 {
			take("a", 0)
		}
		take("a", time.Minute) // refused turns cost nothing
		take("a", time.Minute)
		take("b", 0)
		time.Sleep(20 * time.Second)
		take("a", 40*time.Second)
		time.Sleep(40 * time.Second)
		take("a", 0)
		take("a", time.Minute)
		th.GiveBack("a")
		take("a", 0)
		time.Sleep(time.Hour) // no more than a burst is saved up
		for range 3 {
			take("a", 0)
		}
		take("a", time.Minute)
	})
}

func TestThrottleIsBounded(t *testing.T) {
	t.Parallel()
	th := web.NewThrottle(1, time.Hour)
	for i := range 2 * web.MaxThrottled {
		th.Take(strconv.Itoa(i))
	}
	if n := th.Len(); n > web.MaxThrottled {
		t.Errorf("%d keys are remembered", n)
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "": "", "x": "x",
	} {
		if got := web.Network(address); got != want {
			t.Errorf("network(%q) = %q, want %q", address, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for before, want := range map[time.Duration]string{
		-time.Minute: "just now", 59 * time.Second: "just now", time.Minute: "1 minute ago", 59 * time.Minute: "59 minutes ago",
		time.Hour: "1 hour ago", 47 * time.Hour: "1 day ago", 30 * 24 * time.Hour: "30 days ago", 31 * 24 * time.Hour: "23 Oct 2026",
	} {
		if got := web.AgoAt(now.Add(-before), now); got != want {
			t.Errorf("%s before now is %q, want %q", before, got, want)
		}
	}
}
