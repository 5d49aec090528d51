package jobs

import (
	"sync"
	"time"
)

// precedence has a worker's mail wait while it is busy with imports. Both want
// the same two things, the processor and PostgreSQL, and somebody is looking at
// the import, while a mail may as well come some seconds later. It does not wait
// for longer than that however many imports follow each other.
type precedence struct {
	importing func(bool) // told when running leaves 0 and comes back to it

	mu      sync.Mutex
	running int       // imports in hand
	since   time.Time // when they began to come without a break
	handed  time.Time // when the last one was handed back with more to do
}

const (
	headStart = 15 * time.Second       // mail waits no longer than that
	handOver  = 250 * time.Millisecond // until an import that was handed back is taken up again
)

// begin and end stand around the work on an import; more says that the work goes
// on, here or elsewhere.
func (p *precedence) begin(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.busy(now) {
		p.since = now
	}
	if p.running++; p.running == 1 {
		p.importing(true)
	}
}

func (p *precedence) end(now time.Time, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running--; p.running == 0 {
		p.importing(false)
	}
	p.handed = time.Time{}
	if more {
		p.handed = now
	}
}

func (p *precedence) busy(now time.Time) bool {
	return p.running > 0 || now.Sub(p.handed) < handOver
}

// mailWaits reports whether imports go first at this moment.
func (p *precedence) mailWaits(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy(now) && now.Sub(p.since) < headStart
}
