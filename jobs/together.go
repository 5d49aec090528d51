package jobs

import (
	"context"
	"time"
)

// together does something for many who ask for it at about the same time, with
// one statement for all: a transaction for many costs little more than one for a
// few, and waits for the disk once. What comes in while one is under way goes
// with the next.
type together[T, R any] struct {
	most   int           // of those that are served together
	linger time.Duration // for more to come after the first; 0: none
	// expected is how many there are who ask or are about to: there is nothing
	// to linger for when they all have. Nil: nobody knows.
	expected func() int
	// serve answers each, or leaves those be who do not wait any longer. It is
	// given the context of run, whose end is the end of waiting only.
	serve func(ctx context.Context, all []asked[T, R])
	in    chan asked[T, R]
}

// asked is what somebody asks for, and who waits for the answer.
type asked[T, R any] struct {
	value   T
	waiting context.Context
	answer  func(R) // does not wait
}

func newTogether[T, R any](most int, linger time.Duration, serve func(context.Context, []asked[T, R])) *together[T, R] {
	return &together[T, R]{most: most, linger: linger, serve: serve, in: make(chan asked[T, R], most)}
}

// ask has answer called, once, unless ctx ends before. The error is that of ctx,
// and says that nobody was asked.
func (t *together[T, R]) ask(ctx context.Context, value T, answer func(R)) error {
	a := asked[T, R]{value, ctx, answer}
	select {
	case t.in <- a: // if there is room, though ctx be over
		return nil
	default:
	}
	select {
	case t.in <- a:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run serves until ctx ends; whoever asks must have stopped by then.
func (t *together[T, R]) run(ctx context.Context) {
	for {
		select {
		case first := <-t.in:
			t.serve(ctx, t.gather(first))
		case <-ctx.Done():
			return
		}
	}
}

// gather takes what waits already, and what comes within linger of the first.
func (t *together[T, R]) gather(first asked[T, R]) []asked[T, R] {
	all := []asked[T, R]{first}
	over := time.NewTimer(t.linger)
	defer over.Stop()
	for len(all) < t.most {
		select {
		case next := <-t.in:
			all = append(all, next)
			continue
		default:
		}
		if t.linger == 0 || t.expected != nil && len(all) >= t.expected() {
			return all
		}
		select {
		case next := <-t.in:
			all = append(all, next)
		case <-over.C:
			return all
		}
	}
	return all
}

// values are what is asked for, in that order.
func values[T, R any](all []asked[T, R]) []T {
	values := make([]T, len(all))
	for i, a := range all {
		values[i] = a.value
	}
	return values
}
