package mail

import (
	"context"
	"errors"
	"time"
)

// Sequence delivers mails one after the other over the connections of a pool. It
// is told which mail will be the next before it sends the content of one, and asks
// the server for both with one write: a mail takes one round trip. It is used by
// one goroutine at a time.
type Sequence struct {
	pool *Pool
	// held is the connection on which the server was asked for the next mail; nil:
	// none. It has its place among the pool's sends in flight.
	held *connection
}

// Sequence returns a sequence that has delivered nothing.
func (p *Pool) Sequence() *Sequence { return &Sequence{pool: p} }

// Handling is how a mail is delivered. The zero value: at once, and alone.
type Handling struct {
	// Ready is called when the server would take the content, and may wait: the
	// content is sent when it returns nil. Its error ends the attempt as
	// [Canceled], and the connection with it.
	Ready func(ctx context.Context) error
	// Next, which must not wait, is the mail to be delivered after this one, if
	// there is one already. It is asked once at the most, just before the content
	// is sent. That mail should be what Deliver is given next: given another
	// one it closes the connection and begins anew.
	Next func() (m Composed, ok bool)
}

// Deliver hands m to the server and returns nil once the server has taken
// responsibility for it (RFC 5321, section 4.2.5). Any other outcome is a
// *[Failure].
//
// A kept-open connection that turns out to be closed is replaced once, by a
// fresh one, as long as nothing of the content was sent; so no message is ever
// handed over twice by one Deliver.
//
// The end of ctx closes the connection in use. Whoever shuts down in an orderly
// way gives a running Deliver the time to finish: interrupted between the final
// dot and its answer, it fails as [Unknown].
func (s *Sequence) Deliver(ctx context.Context, m Composed, h Handling) error {
	if failure := s.send(ctx, m.envelope, h); failure != nil {
		return failure
	}
	return nil
}

// Forgo says that the mail the server was asked for does not come, or not by this
// sequence: the connection on which the server waits for it is closed. There need
// not be one.
func (s *Sequence) Forgo() {
	if c := s.held; c != nil {
		s.held = nil
		c.broken = true // DATA cannot be taken back
		c.close()
		<-s.pool.slots
	}
}

func (s *Sequence) send(ctx context.Context, mail *envelope, h Handling) *Failure {
	failure := s.mayBegin(ctx)
	if s.held != nil && (s.held.asked != mail || failure != nil) {
		s.Forgo()
	}
	if failure != nil {
		return failure
	}
	c := s.held
	if c == nil {
		if failure := s.pool.acquire(ctx); failure != nil {
			return failure
		}
		c = s.pool.takeIdle()
	}
	s.held = nil
	defer func() {
		if s.held == nil {
			<-s.pool.slots
		}
	}()
	if c != nil {
		asked := c.asked == mail
		failure := s.deliver(ctx, c, mail, h)
		if failure == nil || ctx.Err() != nil {
			return failure
		}
		confused := asked && c.confused(failure)
		if confused {
			s.pool.oneByOne.Store(true)
		}
		if !confused && !c.stale(failure) {
			return failure
		}
	}
	if c, failure = s.pool.connect(ctx); failure != nil {
		return failure
	}
	return s.deliver(ctx, c, mail, h)
}

// errNoRoom is the cause of a [Canceled] failure for want of time.
var errNoRoom = errors.New("too little time is left to begin")

// mayBegin is why a mail cannot be begun in the time there is.
func (s *Sequence) mayBegin(ctx context.Context) *Failure {
	if ctx.Err() != nil {
		return &Failure{Class: Canceled, Stage: StageConnect, Err: context.Cause(ctx)}
	}
	if err := hasLeft(ctx, s.pool.config.Room); err != nil {
		return &Failure{Class: Canceled, Stage: StageConnect, Err: err}
	}
	return nil
}

// deliver has c deliver mail if there is still the time for it, and keeps c for
// the next.
func (s *Sequence) deliver(ctx context.Context, c *connection, mail *envelope, h Handling) *Failure {
	defer s.keep(c)
	if failure := s.mayBegin(ctx); failure != nil {
		return failure
	}
	if ready := h.Ready; ready != nil {
		h.Ready = func(ctx context.Context) error {
			if err := ready(ctx); err != nil {
				return err
			}
			return hasLeft(ctx, s.pool.config.Room/4) // for the last of four answers
		}
	}
	if s.pool.oneByOne.Load() {
		h.Next = nil
	}
	return c.deliver(ctx, mail, h)
}

func (s *Sequence) keep(c *connection) {
	if c.asked != nil && !c.broken {
		s.held = c
	} else {
		s.pool.put(c)
	}
}

// hasLeft returns errNoRoom if less than that is left of ctx.
func hasLeft(ctx context.Context, least time.Duration) error {
	if end, bounded := ctx.Deadline(); bounded && time.Until(end) < least {
		return errNoRoom
	}
	return nil
}
