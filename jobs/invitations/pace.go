package invitations

import (
	"sync"
	"time"
)

// paceSeconds is how far back the pace is measured.
const paceSeconds = 10

// pace measures how many mails this worker sends in a second. The zero value is
// ready for use.
type pace struct {
	mu     sync.Mutex
	counts [paceSeconds]int
	second [paceSeconds]int64 // that each count is of
}

// sent counts a mail.
func (p *pace) sent(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	second := now.Unix()
	at := second % paceSeconds
	if p.second[at] != second {
		p.counts[at], p.second[at] = 0, second
	}
	p.counts[at]++
}

// minPace is what counts as the pace of a worker that has sent less.
const minPace = 10

// perSecond returns the pace in the seconds in which anything was sent, at least
// minPace.
func (p *pace) perSecond(now time.Time) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	total, busy := 0, 0
	for at, second := range p.second {
		if now.Unix()-second < paceSeconds && p.counts[at] > 0 {
			total += p.counts[at]
			busy++
		}
	}
	if busy == 0 {
		return minPace
	}
	return max(minPace, float64(total)/float64(busy))
}
