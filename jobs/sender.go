package jobs

import (
	"context"
	"errors"
	"sync"
	"time"

	"rollcall/mail"
)

// sendAll runs a sender for each connection, and as many who compose, until ctx
// ends.
func (m *Mailer) sendAll(ctx context.Context) {
	var composing, sending sync.WaitGroup
	composed, returned := make(chan *attempt), make(chan *attempt)
	for range m.postman.pools.Size {
		composing.Go(func() { m.composeAll(ctx, composed) })
		s := &sender{Mailer: m, composed: composed, returned: returned}
		sending.Go(s.run)
	}
	composing.Wait()
	close(composed)
	sending.Wait()
}

// sender makes one attempt after the other, and has the mail server asked for the
// next mail with the content of the last. The content of a mail is not sent
// before the one before it is marked as handed over: a worker that is killed
// leaves no more mails to be sent twice than it has senders, however slow the
// database is.
type sender struct {
	*Mailer
	composed <-chan *attempt // whichever sender is free takes the next
	returned chan *attempt   // those that another was to send, and is held up

	last   *attempt     // may have been handed over, and is not known to be marked; nil: none
	marked <-chan error // whether last is marked; nil: it will not be

	pool     *mail.Pool // of sequence
	sequence *mail.Sequence
	next     *attempt      // of which the server may have been told; nil: none
	usual    time.Duration // what the server took over the last content; 0: not known
}

// patience is how long a mail waits for the one before it, at least, until it may
// go by any other connection that is free. A server that is slow with every mail
// is given longer, for a mail that changes hands costs a connection.
const patience = time.Second

// run sends until there is no more to be sent.
func (s *sender) run() {
	for a := s.take(); a != nil; a = s.take() {
		a.end(s.send(a))
	}
	if s.sequence != nil {
		s.sequence.Forgo()
	}
}

// take returns what is to be sent next; nil: nothing will come.
func (s *sender) take() *attempt {
	if a := s.next; a != nil {
		s.next = nil
		return a
	}
	select {
	case a := <-s.returned:
		return a
	case a := <-s.composed:
		return a
	}
}

// send makes an attempt.
func (s *sender) send(a *attempt) error {
	err := s.deliver(a)
	if s.last != nil { // it never got that far
		return err
	}
	var f *mail.Failure
	switch {
	case err == nil:
		marked := make(chan error, 1)
		s.last, s.marked = a, marked
		if err := s.marker.ask(a.ctx, a.out, func(err error) { marked <- err }); err != nil {
			s.marked = nil
		}
	case errors.As(err, &f) && f.Class == mail.Unknown:
		s.last, s.marked = a, nil
	}
	return err
}

// deliver has the mail server take a mail, and asks it for the next one.
func (s *sender) deliver(a *attempt) (err error) {
	defer s.caught(&err)
	if s.pool != a.way.pool {
		if s.sequence != nil {
			s.sequence.Forgo()
		}
		s.pool, s.sequence, s.usual = a.way.pool, a.way.pool.Sequence(), 0
	}
	withdraw := func() (taken bool) { return false }
	defer func() {
		if withdraw() {
			s.next = nil
		}
		if s.next == nil {
			s.sequence.Forgo()
		}
	}()
	return s.sequence.Deliver(a.ctx, a.mail, mail.Handling{Ready: s.ready, Next: func() (mail.Composed, bool) {
		next := s.choose()
		if next == nil {
			return mail.Composed{}, false
		}
		s.next, withdraw = next, s.offer(next)
		return next.mail, next.way.pool == s.pool && hasTimeBehind(next.ctx)
	}})
}

// choose returns a mail to be sent next, if there is one.
func (s *sender) choose() *attempt {
	select {
	case a := <-s.returned: // it has waited for long
		return a
	default:
	}
	select {
	case a := <-s.composed:
		return a
	default:
		return nil
	}
}

// hasTimeBehind reports whether a mail that waits for another one will likely have
// the time it needs. Asked for and not sent it would cost a connection.
func hasTimeBehind(ctx context.Context) bool {
	end, bounded := ctx.Deadline()
	return !bounded || time.Until(end) > mailRoom+patience
}

// ready waits for the last mail to be marked, or to be on record.
func (s *sender) ready(ctx context.Context) error {
	for s.last != nil {
		select {
		case err := <-s.marked:
			if s.marked = nil; err == nil {
				s.last = nil
			}
		case <-s.last.settled:
			s.last = nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// offer lets any other sender have the next mail once it has waited for long, or
// ends it when its time is over. Call withdraw when it need not wait any longer:
// it tells whether that has happened.
func (s *sender) offer(next *attempt) (withdraw func() (gone bool)) {
	began, over, gone := time.Now(), make(chan struct{}), make(chan bool, 1)
	timer := time.AfterFunc(max(patience, 3*s.usual), func() {
		select {
		case s.returned <- next:
			gone <- true
		case <-next.ctx.Done():
			next.end(canceledAttempt(next.ctx))
			gone <- true
		case <-over:
			gone <- false
		}
	})
	return func() bool {
		s.usual = time.Since(began)
		if timer.Stop() {
			return false
		}
		close(over)
		return <-gone
	}
}
