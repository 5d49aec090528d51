package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"rollcall/mail"
	"rollcall/roster"
	"rollcall/storage"
)

// MailerConfig says what invitations look like and how patient to be. Zero
// durations take the default.
type MailerConfig struct {
	Brand     string
	PublicURL string        // base of the link, without a trailing slash
	TTL       time.Duration // life of a link
	Lease     time.Duration // one attempt at most; default 5 min
	Grace     time.Duration // what is left to an attempt when the worker is to stop; default 15 s
	RetryMin  time.Duration // wait after the first temporary failure; doubles; default 30 s
	RetryMax  time.Duration // at most; default 1 h
	GiveUp    int           // temporary failures of one invitation before it fails; default 40, some 36 h
	PauseMin  time.Duration // first pause when the server is away; doubles; default 5 s
	PauseMax  time.Duration // at most; default 5 min
}

func (c *MailerConfig) fill() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.TTL, 72*time.Hour)
	def(&c.Lease, 5*time.Minute)
	def(&c.Grace, 15*time.Second)
	def(&c.RetryMin, 30*time.Second)
	def(&c.RetryMax, time.Hour)
	def(&c.PauseMin, 5*time.Second)
	def(&c.PauseMax, 5*time.Minute)
	if c.GiveUp == 0 {
		c.GiveUp = 40
	}
}

// linkSigner derives the token in a link; see auth.Signer.
type linkSigner interface {
	InvitationToken(userID uuid.UUID, generation int) string
}

// Mailer sends as many invitations at a time as its postman has connections.
type Mailer struct {
	store    *storage.Store
	log      *slog.Logger
	cfg      MailerConfig
	meter    *Metrics
	signer   linkSigner
	postman  *Postman
	marker   marker
	recorder *recorder
	attempts chan *attempt // to the senders
	pausing  atomic.Bool   // a pause is being put on record
}

// NewMailer makes a Mailer; [Mailer.Run] must be running for it to send.
func NewMailer(store *storage.Store, log *slog.Logger, meter *Metrics, signer linkSigner, postman *Postman, cfg MailerConfig) *Mailer {
	cfg.fill()
	return &Mailer{store: store, log: log, cfg: cfg, meter: meter, signer: signer, postman: postman,
		marker: newMarker(store, postman.pools.Size), recorder: newRecorder(store),
		attempts: make(chan *attempt)}
}

// Run sends, marks and records what [Mailer.Send] is given, until ctx ends; by
// then every Send must have returned.
func (m *Mailer) Run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { m.sendAll(ctx) })
	all.Go(func() { m.marker.run(ctx) })
	all.Go(func() { m.recorder.run(ctx) })
	all.Wait()
}

// Send claims invitations, hands them to the mail server and records how that
// went. An invitation that is out of date, or has to wait, is no error.
//
// An attempt that has begun when ctx ends has [MailerConfig.Grace] left: cut off
// after the mail was handed over, it would have to be made again. Others are given
// back.
func (m *Mailer) Send(ctx context.Context, due ...storage.DueInvitation) error {
	claimed, err := m.claim(ctx, due)
	if err != nil {
		return err
	}
	return m.makeAttempts(ctx, claimed)
}

// claimTimeout bounds a claim. One whose answer is not awaited holds until its
// lease is over.
const claimTimeout = 10 * time.Second

// claim claims them all with one commit: that waits for the disk, and one for
// each mail would be most of what a mail takes.
func (m *Mailer) claim(ctx context.Context, due []storage.DueInvitation) ([]storage.Claimed, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimTimeout)
	defer cancel()
	return m.store.ClaimInvitations(ctx, due, m.cfg.Lease, m.cfg.TTL)
}

// pause says that all sending is to stop, why, and for how long at most; the
// zero pause that it is not.
type pause struct {
	reason string
	most   time.Duration
}

func outcomeOf(out storage.Outgoing, status roster.InvitationStatus) storage.Outcome {
	return storage.Outcome{UserID: out.UserID, Dispatch: out.Dispatch, Generation: out.Generation, Status: status}
}

// outcome decides what an attempt's error means for the invitation, and whether
// all sending pauses. A spared invitation is due again at once: what holds it
// back is the pause, and others that have waited longer go first.
func (m *Mailer) outcome(out storage.Outgoing, err error) (storage.Outcome, pause) {
	o := outcomeOf(out, roster.InvitationPending)
	var f *mail.Failure
	switch {
	case err == nil:
		m.meter.sent(nil)
		o.Status = roster.InvitationSent
		return o, pause{}
	case !errors.As(err, &f):
		return m.ours(o, err)
	}
	m.meter.sent(f)
	o.Error = words(f)
	switch f.Class {
	case mail.Permanent:
		o.Status = roster.InvitationFailed
	case mail.ServerDown:
		m.log.Warn("mail server is away or refuses us: sending pauses", "stage", f.Stage, "code", f.Code, "error", f.Error())
		o.Spared = true
		return o, pause{o.Error, m.cfg.PauseMax}
	case mail.Canceled:
		o.Spared = true
		if f.Stage == mail.StageConnect { // it was not begun, so there is nothing to tell
			o.Error = ""
		}
	case mail.Unknown:
		// It may have arrived. Once more, later, under the same Message-ID; a
		// second time counts as sent, or one lossy line would mail forever.
		o.Unknown, o.Wait = true, m.backoff(out.Attempts)
		if out.Unknowns > 0 {
			o.Status = roster.InvitationSent
		}
	default:
		o.Wait = m.backoff(out.Attempts)
		if out.Attempts >= m.cfg.GiveUp {
			o.Status = roster.InvitationFailed
		}
	}
	return o, pause{}
}

// ours is the outcome of an attempt that never got as far as a mail server. The
// pauses do not grow: to see whether a server is configured by now costs nothing.
func (m *Mailer) ours(o storage.Outcome, err error) (storage.Outcome, pause) {
	m.meter.mails.WithLabelValues(outcomeNotSendable).Inc()
	m.log.Warn("invitations cannot be sent", "error", err)
	o.Spared = true
	if passing(err) { // the settings could not be read
		o.Wait = m.cfg.PauseMin
		return o, pause{}
	}
	o.Error = err.Error()
	return o, pause{o.Error, m.cfg.PauseMin}
}

// words are what people are shown of a failure: the server's own where it spoke.
func words(f *mail.Failure) string {
	if f.Reply == "" {
		return f.Error()
	}
	if f.Enhanced == "" {
		return fmt.Sprintf("%d %s", f.Code, f.Reply)
	}
	return fmt.Sprintf("%d %s %s", f.Code, f.Enhanced, f.Reply)
}

// backoff doubles with every attempt, give or take a fifth so that a thousand
// deferred invitations do not come back all at once.
func (m *Mailer) backoff(attempts int) time.Duration {
	wait := min(m.cfg.RetryMin<<min(max(attempts-1, 0), 20), m.cfg.RetryMax)
	return wait + time.Duration((rand.Float64()-0.5)*0.4*float64(wait))
}
