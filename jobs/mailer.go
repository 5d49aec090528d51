package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
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

// Mailer sends one invitation at a time, as often as asked at once as its
// postman has connections.
type Mailer struct {
	store    *storage.Store
	log      *slog.Logger
	cfg      MailerConfig
	meter    *Metrics
	signer   linkSigner
	postman  *Postman
	recorder *recorder
}

// NewMailer makes a Mailer; [Mailer.Run] must be running for it to record.
func NewMailer(store *storage.Store, log *slog.Logger, meter *Metrics, signer linkSigner, postman *Postman, cfg MailerConfig) *Mailer {
	cfg.fill()
	return &Mailer{store: store, log: log, cfg: cfg, meter: meter, signer: signer, postman: postman,
		recorder: newRecorder(store)}
}

// Run records outcomes until ctx ends and every Send has returned.
func (m *Mailer) Run(ctx context.Context) { m.recorder.run(ctx) }

// Send claims one invitation, hands it to the mail server and records how that
// went. An invitation that is out of date, or has to wait, is no error.
func (m *Mailer) Send(ctx context.Context, d storage.DueInvitation) error {
	// An attempt that has begun runs to its end: cut off after the mail was
	// handed over, it would have to be made again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.cfg.Lease-m.cfg.Lease/10)
	defer cancel()
	out, err := m.store.ClaimInvitation(ctx, d, m.cfg.Lease, m.cfg.TTL)
	if errors.Is(err, storage.ErrNotClaimable) || errors.Is(err, storage.ErrMailPaused) {
		return nil
	}
	if err != nil {
		return err
	}
	outcome, pause := m.outcome(out, m.attempt(ctx, out))
	if pause != "" {
		if err := m.store.PauseMail(ctx, pause, m.cfg.PauseMin, m.cfg.PauseMax); err != nil {
			return err
		}
	}
	return m.recorder.record(ctx, outcome)
}

// attempt renders and sends the mail. Every attempt of one generation has the
// same Message-ID and the same link, so a mail that arrives twice is seen to be
// one.
func (m *Mailer) attempt(ctx context.Context, out storage.Outgoing) error {
	from := m.postman.From()
	message, err := mail.RenderInvitation(mail.Invitation{
		Brand: m.cfg.Brand, From: from, To: out.Email, Name: out.Name,
		Link:      m.cfg.PublicURL + "/invite/" + m.signer.InvitationToken(out.UserID, int(out.Generation)),
		ExpiresAt: out.ExpiresAt,
		MessageID: messageID(out, from),
	})
	if err != nil {
		return err
	}
	return m.postman.Send(ctx, message)
}

// messageID is fixed by user and generation.
func messageID(out storage.Outgoing, from string) string {
	_, domain, _ := strings.Cut(from, "@")
	return fmt.Sprintf("%s.%d@%s", out.UserID, out.Generation, domain)
}

// outcome decides what an attempt's error means for the invitation, and whether
// all sending pauses and why.
func (m *Mailer) outcome(out storage.Outgoing, err error) (o storage.Outcome, pause string) {
	o = storage.Outcome{UserID: out.UserID, Dispatch: out.Dispatch, Status: roster.InvitationPending}
	var f *mail.Failure
	switch {
	case err == nil:
		o.Status = roster.InvitationSent
		m.meter.mails.WithLabelValues("sent").Inc()
		return o, ""
	case !errors.As(err, &f):
		// Ours: no server configured, or a link that cannot be made.
		m.meter.mails.WithLabelValues("not_sendable").Inc()
		m.log.Error("invitations cannot be sent", "error", err)
		o.Spared, o.Wait, o.Error = true, m.cfg.PauseMin, err.Error()
		return o, err.Error()
	}
	m.meter.mails.WithLabelValues(f.Class.String()).Inc()
	o.Error = words(f)
	switch f.Class {
	case mail.Permanent:
		o.Status = roster.InvitationFailed
	case mail.ServerDown:
		m.log.Warn("mail server is away or refuses us: sending pauses", "stage", f.Stage, "code", f.Code, "error", f.Error())
		o.Spared, o.Wait = true, m.cfg.PauseMin
		return o, o.Error
	case mail.Canceled:
		o.Spared = true
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
	return o, ""
}

// words are what people are shown of a failure: the server's own where it spoke.
func words(f *mail.Failure) string {
	if f.Reply == "" {
		return f.Error()
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", f.Code, f.Enhanced, f.Reply))
}

// backoff doubles with every attempt, give or take a fifth so that a thousand
// deferred invitations do not come back all at once.
func (m *Mailer) backoff(attempts int) time.Duration {
	wait := min(m.cfg.RetryMin<<min(max(attempts-1, 0), 20), m.cfg.RetryMax)
	return wait + time.Duration((rand.Float64()-0.5)*0.4*float64(wait))
}
