package importer

import (
	"context"
	"iter"
)

// prefetch runs a sequence in its own goroutine, one element ahead of the
// consumer. Elements arrive in order; a panic arrives as an error and ends the
// sequence. The sequence's context ends when the consumer stops, and the
// consumer continues only after the goroutine has ended. When ctx ends, so does the
// sequence, without an error: a consumer that needs all of it looks at ctx.
func prefetch[T any](ctx context.Context, caught func(any) error, sequence func(context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
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
