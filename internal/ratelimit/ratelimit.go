// Package ratelimit limits how often each of many keys may do something.
package ratelimit

import (
	"sync"
	"time"
)

// maxKeys bounds how many keys a Limiter remembers.
const maxKeys = 20_000

// Limiter lets each key through burst times at once and then once every
// interval. Its state is local to the process: a restart resets it, and several
// processes multiply the limit. It is safe for concurrent use.
//
// It stores one time per key, by the generic cell rate algorithm (ITU-T I.371):
// when the whole burst is available again.
type Limiter struct {
	burst    int
	interval time.Duration

	mu   sync.Mutex
	full map[string]time.Time
}

// New makes a Limiter. Both arguments must be positive.
func New(burst int, interval time.Duration) *Limiter {
	return &Limiter{burst: burst, interval: interval, full: map[string]time.Time{}}
}

// Result is the result of Take.
type Result struct {
	OK         bool
	Remaining  int           // how often the key gets through at once from now on
	RetryAfter time.Duration // until it gets through once more; 0 with OK
	ResetAfter time.Duration // until the whole burst is available again
}

// Take lets the key through once, or returns when to retry. A rejected call
// does not count.
func (l *Limiter) Take(key string) Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	full := l.full[key]
	if full.Before(now) {
		full = now
	}
	burst := time.Duration(l.burst) * l.interval
	if late := full.Add(l.interval).Sub(now) - burst; late > 0 {
		return Result{RetryAfter: late, ResetAfter: full.Sub(now)}
	}
	if _, known := l.full[key]; !known && len(l.full) >= maxKeys {
		l.makeRoom(now)
	}
	full = full.Add(l.interval)
	l.full[key] = full
	return Result{OK: true, Remaining: int((burst - full.Sub(now)) / l.interval), ResetAfter: full.Sub(now)}
}

// GiveBack returns what one Take used up.
func (l *Limiter) GiveBack(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if full, known := l.full[key]; known {
		l.full[key] = full.Add(-l.interval)
	}
}

// Keys returns how many keys are remembered.
func (l *Limiter) Keys() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.full)
}

// makeRoom forgets the keys that have their whole burst available, and if too
// many are left any of them: the worst effect is that a key gets its burst
// twice. It frees a tenth at once, so that a flood of new keys does not scan
// all keys each time.
func (l *Limiter) makeRoom(now time.Time) {
	for key, full := range l.full {
		if !full.After(now) {
			delete(l.full, key)
		}
	}
	for key := range l.full {
		if len(l.full) <= maxKeys-maxKeys/10 {
			return
		}
		delete(l.full, key)
	}
}
