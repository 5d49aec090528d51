// Package broadcast sends the progress of imports to any number of clients. A
// [Broadcaster] reads a changing import once for all clients that wait for it,
// and [Streams] sends it to them as server-sent events. The API and the admin
// panel share them.
package broadcast

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
)

const (
	// delayPerSubscriber spreads out notifications: with 500 subscribers
	// progress is published every four seconds, and each is notified at a
	// random moment in the first half of them. Notifying all of them twice a
	// second, at the same instant, would take CPU time from polls and imports.
	delayPerSubscriber = 8 * time.Millisecond
	maxInterval        = 5 * time.Second
	// endDelayPerSubscriber is the same for the end, which is never held back.
	endDelayPerSubscriber = time.Millisecond
	maxEndDelay           = 500 * time.Millisecond
	// fewSubscribers are notified at once.
	fewSubscribers = 20

	// idleTTL is how long a topic outlives its last subscriber. A client that
	// long-polls comes back within it, and the interval still applies.
	idleTTL = time.Second
	// readTimeout bounds one read of an import; retryInterval is the wait after
	// a failed one.
	readTimeout   = 10 * time.Second
	retryInterval = time.Second
)

// ErrStopping is returned to subscribers when the server shuts down.
var ErrStopping = errors.New("the server is shutting down")

// watcher reports that an import may have changed.
type watcher interface {
	Watch(id uuid.UUID) (changed <-chan struct{}, stop func())
}

// Config configures a Broadcaster. Watcher and Read are required.
type Config struct {
	Watcher watcher
	// Read reads an import as it is now.
	Read func(ctx context.Context, id uuid.UUID) (*roster.Import, error)
	// Interval is the minimum time between two publications of an import.
	// Default 500 ms. The end of the work on an import is published at once.
	Interval time.Duration
	// Stopping is closed when the server starts to shut down: every Next then
	// returns ErrStopping. Nil: never.
	Stopping <-chan struct{}
}

// Broadcaster publishes the changes of imports to their subscribers. It is safe
// for concurrent use.
type Broadcaster struct {
	Config

	mu     sync.Mutex // guards topics and their contents
	topics map[uuid.UUID]*topic
}

// topic is one import that has subscribers, or had until a moment ago.
type topic struct {
	id          uuid.UUID
	latest      *roster.Import // nil until it has been read
	stale       bool           // latest was read for subscribers who have all left
	changed     chan struct{}  // closed when latest is replaced
	nextAt      time.Time      // when progress may be published again
	subscribers int
	stop        context.CancelFunc // ends run, which runs while there are subscribers
}

// New makes a Broadcaster. It reads nothing while there are no subscribers.
func New(c Config) *Broadcaster {
	c.Interval = cmp.Or(c.Interval, 500*time.Millisecond)
	return &Broadcaster{Config: c, topics: map[uuid.UUID]*topic{}}
}

// Subscription follows one import. It is used by one goroutine at a time.
type Subscription struct {
	broadcaster *Broadcaster
	topic       *topic
}

// Subscribe follows an import, which need not exist. Close must be called once.
func (b *Broadcaster) Subscribe(id uuid.UUID) *Subscription {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[id]
	if t == nil {
		t = &topic{id: id, changed: make(chan struct{})}
		b.topics[id] = t
	}
	if t.subscribers++; t.subscribers == 1 {
		t.stale = t.latest != nil // no one has watched the import since it was read
		var ctx context.Context
		ctx, t.stop = context.WithCancel(context.Background())
		go b.run(ctx, t)
	}
	return &Subscription{b, t}
}

// Close ends the subscription.
func (s *Subscription) Close() {
	b, t := s.broadcaster, s.topic
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.subscribers--; t.subscribers == 0 {
		t.stop()
		time.AfterFunc(idleTTL, func() { b.forget(t) })
	}
}

func (b *Broadcaster) forget(t *topic) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.subscribers == 0 && b.topics[t.id] == t {
		delete(b.topics, t.id)
	}
}

// Next returns the import once a revision later than after is published, and
// not before notBefore. The error is that of ctx, or ErrStopping. The import is
// shared by all subscribers and must not be changed.
func (s *Subscription) Next(ctx context.Context, after int64, notBefore time.Time) (*roster.Import, error) {
	var next *roster.Import
	var due <-chan time.Time
	for {
		latest, changed, delay := s.look()
		if latest != nil && latest.Revision > after {
			if next == nil || AtRest(latest) && !AtRest(next) { // the end need not wait as long as progress
				due = time.After(max(delay, time.Until(notBefore)))
			}
			next = latest
		}
		select {
		case <-changed:
		case <-due:
			return next, nil
		case <-s.broadcaster.Stopping:
			return nil, ErrStopping
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// look returns the last published import, a channel that is closed when another
// one is published, and how long this subscriber waits before it is notified.
func (s *Subscription) look() (latest *roster.Import, changed <-chan struct{}, delay time.Duration) {
	s.broadcaster.mu.Lock()
	defer s.broadcaster.mu.Unlock()
	t := s.topic
	if t.stale {
		return nil, t.changed, 0
	}
	return t.latest, t.changed, jitter(t)
}

// jitter is the random delay of one subscriber of a topic.
func jitter(t *topic) time.Duration {
	switch {
	case t.latest == nil || t.subscribers < fewSubscribers:
		return 0
	case AtRest(t.latest):
		return rand.N(min(time.Duration(t.subscribers)*endDelayPerSubscriber, maxEndDelay))
	}
	return rand.N(min(time.Duration(t.subscribers)*delayPerSubscriber, maxInterval) / 2)
}

// Await waits for a revision later than after of which done is true, and returns
// it. The error is that of ctx, or ErrStopping.
func (b *Broadcaster) Await(ctx context.Context, id uuid.UUID, after int64, done func(*roster.Import) bool) (*roster.Import, error) {
	s := b.Subscribe(id)
	defer s.Close()
	for {
		i, err := s.Next(ctx, after, time.Time{})
		if err != nil || done(i) {
			return i, err
		}
		after = i.Revision
	}
}

// AtRest reports whether an import only changes on request.
func AtRest(i *roster.Import) bool { return !i.Status.Working() }

// run reads the import of a topic after each change, until ctx ends.
func (b *Broadcaster) run(ctx context.Context, t *topic) {
	changed, stop := b.Watcher.Watch(t.id) // before the first read, so that no change is missed
	defer stop()
	due := time.NewTimer(0)
	defer due.Stop()
	for {
		select {
		case <-changed:
		case <-due.C:
		case <-ctx.Done():
			return
		}
		if again := b.refresh(ctx, t); again > 0 {
			due.Reset(again)
		}
	}
}

// refresh reads an import and publishes it. If it is too early for that, it
// returns when to try again.
func (b *Broadcaster) refresh(ctx context.Context, t *topic) (again time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	i, err := b.Read(ctx, t.id)
	if err != nil {
		return retryInterval
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.latest != nil {
		if i.Revision <= t.latest.Revision {
			if t.stale {
				t.publish(t.latest)
			}
			return 0
		}
		comesToRest := AtRest(i) && !AtRest(t.latest)
		if early := time.Until(t.nextAt); early > 0 && !comesToRest {
			return early
		}
	}
	t.nextAt = time.Now().Add(max(b.Interval, min(time.Duration(t.subscribers)*delayPerSubscriber, maxInterval)))
	t.publish(i)
	return 0
}

// publish shows an import to the subscribers. The broadcaster is locked.
func (t *topic) publish(i *roster.Import) {
	t.latest, t.stale = i, false
	close(t.changed)
	t.changed = make(chan struct{})
}
