package jobs

import (
	"sync"
	"time"
)

// importPriority delays a worker's mail while the worker runs imports. Both
// need CPU and PostgreSQL; a person is watching the import, while a mail can
// arrive some seconds later. Mail is delayed by maxMailDelay at most, however
// many imports follow each other.
type importPriority struct {
	importing func(bool) // called when running leaves 0 and when it returns to 0

	mu      sync.Mutex
	running int       // imports in progress
	since   time.Time // start of the current busy period
	handed  time.Time // when the last one was handed back unfinished
}

const (
	maxMailDelay = 15 * time.Second       // mail is never delayed longer
	resumeGrace  = 250 * time.Millisecond // until an import that was handed back resumes
)

// begin and end enclose the work on one import; more says that the import
// continues, here or on another worker.
func (p *importPriority) begin(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.busy(now) {
		p.since = now
	}
	if p.running++; p.running == 1 {
		p.importing(true)
	}
}

func (p *importPriority) end(now time.Time, more bool) {
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

func (p *importPriority) busy(now time.Time) bool {
	return p.running > 0 || now.Sub(p.handed) < resumeGrace
}

// deferMail reports whether imports go first right now.
func (p *importPriority) deferMail(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy(now) && now.Sub(p.since) < maxMailDelay
}
