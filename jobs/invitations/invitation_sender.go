// Package invitations sends the mails that invite people to set a password. The
// table of invitations in PostgreSQL is the outbox.
//
// A [Dispatcher] tops up a bounded window of tasks in Redis; each names some due
// invitations. The worker that gets a task calls [Sender.Send], which claims its
// invitations in PostgreSQL with one commit and starts a goroutine for each as
// places become free. That goroutine, from top to bottom:
//
//	compose   the mail; its link and Message-ID are fixed
//	send      over a pooled connection: MAIL, RCPT, DATA
//	wait      until fewer mails are sent but unrecorded than there are connections
//	content   is sent, and the mail server takes responsibility
//	hand-off  is recorded together with others; a worker that takes over from a
//	          killed one does not send such a mail again
//	outcome   is recorded together with many others; the task ends with the last
package invitations

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"rollcall/internal/batch"
	"rollcall/mail/bounce"
	"rollcall/storage"
)

// Config sets the contents of invitations and the time limits for sending them.
// Zero durations take the default.
type Config struct {
	Brand     string
	PublicURL string        // base of the link, without a trailing slash
	TTL       time.Duration // validity of a link; default 72 h
	Lease     time.Duration // one attempt at most; default 5 min
	Grace     time.Duration // time an attempt still has once the worker is to stop; default 15 s
	RetryMin  time.Duration // wait after the first temporary failure; doubles; default 30 s
	RetryMax  time.Duration // at most; default 1 h
	GiveUp    int           // temporary failures of one invitation before it fails; default 40, some 36 h
	PauseMin  time.Duration // first pause when the server is away; doubles; default 5 s
	PauseMax  time.Duration // at most; default 5 min

	// Tracking marks the mails so that returned ones are recognized; nil: they are not
	// marked.
	Tracking *bounce.Tracking
}

func (c *Config) fill() {
	c.TTL = cmp.Or(c.TTL, 72*time.Hour)
	c.Lease = cmp.Or(c.Lease, 5*time.Minute)
	c.Grace = cmp.Or(c.Grace, 15*time.Second)
	c.RetryMin = cmp.Or(c.RetryMin, 30*time.Second)
	c.RetryMax = cmp.Or(c.RetryMax, time.Hour)
	c.GiveUp = cmp.Or(c.GiveUp, 40)
	c.PauseMin = cmp.Or(c.PauseMin, 5*time.Second)
	c.PauseMax = cmp.Or(c.PauseMax, 5*time.Minute)
}

// linkSigner derives the token in a link; see auth.Signer.
type linkSigner interface {
	InvitationToken(userID uuid.UUID, generation int) string
}

const (
	// claimTimeout bounds a claim. If the answer is lost, the claim lasts until
	// its lease expires.
	claimTimeout = 10 * time.Second
	// recordGrace is the time for recording after [Config.Grace].
	recordGrace = 5 * time.Second
	// begunPerConnection is how many mails are started per connection: one is
	// being sent, one is being composed, and one waits for its hand-off to be
	// recorded.
	begunPerConnection = 3
)

// Sender claims, sends and records invitations, as many at a time as its
// transport has connections.
type Sender struct {
	store     *storage.Store
	log       *slog.Logger
	cfg       Config
	metrics   *Metrics
	signer    linkSigner
	transport *SMTPTransport
	texts     invitationTexts
	handoffs  *batch.Batcher[storage.InvitationMail]
	outcomes  *batch.Batcher[storage.SendResult]

	open       atomic.Int64  // claimed, outcome not yet recorded
	begun      chan struct{} // one token for each mail started
	connected  chan struct{} // one token for each of them that has a connection
	unrecorded chan struct{} // one token for each mail that may be sent but is not recorded
	pausing    atomic.Bool   // a pause is being recorded
	pace       pace
	heartbeat  *heartbeat
}

// NewSender makes a Sender. It records only while [Sender.RunHandoffs] and
// [Sender.RunOutcomes] are running.
func NewSender(store *storage.Store, log *slog.Logger, metrics *Metrics, signer linkSigner, transport *SMTPTransport, cfg Config) *Sender {
	cfg.fill()
	connections := transport.pools.Size
	s := &Sender{
		store: store, log: log, cfg: cfg, metrics: metrics, signer: signer, transport: transport, texts: invitationTexts{settings: transport.settings}, heartbeat: newHeartbeat(store, log),
		handoffs:   newHandoffRecorder(store, connections),
		begun:      make(chan struct{}, begunPerConnection*connections),
		connected:  make(chan struct{}, connections),
		unrecorded: make(chan struct{}, connections),
	}
	s.outcomes = newOutcomeRecorder(store, func() int { return int(s.open.Load()) })
	return s
}

// RunHandoffs records hand-offs until ctx ends; by then every Send must have
// returned.
func (s *Sender) RunHandoffs(ctx context.Context) { s.handoffs.Run(ctx) }

// RunOutcomes records outcomes until ctx ends; by then every Send must have
// returned.
func (s *Sender) RunOutcomes(ctx context.Context) { s.outcomes.Run(ctx) }

// StartHeartbeat makes claims wait for the heartbeat; see [Sender.RunHeartbeat].
func (s *Sender) StartHeartbeat() { s.heartbeat.start() }

// RunHeartbeat ties claims to the life of this process until ctx ends: if it is
// killed, they are free within 15 s. Without it they last for [Config.Lease]. By
// the end of ctx every Send must have returned.
func (s *Sender) RunHeartbeat(ctx context.Context) { s.heartbeat.run(ctx) }

// Close closes the connections to the mail server.
func (s *Sender) Close() { s.transport.Close() }

// Send claims invitations, sends them and records the outcomes. It skips
// invitations that are outdated or have to wait, without an error.
//
// An attempt that has a connection when ctx ends gets [Config.Grace] to finish:
// a mail cut off after the hand-off would be sent twice. The others are
// released.
func (s *Sender) Send(ctx context.Context, due ...storage.DueInvitation) error {
	life, err := s.heartbeat.current(ctx)
	if err != nil {
		return nil // stopping: they become due again
	}
	claimed, err := s.claim(ctx, due, life.worker())
	if err != nil {
		return err
	}
	t := &task{sender: s, life: life, stop: ctx, results: make(chan error, len(claimed))}
	var cancel context.CancelFunc
	t.sending, cancel = WithGrace(ctx, s.cfg.Lease-s.cfg.Lease/10, s.cfg.Grace)
	defer cancel()
	// Until well after the lease: no other worker can touch an invitation while
	// the database is unavailable.
	t.recording, cancel = WithGrace(ctx, 2*s.cfg.Lease, s.cfg.Grace+recordGrace)
	defer cancel()
	return t.run(claimed)
}

// claim claims all invitations in one transaction, and the reminders in another: a commit waits for the disk,
// and one per mail would take longer than sending it.
func (s *Sender) claim(ctx context.Context, due []storage.DueInvitation, worker uuid.UUID) (mails []storage.InvitationMail, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimTimeout)
	defer cancel()
	var reminders []storage.DueInvitation
	due = slices.DeleteFunc(slices.Clone(due), func(d storage.DueInvitation) bool {
		if d.ReminderID != uuid.Nil {
			reminders = append(reminders, d)
		}
		return d.ReminderID != uuid.Nil
	})
	if len(due) > 0 {
		claimed, err := s.store.ClaimInvitations(ctx, due, worker, s.cfg.Lease, s.cfg.TTL)
		if err != nil {
			return nil, err
		}
		for _, c := range claimed {
			if c.Err == nil {
				mails = append(mails, c.InvitationMail)
			}
		}
	}
	if len(reminders) == 0 {
		return mails, nil
	}
	claimed, err := s.store.ClaimReminders(ctx, reminders, worker, s.cfg.Lease)
	if err != nil {
		s.log.Warn("failed to claim reminders; they become due again", "error", err)
	}
	return append(mails, claimed...), nil
}

// WithGrace returns a context that outlives ctx by grace, but ends after most
// at the latest.
func WithGrace(ctx context.Context, most, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
	unhook := context.AfterFunc(ctx, func() {
		end := time.AfterFunc(grace, cancel)
		context.AfterFunc(longer, func() { end.Stop() })
	})
	return longer, func() { unhook(); cancel() }
}
