package httpapi

import (
	"context"
	"sync"
	"time"
)

// shared makes one read for all who ask for the same thing at once. Whoever
// asks while a read is under way waits for the next one, so what is returned
// was read after it was asked for; however many ask, there is never more than
// one read of a key under way and one about to begin, and the reads of a key
// begin some time apart. What is returned belongs to all who asked: it must not
// be changed.
type shared[K comparable, V any] struct {
	read func(context.Context, K) (V, error) // bounded by ordinary

	mu    sync.Mutex
	reads map[K]*turn[V] // for each key being read, the turn after; nil if nobody waits
}

// apart is the least time between the beginnings of two reads of one key: two
// thousand who ask in the same second are answered by two hundred reads of it.
const apart = 5 * time.Millisecond

// turn is a read and those who wait for it.
type turn[V any] struct {
	done  chan struct{}
	value V
	err   error
}

func newShared[K comparable, V any](read func(context.Context, K) (V, error)) *shared[K, V] {
	return &shared[K, V]{read: read, reads: map[K]*turn[V]{}}
}

// get reads what is under the key, or takes part in such a read. The end of ctx
// ends the waiting, not the read.
func (s *shared[K, V]) get(ctx context.Context, key K) (V, error) {
	t := s.join(key)
	select {
	case <-t.done:
		return t.value, t.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}

func (s *shared[K, V]) join(key K) *turn[V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, busy := s.reads[key]
	switch {
	case next != nil:
		return next
	case busy:
		next = &turn[V]{done: make(chan struct{})}
		s.reads[key] = next
		return next
	}
	s.reads[key] = nil
	now := &turn[V]{done: make(chan struct{})}
	go s.run(key, now)
	return now
}

// run reads for as long as there are people waiting.
func (s *shared[K, V]) run(key K, t *turn[V]) {
	for t != nil {
		again := time.Now().Add(apart)
		ctx, cancel := context.WithTimeout(context.Background(), ordinary)
		t.value, t.err = s.read(ctx, key)
		cancel()
		close(t.done)
		time.Sleep(time.Until(again))
		t = s.after(key)
	}
}

// after is the next turn; nil, and the key is free, if nobody waits for one.
func (s *shared[K, V]) after(key K) *turn[V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.reads[key]
	if next == nil {
		delete(s.reads, key)
	} else {
		s.reads[key] = nil
	}
	return next
}
