package mail

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"rollcall/internal/egress"
)

// ProbeTime is the longest time that a failure to reach a mail server in a
// private network takes. A caller that shows such a failure waits until then,
// so that the timing reveals no more than the text; see [Failure.Concealed].
const ProbeTime = 8 * time.Second

var errNotReached = errors.New("no mail server could be reached there")

// probe keeps the settings page from being used as a port scanner. An
// administrator may name a server in the private network, but must not learn
// whether a port there is closed, filtered, or open for something other than
// mail. Until a server has answered EHLO, all failures look the same.
type probe struct {
	began   time.Time
	private atomic.Bool // an address outside the public Internet was dialed
}

// check validates addresses against within and remembers private ones.
func (p *probe) check(within *egress.Addresses) func(netip.Addr) error {
	return func(addr netip.Addr) error {
		err := within.Check(addr)
		if err == nil && !egress.Public(addr) {
			p.private.Store(true)
		}
		return err
	}
}

// deadline returns when the server must have answered EHLO: usual for a public
// address.
func (p *probe) deadline(usual time.Time) time.Time {
	if end := p.began.Add(ProbeTime); p.private.Load() && end.Before(usual) {
		return end
	}
	return usual
}

// hide removes from a failure what it would reveal about a private address.
func (p *probe) hide(f *Failure) *Failure {
	if !p.private.Load() {
		return f
	}
	return &Failure{Class: ServerDown, Stage: StageConnect, Err: errNotReached}
}

// Concealed reports whether the server in a private network could not be
// reached; all such failures look the same.
func (f *Failure) Concealed() bool { return errors.Is(f.Err, errNotReached) }
