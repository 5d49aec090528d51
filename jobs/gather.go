package jobs

import "time"

// gather takes what comes in through a channel after the first, most together:
// what waits already, and what comes within linger of the first. A transaction
// for many costs little more than one for a few.
func gather[T any](in <-chan T, first T, most int, linger time.Duration) []T {
	all := []T{first}
	over := time.NewTimer(linger)
	defer over.Stop()
	for len(all) < most {
		select {
		case next := <-in:
			all = append(all, next)
			continue
		default:
		}
		if linger == 0 {
			return all
		}
		select {
		case next := <-in:
			all = append(all, next)
		case <-over.C:
			return all
		}
	}
	return all
}
