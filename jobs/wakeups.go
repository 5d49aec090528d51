package jobs

import (
	"sync"
	"time"
)

// wakeups tells whether a worker that has room for a task gets one.
type wakeups struct {
	places int // tasks it takes at once

	mu     sync.Mutex
	active int
	since  time.Time // since when it has had room and got nothing
}

func newWakeups(places int) *wakeups { return &wakeups{places: places, since: time.Now()} }

// begin and end enclose a task that came from Redis.
func (w *wakeups) begin() { w.count(1) }
func (w *wakeups) end()   { w.count(-1) }

func (w *wakeups) count(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active += n
	w.since = time.Now()
}

// none reports whether no task has come for a time though there was room.
func (w *wakeups) none(atLeast time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.active < w.places && time.Since(w.since) >= atLeast
}
