package httpapi

import (
	"context"
	"slices"
	"sync"
	"time"
)

// shared makes one read for all who ask for the same thing at once. Whoever asks
// gets what a read brought that began after they asked. However many ask, the
// reads of a key begin some time apart, and a few of them are under way at most:
// one that is slow, on a machine that has better things to do, is overtaken by
// the next and keeps nobody waiting. What is returned belongs to all who asked:
// it must not be changed.
type shared[K comparable, V any] struct {
	read func(context.Context, K) (V, error) // bounded by ordinary

	mu    sync.Mutex
	reads map[K]*reads[V]
}

const (
	// apart is the least time between the beginnings of two reads of one key: two
	// thousand who ask in the same second are answered by a hundred reads of it.
	apart = 8 * time.Millisecond
	// abreast is how many reads of one key may be under way.
	abreast = 4
)

// reads are those of one key.
type reads[V any] struct {
	next  *turn[V]      // about to begin; nil if nobody waits for it
	under []*turn[V]    // begun and not answered, in this order
	busy  chan struct{} // one token for each read under way
	paced bool          // a goroutine sees to the next one
}

// turn is a read and those who wait for it.
type turn[V any] struct {
	done  chan struct{}
	value V
	err   error
}

func newShared[K comparable, V any](read func(context.Context, K) (V, error)) *shared[K, V] {
	return &shared[K, V]{read: read, reads: map[K]*reads[V]{}}
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
	r := s.reads[key]
	if r == nil {
		r = &reads[V]{busy: make(chan struct{}, abreast)}
		s.reads[key] = r
	}
	if r.next == nil {
		r.next = &turn[V]{done: make(chan struct{})}
	}
	if !r.paced {
		r.paced = true
		go s.pace(key, r)
	}
	return r.next
}

// pace begins reads for as long as there are people waiting.
func (s *shared[K, V]) pace(key K, r *reads[V]) {
	for {
		r.busy <- struct{}{}
		t := s.begin(key, r)
		if t == nil {
			return
		}
		go s.run(key, r, t)
		time.Sleep(apart)
	}
}

// begin takes the next turn; nil if nobody waits for one.
func (s *shared[K, V]) begin(key K, r *reads[V]) *turn[V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := r.next
	if t == nil {
		<-r.busy
		r.paced = false
		s.tidy(key, r)
		return nil
	}
	r.next, r.under = nil, append(r.under, t)
	return t
}

func (s *shared[K, V]) run(key K, r *reads[V], t *turn[V]) {
	ctx, cancel := context.WithTimeout(context.Background(), ordinary)
	defer cancel()
	value, err := s.read(ctx, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	<-r.busy
	if k := slices.Index(r.under, t); k >= 0 { // nobody has overtaken it
		first := k // a failure is its own only
		if err == nil {
			first = 0
		}
		for _, answered := range r.under[first : k+1] {
			answered.value, answered.err = value, err
			close(answered.done)
		}
		r.under = slices.Delete(r.under, first, k+1)
	}
	s.tidy(key, r)
}

// tidy forgets a key that nobody asks for. The lock is held.
func (s *shared[K, V]) tidy(key K, r *reads[V]) {
	if !r.paced && len(r.busy) == 0 && s.reads[key] == r {
		delete(s.reads, key)
	}
}
