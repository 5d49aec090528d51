package web

import "time"

// What the tests look at from outside.
const MaxThrottled = maxThrottled

var (
	NewThrottle = newThrottle
	Network     = network
	AgoAt       = agoAt
)

func (t *throttle) Take(key string) time.Duration { return t.take(key) }
func (t *throttle) GiveBack(key string)           { t.giveBack(key) }
func (t *throttle) Len() int                      { return len(t.full) }
