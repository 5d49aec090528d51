package jobs

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"rollcall/mail"
	"rollcall/storage"
)

// attempt is one attempt to send an invitation.
type attempt struct {
	ctx     context.Context
	out     storage.Outgoing
	ended   chan error    // how it went; has room
	settled chan struct{} // closed when that is on record, or nobody tries to record it any longer

	way  *route        // by which it goes
	mail mail.Composed // what goes
}

// attempt has a sender make an attempt. Call settled when its outcome is on
// record, or will not be.
func (m *Mailer) attempt(ctx context.Context, out storage.Outgoing) (settled func(), err error) {
	ctx, cancel := lasting(ctx, m.cfg.Lease-m.cfg.Lease/10, m.cfg.Grace)
	defer cancel()
	a := &attempt{ctx: ctx, out: out, ended: make(chan error, 1), settled: make(chan struct{})}
	select {
	case m.attempts <- a:
		return func() { close(a.settled) }, <-a.ended
	case <-ctx.Done():
		return func() {}, canceledAttempt(ctx)
	}
}

func canceledAttempt(ctx context.Context) error {
	return &mail.Failure{Class: mail.Canceled, Stage: mail.StageConnect, Err: context.Cause(ctx)}
}

// sendAll runs a sender for each connection, and as many who compose, until ctx
// ends.
func (m *Mailer) sendAll(ctx context.Context) {
	var all sync.WaitGroup
	composed := make(chan *attempt) // whichever connection is free takes the next
	var composing sync.WaitGroup
	for range m.postman.pools.Size {
		composing.Go(func() { m.composeAll(ctx, composed) })
		s := &sender{Mailer: m}
		all.Go(func() {
			for a := range composed {
				a.ended <- s.send(a)
			}
		})
	}
	composing.Wait()
	close(composed)
	all.Wait()
}

// sender makes one attempt after the other. The content of a mail is not sent
// before the one before it is marked as handed over: a worker that is killed
// leaves no more mails to be sent twice than it has senders, however slow the
// database is.
type sender struct {
	*Mailer
	last   *attempt     // may have been handed over, and is not known to be marked; nil: none
	marked <-chan error // whether last is marked; nil: it will not be
}

// composeAll composes the mails of attempts until ctx ends, each while others are
// sent.
func (m *Mailer) composeAll(ctx context.Context, composed chan<- *attempt) {
	for {
		select {
		case a := <-m.attempts:
			if err := m.compose(a); err != nil {
				a.ended <- err
				continue
			}
			select {
			case composed <- a:
			case <-a.ctx.Done():
				a.ended <- canceledAttempt(a.ctx)
			}
		case <-ctx.Done():
			return
		}
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
		s.last = a
		s.marked, _ = s.marker.begin(a.ctx, a.out)
	case errors.As(err, &f) && f.Class == mail.Unknown:
		s.last, s.marked = a, nil
	}
	return err
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

// compose writes the mail. Every attempt of one generation has the same Message-ID
// and the same link, so a mail that arrives twice is seen to be one.
func (m *Mailer) compose(a *attempt) (err error) {
	defer m.caught(&err)
	if a.way, err = m.postman.route(a.ctx, a.out.SettingsAt); err != nil {
		return err
	}
	if a.way.fault != nil {
		return a.way.fault
	}
	message, err := mail.RenderInvitation(mail.Invitation{
		Brand: m.cfg.Brand, From: a.way.from, To: a.out.Email, Name: a.out.Name,
		Link:      m.cfg.PublicURL + "/invite/" + m.signer.InvitationToken(a.out.UserID, int(a.out.Generation)),
		ExpiresAt: a.out.ExpiresAt,
		MessageID: messageID(a.out, a.way.from),
	})
	if err != nil {
		return err
	}
	a.mail, err = message.Compose()
	return err
}

func (s *sender) deliver(a *attempt) (err error) {
	defer s.caught(&err)
	return a.way.pool.Deliver(a.ctx, a.mail, s.ready)
}

// caught makes an error of a panic. It is deferred.
func (m *Mailer) caught(err *error) {
	if p := recover(); p != nil {
		*err = m.panicked(p)
	}
}

// panicked logs where, not what, and puts it down to this one invitation.
func (m *Mailer) panicked(p any) error {
	m.meter.panics.WithLabelValues(atInvitation).Inc()
	m.log.Error("panic while sending an invitation", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
	return &mail.Failure{Class: mail.Temporary, Stage: mail.StageCompose, Err: errors.New("panic")}
}
