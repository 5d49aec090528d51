package web

import (
	"net/netip"
	"sync"
	"time"
)

// throttle lets each key do something burst times at once and then once every
// pace. It lives in this process: a restart forgives, and several processes
// allow so many times as much. It is safe for concurrent use.
//
// Of each key it keeps one time, by the generic cell rate algorithm (ITU-T
// I.371): when the bucket will be full again.
type throttle struct {
	burst int
	pace  time.Duration
	now   func() time.Time

	mu   sync.Mutex
	full map[string]time.Time
}

// maxThrottled bounds how many keys a throttle remembers.
const maxThrottled = 20_000

func newThrottle(burst int, pace time.Duration) *throttle {
	return &throttle{burst: burst, pace: pace, now: time.Now, full: map[string]time.Time{}}
}

// take uses up one turn of the key. wait is 0, or how long until there is one
// to be had.
func (t *throttle) take(key string) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	full := t.full[key]
	if full.Before(now) {
		full = now
	}
	full = full.Add(t.pace)
	if wait = full.Sub(now) - time.Duration(t.burst)*t.pace; wait > 0 {
		return wait
	}
	if _, known := t.full[key]; !known && len(t.full) >= maxThrottled {
		t.makeRoom(now)
	}
	t.full[key] = full
	return 0
}

// giveBack returns a turn that was taken.
func (t *throttle) giveBack(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if full, known := t.full[key]; known {
		t.full[key] = full.Add(-t.pace)
	}
}

// makeRoom forgets whose bucket is full, and if all are in use any tenth of
// them: whoever can fill this table gets no further by it than one turn a key.
func (t *throttle) makeRoom(now time.Time) {
	for key, full := range t.full {
		if !full.After(now) {
			delete(t.full, key)
		}
	}
	for key := range t.full {
		if len(t.full) <= maxThrottled-maxThrottled/10 {
			return
		}
		delete(t.full, key)
	}
}

// network is the part of a client's address that one subscriber holds: an IPv4
// address, or the /64 of an IPv6 address (RFC 6177).
func network(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if addr = addr.Unmap(); addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}
