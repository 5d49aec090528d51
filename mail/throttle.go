package mail

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/puddle/v2"
)

const (
	throttleQuiet    = time.Minute // without a rejection, before one more connection is tried
	throttleMinDelay = time.Second // before the next connection is opened; doubles
	throttleMaxDelay = time.Minute
	throttleAllDelay = 500 * time.Millisecond // before the next one while none works
)

// throttle keeps a [Pool] within the number of connections that the server
// allows. Servers do not announce that number: they greet a connection too many
// with 421 or another 4xx reply. Each connection rejected this way while others
// work takes a slot out of use; after a quiet minute one comes back.
type throttle struct {
	told func(connections int, f *Failure) // may be nil

	mu       sync.Mutex
	opening  int                       // connections being opened
	open     int                       // connections that can carry mail
	changed  chan struct{}             // closed when opening or open changes
	withheld []*puddle.Resource[*slot] // slots out of use
	delay    time.Duration             // doubles with every rejection; 0 between episodes
	opensAt  time.Time                 // no connection is opened earlier
	quiet    *time.Timer               // runs during an episode
	size     int
	stop     chan struct{} // closed by close
}

func newThrottle(size int, told func(int, *Failure)) *throttle {
	return &throttle{size: size, told: told, changed: make(chan struct{}), stop: make(chan struct{})}
}

// begin waits until a connection may be opened. Each begin without an error
// must be followed by one ended.
func (t *throttle) begin(ctx context.Context) error {
	for {
		t.mu.Lock()
		wait := time.Until(t.opensAt)
		if wait <= 0 {
			t.opening++
			t.mu.Unlock()
			return nil
		}
		t.mu.Unlock()
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.stop:
			return ErrClosed
		}
	}
}

// ended records whether the connection was opened.
func (t *throttle) ended(opened bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.opening--
	if opened {
		t.open++
	}
	t.announce()
}

func (t *throttle) closed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open--
	t.announce()
}

func (t *throttle) announce() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// withhold takes held out of use if failure means one connection too many,
// started at begun. While no connection works and others are being opened it
// waits for them: a server that rejects all is down, or busy with other
// clients. In that case the caller decides how long all sending pauses, and
// only the next connection waits for a second.
func (t *throttle) withhold(ctx context.Context, held *puddle.Resource[*slot], failure *Failure, begun time.Time) bool {
	if failure.Code < 400 || failure.Code >= 500 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.open == 0 && t.opening > 0 {
		changed := t.changed
		t.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		t.mu.Lock()
		if ctx.Err() != nil {
			return false
		}
	}
	if t.open == 0 || t.isStopped() {
		t.opensAt = time.Now().Add(throttleAllDelay)
		return false
	}
	t.postpone(begun)
	t.withheld = append(t.withheld, held)
	if t.quiet == nil {
		t.quiet = time.AfterFunc(throttleQuiet, t.relax)
		if t.told != nil {
			t.told(t.size-len(t.withheld), failure)
		}
	} else {
		t.quiet.Reset(throttleQuiet)
	}
	return true
}

// postpone delays the next connection, twice as long as the one before. A
// connection that was started before that delay was known does not double it
// again.
func (t *throttle) postpone(begun time.Time) {
	if t.delay > 0 && begun.Before(t.opensAt) {
		return
	}
	t.delay = min(max(2*t.delay, throttleMinDelay), throttleMaxDelay)
	t.opensAt = time.Now().Add(t.delay)
}

// relax brings one slot back after a quiet period, and ends the episode after
// another one with all slots in use.
func (t *throttle) relax() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.isStopped() {
		return
	}
	if len(t.withheld) == 0 {
		t.quiet, t.delay = nil, 0
		return
	}
	last := len(t.withheld) - 1
	t.withheld[last].Destroy()
	t.withheld = t.withheld[:last]
	t.quiet.Reset(throttleQuiet)
}

func (t *throttle) isStopped() bool {
	select {
	case <-t.stop:
		return true
	default:
		return false
	}
}

// close gives all slots back, since a pool closes only with all of them.
func (t *throttle) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.isStopped() {
		return
	}
	close(t.stop)
	if t.quiet != nil {
		t.quiet.Stop()
	}
	for _, held := range t.withheld {
		held.Destroy()
	}
	t.withheld = nil
}
