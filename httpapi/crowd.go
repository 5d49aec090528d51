package httpapi

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// soonest is when to look again at an import that is under way, in seconds.
	soonest = 1
	// latest is that in a crowd, on average. Who wants to know sooner waits
	// (Prefer: wait, or events) instead of asking.
	latest = 16
	// perSecond is how many polls a process answers beside an import without
	// slowing it: beyond it they are asked to come less often.
	perSecond = 120
	// memory is how long a poll counts, as the time in which its weight falls to
	// a third.
	memory = 2 * time.Second
)

// crowd tells those who poll when to come again: sooner while they are few. It
// counts how many there are by how often they come and what they were told. The
// zero value is an empty one.
type crowd struct {
	mu    sync.Mutex
	last  time.Time
	polls float64 // of late, each with the seconds it stands for, less what time has taken off
	pace  int     // seconds, as told of late on average; 0: soonest
}

// again counts a poll, and is when that client should come again, in seconds.
func (c *crowd) again(now time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if gone := now.Sub(c.last); gone > 0 {
		c.polls *= math.Exp(-gone.Seconds() / memory.Seconds())
		c.last = now
	}
	c.polls += float64(max(c.pace, soonest))
	here := c.polls / memory.Seconds()
	c.pace = min(max(int(math.Ceil(here/perSecond)), soonest), latest)
	spread := c.pace / 2 // who came together shall not come together again
	return c.pace - spread + rand.IntN(2*spread+1)
}
