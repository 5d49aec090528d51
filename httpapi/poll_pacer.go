package httpapi

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

const (
	// pollsPerSecond is how many polls a process answers while an import runs
	// without slowing it.
	pollsPerSecond = 120
	// minRetryAfter and maxRetryAfter bound when a client is asked to poll
	// again, in seconds. A client that needs to know sooner should wait
	// (Prefer: wait, or events) instead of polling.
	minRetryAfter, maxRetryAfter = 1, 20
)

// pollPacer tells polling clients when to come back. Each gets the next free
// slot in a queue that advances by pollsPerSecond: immediately while there are
// few clients, and spread evenly over many seconds if thousands come together.
type pollPacer struct{ line *rate.Limiter }

func newPollPacer() pollPacer {
	return pollPacer{rate.NewLimiter(pollsPerSecond, pollsPerSecond*minRetryAfter)}
}

// retryAfter counts a poll, and returns when its client should poll again, in
// seconds. The queue stops growing at maxRetryAfter, so that clients that come
// back anyway do not delay the others further.
func (p pollPacer) retryAfter(now time.Time) int {
	if p.line.TokensAt(now) <= -maxRetryAfter*pollsPerSecond {
		return maxRetryAfter
	}
	place := p.line.ReserveN(now, 1).DelayFrom(now)
	return min(max(int(math.Ceil(place.Seconds())), minRetryAfter), maxRetryAfter)
}
