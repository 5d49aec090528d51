package invitations

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"rollcall/mail"
	"rollcall/roster"
	"rollcall/storage"
)

// task is the work on the invitations claimed by one [Sender.Send].
type task struct {
	sender    *Sender
	life      *life           // that the invitations were claimed with; nil: without a heartbeat
	stop      context.Context // ends when the worker is to stop
	sending   context.Context // bounds the attempts
	recording context.Context // bounds the recording of their outcomes
	results   chan error      // of recording; has room for all
	down      atomic.Bool     // the mail server was found to be away, or to refuse everything
}

// errServerDown is why the rest of a task is given back: what one mail has found
// out, the others need not.
var errServerDown = errors.New("the mail server is unavailable")

// run makes the attempts, and returns when all outcomes are recorded or time is
// up.
func (t *task) run(claimed []storage.InvitationMail) error {
	t.sender.open.Add(int64(len(claimed)))
	var attempts sync.WaitGroup
	defer attempts.Wait()
	for _, out := range claimed {
		if out.HandedOff { // by a worker that died before recording it
			t.sender.outcomes.Submit(t.recording, outcomeFor(out, roster.InvitationSent), t.done)
		}
	}
	for _, out := range claimed {
		if out.HandedOff {
			continue
		}
		if err := t.take(t.sender.begun); err != nil {
			t.record(out, err, t.done)
			continue
		}
		attempts.Go(func() {
			defer func() { <-t.sender.begun }()
			t.attempt(out)
		})
	}
	var errs []error
	for range claimed {
		select {
		case err := <-t.results:
			errs = append(errs, err)
		case <-t.recording.Done():
			return errors.Join(append(errs, t.recording.Err())...)
		}
	}
	return errors.Join(errs...)
}

// done reports the result of recording one outcome.
func (t *task) done(err error) {
	t.sender.open.Add(-1)
	t.results <- err
}

// take puts a token into places. It fails if the worker is to stop, or if the
// time for attempts ends, before there is room.
func (t *task) take(places chan<- struct{}) error {
	cause := t.stop
	if cause.Err() == nil {
		select {
		case places <- struct{}{}:
			return nil
		case <-t.stop.Done():
		case <-t.sending.Done():
			cause = t.sending
		}
	}
	return &mail.Failure{Class: mail.Canceled, Stage: mail.StageConnect, Err: context.Cause(cause)}
}

// attempt sends one mail and records the outcome. It sends the content only
// while fewer mails are sent but unrecorded than there are connections: a
// killed worker leaves at most that many to be sent twice, however slow the
// database is.
func (t *task) attempt(out storage.InvitationMail) {
	held := false // a token of t.sender.unrecorded
	err := t.send(out, func(ctx context.Context) error {
		select {
		case t.sender.unrecorded <- struct{}{}:
			held = true
			return t.life.await(ctx)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	failure, _ := errors.AsType[*mail.Failure](err)
	if failure != nil && (failure.Class == mail.ServerDown || failure.Systemic || failure.Throttled) {
		t.down.Store(true)
	}
	safe := err != nil && (failure == nil || failure.Class != mail.Unknown) // it is not out
	if err == nil {
		safe = t.sender.handoffs.Do(t.recording, out) == nil
	}
	if held && safe {
		<-t.sender.unrecorded
		held = false
	}
	t.record(out, err, func(err error) {
		if held {
			<-t.sender.unrecorded
		}
		t.done(err)
	})
}

// send composes a mail and hands it to the mail server; it calls ready just
// before sending the content.
func (t *task) send(out storage.InvitationMail, ready func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = t.panicked(p)
		}
	}()
	m, err := t.sender.transport.at(t.sending, out.SettingsAt)
	if err != nil {
		return err
	}
	if m.fault != nil {
		return m.fault
	}
	texts, err := t.sender.texts.at(t.sending, out.TextsAt)
	if err != nil {
		return err
	}
	message, err := t.sender.compose(out, texts, m.From)
	if err != nil {
		return err
	}
	message.Ready = ready
	if err := t.take(t.sender.connected); err != nil {
		return err
	}
	defer func() { <-t.sender.connected }()
	if t.down.Load() {
		return &mail.Failure{Class: mail.Canceled, Stage: mail.StageConnect, Err: errServerDown}
	}
	return m.pool.Send(t.sending, message)
}

// record records an outcome and calls done with the result. If the mail server
// is unavailable, a pause is recorded first, once for all attempts that find
// out at the same time.
func (t *task) record(out storage.InvitationMail, attempt error, done func(error)) {
	outcome, pause := t.sender.outcome(out, attempt)
	var failed error
	if pause.Reason != "" && t.sender.pausing.CompareAndSwap(false, true) {
		limited, cancel := context.WithTimeout(t.recording, recordTimeout)
		pause.First = t.sender.cfg.PauseMin
		failed = t.sender.store.PauseMail(limited, pause)
		cancel()
		t.sender.pausing.Store(false)
	}
	t.sender.outcomes.Submit(t.recording, outcome, func(err error) { done(errors.Join(failed, err)) })
}

// panicked logs the location, not the value, and returns a failure of this one
// invitation.
func (t *task) panicked(p any) error {
	t.sender.metrics.panics.Inc()
	t.sender.log.Error("panic while sending an invitation", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
	return &mail.Failure{Class: mail.Temporary, Stage: mail.StageCompose, Err: errors.New("panic")}
}
