// Package batch commits requests of many goroutines together: a transaction for
// many costs little more than one for a few, and waits for the disk once.
package batch

import (
	"context"
	"time"
)

// Batcher collects requests into batches and commits each batch. Requests that
// arrive during a commit go into the next batch.
type Batcher[T any] struct {
	config Config[T]
	in     chan Request[T]
}

// Config configures a [Batcher].
type Config[T any] struct {
	MaxSize  int           // requests in one batch
	MaxDelay time.Duration // how long the first request waits for more to come
	// Expected returns how many requests there can be: a batch with all of them
	// does not wait for more. Nil: unknown.
	Expected func() int
	// Commit commits a batch and calls Done of each of its requests, once. It
	// receives the context of Run.
	Commit func(ctx context.Context, batch []Request[T])
}

// Request is one item to be committed.
type Request[T any] struct {
	Item    T
	Context context.Context // of the caller that waits for Done
	Done    func(error)     // receives the result; must not block
}

// New returns a Batcher; [Batcher.Run] must be running for it to commit.
func New[T any](config Config[T]) *Batcher[T] {
	return &Batcher[T]{config: config, in: make(chan Request[T], config.MaxSize)}
}

// Submit adds item to the next batch; done receives the result. If ctx ends
// before a batch has room, done receives ctx's error at once.
func (b *Batcher[T]) Submit(ctx context.Context, item T, done func(error)) {
	r := Request[T]{item, ctx, done}
	select {
	case b.in <- r: // if there is room, even after ctx has ended
		return
	default:
	}
	select {
	case b.in <- r:
	case <-ctx.Done():
		done(ctx.Err())
	}
}

// Do adds item to the next batch and waits for the result.
func (b *Batcher[T]) Do(ctx context.Context, item T) error {
	result := make(chan error, 1)
	b.Submit(ctx, item, func(err error) { result <- err })
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run commits batches until ctx ends; nothing may be submitted after that.
func (b *Batcher[T]) Run(ctx context.Context) {
	for {
		select {
		case first := <-b.in:
			b.config.Commit(ctx, b.collect(first))
		case <-ctx.Done():
			return
		}
	}
}

// collect takes the requests already waiting, and those within MaxDelay of the
// first.
func (b *Batcher[T]) collect(first Request[T]) []Request[T] {
	batch := []Request[T]{first}
	late := time.NewTimer(b.config.MaxDelay)
	defer late.Stop()
	for len(batch) < b.config.MaxSize {
		select {
		case next := <-b.in:
			batch = append(batch, next)
			continue
		default:
		}
		if b.config.Expected != nil && len(batch) >= b.config.Expected() {
			return batch
		}
		select {
		case next := <-b.in:
			batch = append(batch, next)
		case <-late.C:
			return batch
		}
	}
	return batch
}

// Items returns the items of the requests, in order.
func Items[T any](batch []Request[T]) []T {
	items := make([]T, len(batch))
	for i, r := range batch {
		items[i] = r.Item
	}
	return items
}
