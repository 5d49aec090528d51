package invitations

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"rollcall/mail"
	"rollcall/roster"
	"rollcall/storage"
)

// A reminder that is refused for good is tried so often, in these intervals.
const (
	refusedReminderAttempts = 3
	refusedReminderWait     = time.Hour
)

func outcomeFor(out storage.InvitationMail, status roster.InvitationStatus) storage.SendResult {
	return storage.SendResult{UserID: out.UserID, ReminderID: out.ReminderID, Worker: out.Worker, Dispatch: out.Dispatch, Generation: out.Generation, Status: status}
}

// outcome decides what an attempt's error means for the invitation, and whether
// all sending pauses. An invitation that is not at fault is due again at once:
// the pause holds it back, and those that have waited longer go first.
//
// A refusal for good fails the invitation here. If the server refuses others too
// and accepts none, [storage.Store.RecordOutcomes] makes it pending again.
func (s *Sender) outcome(out storage.InvitationMail, err error) (storage.SendResult, storage.MailPause) {
	o := outcomeFor(out, roster.InvitationPending)
	var f *mail.Failure
	switch {
	case err == nil:
		s.metrics.sent(nil)
		s.pace.sent(time.Now())
		if out.ReminderID != uuid.Nil {
			s.metrics.reminders.Inc()
		}
		o.Status = roster.InvitationSent
		return o, storage.MailPause{}
	case !errors.As(err, &f):
		return s.configFailure(o, err)
	}
	s.metrics.sent(f)
	o.Error = serverReply(f)
	switch {
	case f.Class == mail.Permanent && out.ReminderID != uuid.Nil:
		// The same server has accepted mail to this recipient before, so it may be
		// at fault. Whether it is, only invitations decide: a reminder waits.
		o.Wait = refusedReminderWait
		if out.Attempts >= refusedReminderAttempts {
			o.Status = roster.InvitationFailed
		}
	case f.Class == mail.Permanent:
		o.Status = roster.InvitationFailed
		if f.IsRefusal() {
			o.Refusal, o.Systemic = f.Key(), f.Systemic
		}
	case f.Throttled:
		s.log.Warn("mail server asks for fewer emails; slowing down", "stage", f.Stage, "code", f.Code)
		o.Spared = true
		return o, storage.MailPause{Reason: o.Error, Most: s.cfg.PauseMax, Rate: s.pace.perSecond(time.Now())}
	case f.Class == mail.ServerDown:
		s.log.Warn("mail server unavailable or rejecting us; pausing delivery", "stage", f.Stage, "code", f.Code, "error", f.Error())
		o.Spared = true
		return o, storage.MailPause{Reason: o.Error, Most: s.cfg.PauseMax, Configuration: f.Configuration}
	case f.Class == mail.Canceled:
		o.Spared = true
		if f.Stage == mail.StageConnect { // not started, so there is nothing to report
			o.Error = ""
		}
	case f.Class == mail.Unknown:
		// It may have arrived. Try once more, later, with the same Message-ID;
		// the second time counts as sent, because a lossy connection would
		// otherwise send it over and over.
		o.Unknown, o.Wait = true, s.backoff(out.Attempts)
		if out.Unknowns > 0 {
			o.Status = roster.InvitationSent
		}
	default:
		o.Wait = s.backoff(out.Attempts)
		if out.Attempts >= s.cfg.GiveUp {
			o.Status = roster.InvitationFailed
		}
	}
	return o, storage.MailPause{}
}

// configFailure is the outcome of an attempt that never reached a mail server.
// Its pauses do not grow: checking whether a server is configured by now is
// cheap.
func (s *Sender) configFailure(o storage.SendResult, err error) (storage.SendResult, storage.MailPause) {
	s.metrics.mails.WithLabelValues(outcomeNotSendable).Inc()
	s.log.Warn("cannot send invitations", "error", err)
	o.Spared = true
	if transient(err) { // the settings could not be read
		o.Wait = s.cfg.PauseMin
		return o, storage.MailPause{}
	}
	o.Error = err.Error()
	return o, storage.MailPause{Reason: o.Error, Most: s.cfg.PauseMin, Configuration: true}
}

// serverReply is the reply shown to people for a failure: the server's own if
// it sent one.
func serverReply(f *mail.Failure) string {
	if f.Reply == "" {
		return f.Error()
	}
	if f.Code == 0 { // of a token endpoint
		return f.Reply
	}
	if f.Enhanced == "" {
		return fmt.Sprintf("%d %s", f.Code, f.Reply)
	}
	return fmt.Sprintf("%d %s %s", f.Code, f.Enhanced, f.Reply)
}

// backoff doubles with every attempt, plus or minus a fifth so that a thousand
// deferred invitations do not come back all at once.
func (s *Sender) backoff(attempts int) time.Duration {
	wait := min(s.cfg.RetryMin<<min(max(attempts-1, 0), 20), s.cfg.RetryMax)
	return wait + time.Duration((rand.Float64()-0.5)*0.4*float64(wait))
}
