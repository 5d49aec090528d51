package jobs

import (
	"context"
	"iter"
)

// ahead has a sequence run in a goroutine of its own, one element ahead of who
// takes them. Elements come in order; a panic comes as an error and ends it. The
// context handed to the sequence ends when the taker has had enough, and the
// taker goes on only when the goroutine has ended.
func ahead[T any](ctx context.Context, caught func(any) error, sequence func(context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
	type element struct {
		value T
		err   error
	}
	return func(yield func(T, error) bool) {
		running, stop := context.WithCancel(ctx)
		elements, done := make(chan element), make(chan struct{})
		send := func(e element) bool {
			select {
			case elements <- e:
				return true
			case <-running.Done():
				return false
			}
		}
		go func() {
			defer close(done)
			defer close(elements)
			defer func() {
				if p := recover(); p != nil {
					send(element{err: caught(p)})
				}
			}()
			for value, err := range sequence(running) {
				if !send(element{value, err}) {
					return
				}
			}
		}()
		defer func() { stop(); <-done }()
		for e := range elements {
			if !yield(e.value, e.err) {
				return
			}
		}
	}
}
