package httpapi_test

import (
	"testing"
	"time"

	"rollcall/httpapi"
)

// TestRetryAfterGrowsWithThePollers makes clients poll exactly when they are told
// to: every second while there are few, some 120 a second in total when there
// are many, from the first seconds on, and every second again when the others
// have left.
func TestRetryAfterGrowsWithThePollers(t *testing.T) {
	t.Parallel()
	retryAfter := httpapi.RetryAfters()
	now := time.Now()
	// poll runs n clients, each polling when told, for a while, and returns
	// what the last of them were told, and the maximum number in any second
	// after the first.
	poll := func(n int, seconds float64) (told, busiest int) {
		next := make([]float64, n)
		for i := range next {
			next[i] = float64(i) / float64(n) // all of them within a second
		}
		came := make([]int, int(seconds)+1)
		const step = 0.01
		for at := 0.0; at < seconds; at += step {
			for i := range next {
				if next[i] <= at {
					told = retryAfter(now.Add(time.Duration(at * float64(time.Second))))
					next[i] = at + float64(told)
					came[int(at)]++
				}
			}
		}
		now = now.Add(time.Duration(seconds * float64(time.Second)))
		for _, n := range came[1:] {
			busiest = max(busiest, n)
		}
		return told, busiest
	}
	for _, crowd := range []struct{ clients, least, most, perSecond int }{
		{1, 1, 1, 1}, {100, 1, 1, 100}, {500, 3, 6, 350}, {2000, 12, 20, 350}, {10_000, 20, 20, 10_000}, {10, 1, 1, 10},
	} {
		told, busiest := poll(crowd.clients, 60)
		if told < crowd.least || told > crowd.most {
			t.Errorf("%d clients were told %d s, want %d to %d", crowd.clients, told, crowd.least, crowd.most)
		}
		if busiest > crowd.perSecond {
			t.Errorf("%d clients came %d times in a second, want %d at most", crowd.clients, busiest, crowd.perSecond)
		}
		now = now.Add(time.Minute) // all have left
	}
}
