// Package backoff computes how long to wait before a failed operation is
// retried. It keeps no state, because the number of failures may be stored
// elsewhere, such as in a database row.
package backoff

import (
	"cmp"
	"math"
	"math/rand/v2"
	"time"
)

// Policy is a delay that grows with every failure.
type Policy struct {
	First  time.Duration // the delay after the first failure
	Max    time.Duration // the longest delay
	Factor float64       // what the delay grows by; 0: 2
}

// Delay returns the delay after the given number of failures; fewer than 1
// count as 1. It varies by up to a fifth, so that operations that failed
// together are not retried together, and never exceeds Max plus a fifth.
func (p Policy) Delay(failures int) time.Duration {
	// Beyond the largest duration the product is infinite at worst, and min
	// limits that.
	wait := min(float64(p.First)*math.Pow(cmp.Or(p.Factor, 2), float64(max(failures, 1)-1)), float64(p.Max))
	return time.Duration(wait * (0.8 + 0.4*rand.Float64()))
}
