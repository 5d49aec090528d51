package jobs

import (
	"context"
	"errors"
	"sync"
	"time"

	"rollcall/mail"
)

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
	next     *attempt // of which the server may have been told; nil: none
}

// patience is how long a mail that was asked for in one breath with another waits
// for it, before it goes by any connection that is free.
const patience = time.Second

// run sends until there is no more to be sent.
func (s *sender) run() {
	for a := s.take(); a != nil; a = s.take() {
		a.end(s.send(a))
	}
	if s.sequence != nil {
		s.sequence.Close()
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
			s.sequence.Close()
		}
		s.pool, s.sequence = a.way.pool, a.way.pool.Sequence()
	}
	settle := func() {}
	defer func() {
		if settle(); s.next == nil {
			s.sequence.Close() // somebody else has the mail that the server was asked for
		}
	}()
	return s.sequence.Deliver(a.ctx, a.mail, mail.Handling{Ready: s.ready, Next: func() (mail.Composed, bool) {
		select {
		case s.next = <-s.composed:
		default:
		}
		if s.next == nil || s.next.way.pool != s.pool {
			return mail.Composed{}, false
		}
		settle = s.offer()
		return s.next.mail, true
	}})
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

// offer lets any other sender have the next mail once it has waited for long. Call
// settle when it need not wait any longer.
func (s *sender) offer() (settle func()) {
	over := make(chan struct{})
	var offering sync.WaitGroup
	offering.Add(1)
	timer := time.AfterFunc(patience, func() {
		defer offering.Done()
		select {
		case s.returned <- s.next:
			s.next = nil
		case <-over:
		}
	})
	return func() {
		if !timer.Stop() {
			close(over)
			offering.Wait()
		}
	}
}
