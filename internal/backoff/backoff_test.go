package backoff_test

import (
	"math"
	"testing"
	"time"

	"rollcall/internal/backoff"
)

func TestDelay(t *testing.T) {
	t.Parallel()
	doubling := backoff.Policy{First: time.Second, Max: time.Minute}
	tripling := backoff.Policy{First: time.Second, Max: time.Hour, Factor: 3}
	for _, c := range []struct {
		policy   backoff.Policy
		failures int
		want     time.Duration
	}{
		{doubling, -1, time.Second}, {doubling, 0, time.Second}, {doubling, 1, time.Second}, {doubling, 2, 2 * time.Second},
		{doubling, 6, 32 * time.Second}, {doubling, 7, time.Minute}, {doubling, 1000, time.Minute}, {doubling, math.MaxInt, time.Minute},
		{tripling, 1, time.Second}, {tripling, 3, 9 * time.Second}, {tripling, 9, time.Hour},
	} {
		least, most := time.Duration(math.MaxInt64), time.Duration(0)
		for range 1000 {
			d := c.policy.Delay(c.failures)
			least, most = min(least, d), max(most, d)
		}
		if least < c.want*8/10 || most > c.want*12/10 {
			t.Errorf("after %d failures %s to %s, want %s give or take a fifth", c.failures, least, most, c.want)
		}
		if most-least < c.want/4 {
			t.Errorf("after %d failures always about %s", c.failures, most)
		}
	}
}
