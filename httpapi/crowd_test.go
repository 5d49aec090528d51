package httpapi

import (
	"testing"
	"time"
)

// Clients that come as often as they are told are told to come so often that
// the process answers some two hundred and fifty a second, and soon again when
// they are few.
func TestCrowdComesLessOften(t *testing.T) {
	var c crowd
	now := time.Now()
	// poll lets n clients, each as often as it was told, come for a while, and
	// is what the last of them were told and how many came in the last second.
	poll := func(n int, seconds float64) (told, rate int) {
		next := make([]float64, n)
		for i := range next {
			next[i] = float64(i) / float64(n) // within the first second
		}
		const step = 0.01
		for at := 0.0; at < seconds; at += step {
			for i := range next {
				if next[i] <= at {
					told = c.again(now.Add(time.Duration(at * float64(time.Second))))
					next[i] = at + float64(told)
					if at >= seconds-1 {
						rate++
					}
				}
			}
		}
		now = now.Add(time.Duration(seconds * float64(time.Second)))
		return told, rate
	}
	for _, crowd := range []struct{ clients, atLeast, atMost int }{
		{1, 1, 1}, {100, 1, 1}, {2000, 8, 24}, {10_000, 8, 24}, {10, 1, 1},
	} {
		told, rate := poll(crowd.clients, 60)
		if told < crowd.atLeast || told > crowd.atMost {
			t.Errorf("%d clients were told %d s, want %d to %d", crowd.clients, told, crowd.atLeast, crowd.atMost)
		}
		if crowd.clients <= 2000 && rate > perSecond*2 {
			t.Errorf("%d clients came %d times in a second", crowd.clients, rate)
		}
	}
}
