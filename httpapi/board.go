package httpapi

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
)

const (
	// perWaiter spreads the answers to a crowd: a change is shown to so many
	// waiters no sooner than this much for each of them after the last one.
	// Five hundred are told every four seconds, not twice a second.
	perWaiter = 8 * time.Millisecond
	// longestPace bounds that.
	longestPace = 5 * time.Second
	// perWaiterAtRest and longestAtRest are the same for the end, which nobody is
	// kept waiting for: five hundred are told within half a second.
	perWaiterAtRest = time.Millisecond
	longestAtRest   = 500 * time.Millisecond
	// fewWaiters are told of the end at once.
	fewWaiters = 20
	// linger is how long an import stays on the board after the last waiter left.
	// Who polls again at once finds it there, and the pace is kept.
	linger = time.Second
	// lookAgain is when an import is read again after the database was away.
	lookAgain = time.Second
)

// watcher tells when an import has changed.
type watcher interface {
	Watch(id uuid.UUID) (changed <-chan struct{}, stop func())
}

// board shows imports to those who wait for a change of them. However many wait
// for one, a single goroutine notices its changes, reads it once for each, and
// shows all of them the same snapshot: at once when the import has come to rest,
// otherwise at a pace, because the batches of a large import change it some
// twenty times a second, and one waiter after the other.
type board struct {
	watcher watcher
	read    func(context.Context, uuid.UUID) (*roster.Import, error)
	gap     time.Duration // the least between two snapshots

	mu    sync.Mutex
	shown map[uuid.UUID]*showing
}

func newBoard(w watcher, read func(context.Context, uuid.UUID) (*roster.Import, error), gap time.Duration) *board {
	return &board{watcher: w, read: read, gap: gap, shown: map[uuid.UUID]*showing{}}
}

// showing is one import on the board.
type showing struct {
	id uuid.UUID

	mu     sync.Mutex
	now    *snapshot     // nil until it has been read
	turned chan struct{} // closed when now is replaced
	free   time.Time     // when it may be replaced by another that is not at rest
	crowd  int           // how many wait
	ended  chan struct{} // closed when the last of them has left
}

// snapshot is an import at one revision. It belongs to all who see it and must
// not be changed.
type snapshot struct {
	*roster.Import
	encode sync.Once
	data   []byte
}

// json is the import without its errors, encoded once for all.
func (s *snapshot) json() []byte {
	s.encode.Do(func() {
		data, err := json.Marshal(viewOf(s.Import))
		if err != nil {
			panic(err) // of our own types: a mistake in the program
		}
		s.data = data
	})
	return s.data
}

// follow waits at an import; it is put on the board if it is not there yet.
// leave must be called, once.
func (b *board) follow(id uuid.UUID) (s *showing, leave func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s = b.shown[id]
	if s == nil {
		s = &showing{id: id, turned: make(chan struct{})}
		b.shown[id] = s
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crowd++; s.crowd == 1 {
		s.ended = make(chan struct{})
		go b.keep(s, s.ended)
	}
	return s, func() { b.leave(s) }
}

func (b *board) leave(s *showing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crowd--; s.crowd == 0 {
		close(s.ended)
		time.AfterFunc(linger, func() { b.forget(s) })
	}
}

// forget takes an import off the board unless somebody waits for it again.
func (b *board) forget(s *showing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crowd == 0 && b.shown[s.id] == s {
		delete(b.shown, s.id)
	}
}

// look is what is shown, nil for nothing yet, and a channel that is closed when
// something else is.
func (s *showing) look() (now *snapshot, turned <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, s.turned
}

// share is how long it takes to tell all who wait. The lock is held.
func (s *showing) share() time.Duration { return min(time.Duration(s.crowd)*perWaiter, longestPace) }

// lag is how much later than others a waiter is told: all of them at once would
// keep everybody else waiting. That an import has come to rest is told in a
// fraction of a second, however many wait for it.
func (s *showing) lag(now *snapshot) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if atRest(now.Import) {
		if s.crowd < fewWaiters {
			return 0
		}
		return rand.N(min(time.Duration(s.crowd)*perWaiterAtRest, longestAtRest))
	}
	return rand.N(max(1, s.share()/2-perWaiter))
}

// keep notices the changes of an import until the last of those who wait has
// left.
func (b *board) keep(s *showing, ended <-chan struct{}) {
	changed, stop := b.watcher.Watch(s.id) // before the first read, so that no change slips between
	defer stop()
	due := time.NewTimer(0)
	defer due.Stop()
	for {
		select {
		case <-changed:
		case <-due.C:
		case <-ended:
			return
		}
		again := lookAgain
		if i, err := b.readOnce(s.id); err == nil {
			again = s.show(i, b.gap)
		}
		due.Stop()
		if again > 0 {
			due.Reset(again)
		}
	}
}

func (b *board) readOnce(id uuid.UUID) (*roster.Import, error) {
	ctx, cancel := context.WithTimeout(context.Background(), ordinary)
	defer cancel()
	return b.read(ctx, id)
}

// show replaces what is shown, if this is newer. If it is too early for that,
// it returns when to come again.
func (s *showing) show(i *roster.Import, gap time.Duration) (again time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != nil {
		early := time.Until(s.free)
		switch comesToRest := atRest(i) && !atRest(s.now.Import); {
		case i.Revision <= s.now.Revision:
			return 0
		case early > 0 && !comesToRest:
			return early
		}
	}
	s.now = &snapshot{Import: i}
	s.free = time.Now().Add(max(gap, s.share()))
	close(s.turned)
	s.turned = make(chan struct{})
	return 0
}
