package jobs

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"rollcall/mail"
	"rollcall/roster"
	"rollcall/storage"
)

// attempt is one attempt to send an invitation.
type attempt struct {
	ctx   context.Context
	out   storage.Outgoing
	ended chan<- *attempt // to whom it goes when it has ended; has room
	err   error           // how it ended

	once    sync.Once
	settled chan struct{} // closed when that is on record, or nobody tries to record it any longer

	way  *route        // by which it goes
	mail mail.Composed // what goes
}

func (a *attempt) end(err error) {
	a.err = err
	a.ended <- a
}

// settleGrace is left for recording when the worker is to stop.
const settleGrace = 5 * time.Second

// makeAttempts has the senders attempt what was claimed, and returns when that is
// on record.
func (m *Mailer) makeAttempts(ctx context.Context, claimed []storage.Claimed) error {
	trying, cancel := lasting(ctx, m.cfg.Lease-m.cfg.Lease/10, m.cfg.Grace)
	defer cancel()
	ended := make(chan *attempt, len(claimed))
	var attempts []*attempt
	for _, c := range claimed {
		if c.Err == nil {
			attempts = append(attempts, &attempt{ctx: trying, out: c.Outgoing, ended: ended, settled: make(chan struct{})})
		}
	}
	m.recorder.open.Add(int64(len(attempts)))
	var handing sync.WaitGroup
	defer handing.Wait()
	handing.Go(func() { m.handOut(ctx, attempts) })
	return m.settle(ctx, attempts, ended)
}

// handOut gives the attempts to the senders, who take them one by one, until ctx
// ends.
func (m *Mailer) handOut(ctx context.Context, attempts []*attempt) {
	for _, a := range attempts {
		if a.out.HandedOver { // by a worker that did not live to record it
			a.end(nil)
		}
	}
	for _, a := range attempts {
		if a.out.HandedOver {
			continue
		}
		select {
		case m.attempts <- a:
		case <-a.ctx.Done():
			a.end(canceledAttempt(a.ctx))
		case <-ctx.Done():
			a.end(canceledAttempt(ctx))
		}
	}
}

func canceledAttempt(ctx context.Context) error {
	return &mail.Failure{Class: mail.Canceled, Stage: mail.StageConnect, Err: context.Cause(ctx)}
}

// settle has the outcome of each attempt recorded as it ends, and returns when
// they all are, or will not be.
func (m *Mailer) settle(ctx context.Context, attempts []*attempt, ended <-chan *attempt) error {
	defer func() {
		for _, a := range attempts {
			m.settled(a)
		}
	}()
	var pausing sync.WaitGroup
	defer pausing.Wait()
	// Until well after the lease: nobody else can touch an invitation while the
	// database is away.
	waiting, cancel := lasting(ctx, 2*m.cfg.Lease, m.cfg.Grace+settleGrace)
	defer cancel()
	recorded := make(chan error, len(attempts))
	for range attempts {
		a := <-ended
		m.record(waiting, &pausing, a, func(err error) {
			m.settled(a)
			recorded <- err
		})
	}
	atMost, cancel := lasting(ctx, m.cfg.Lease, settleGrace)
	defer cancel()
	var errs []error
	for range attempts {
		select {
		case err := <-recorded:
			errs = append(errs, err)
		case <-atMost.Done():
			return errors.Join(append(errs, atMost.Err())...)
		case <-waiting.Done():
			return errors.Join(append(errs, waiting.Err())...)
		}
	}
	return errors.Join(errs...)
}

// settled is called when the outcome of a is on record, or will not be.
func (m *Mailer) settled(a *attempt) {
	a.once.Do(func() {
		close(a.settled)
		m.recorder.open.Add(-1)
	})
}

// record has the outcome of an attempt recorded, and told when it is. That a mail
// server is away goes on record first, beside other outcomes, which do not wait
// for that, and once for all who find out at the same time.
func (m *Mailer) record(ctx context.Context, pausing *sync.WaitGroup, a *attempt, told func(error)) {
	outcome, pause := outcomeOf(a.out, roster.InvitationSent), pause{}
	if !a.out.HandedOver {
		outcome, pause = m.outcome(a.out, a.err)
	}
	ask := func(told func(error)) {
		if err := m.recorder.ask(ctx, outcome, told); err != nil {
			told(err)
		}
	}
	if pause.reason == "" || !m.pausing.CompareAndSwap(false, true) {
		ask(told)
		return
	}
	pausing.Go(func() {
		limited, cancel := context.WithTimeout(ctx, recordTimeout)
		defer cancel()
		unpaused := m.store.PauseMail(limited, pause.reason, m.cfg.PauseMin, pause.most)
		m.pausing.Store(false)
		ask(func(err error) { told(errors.Join(unpaused, err)) })
	})
}

// lasting returns a context that outlives ctx by grace and ends after most at
// the latest.
func lasting(ctx context.Context, most, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
	unhook := context.AfterFunc(ctx, func() {
		end := time.AfterFunc(grace, cancel)
		context.AfterFunc(longer, func() { end.Stop() })
	})
	return longer, func() { unhook(); cancel() }
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
