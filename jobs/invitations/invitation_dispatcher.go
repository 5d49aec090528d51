package invitations

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"rollcall/storage"
)

// How often the window is topped up, how often while no invitation is due, and
// how often if that has been so for restAfter.
const (
	pollInterval     = 50 * time.Millisecond
	idlePollInterval = 300 * time.Millisecond
	restPollInterval = time.Second
	restAfter        = 10 * time.Second
)

// MaxPerTask is how many invitations one task names at most. Batching them
// saves Redis round trips: asynq needs three per task.
const MaxPerTask = 64

// DispatcherConfig sets the limits of a [Dispatcher]. Zero values take the default.
type DispatcherConfig struct {
	Window     int           // invitations waiting in Redis at most, so that large imports don't fill its memory; default 1,000
	Redispatch time.Duration // an invitation whose task was lost becomes due again after this; default 20 s
	Defer      func() bool   // whether imports go first right now; nil: never
}

// queue enqueues tasks in Redis. It logs its failures itself.
type queue interface {
	// InvitationBacklog returns how many invitations wait for a worker.
	InvitationBacklog(ctx context.Context) (int, error)
	// EnqueueInvitations enqueues one task with at most MaxPerTask invitations.
	EnqueueInvitations(ctx context.Context, due []storage.DueInvitation) error
}

// Dispatcher moves due invitations from PostgreSQL to Redis: it tops up a bounded
// window of tasks there.
type Dispatcher struct {
	store     *storage.Store
	queue     queue
	transport *SMTPTransport
	log       *slog.Logger
	cfg       DispatcherConfig

	wakeCh    chan struct{}
	busyUntil time.Time
}

// NewDispatcher makes a Dispatcher for the invitations that sender sends.
func NewDispatcher(store *storage.Store, queue queue, sender *Sender, log *slog.Logger, cfg DispatcherConfig) *Dispatcher {
	cfg.Window = cmp.Or(cfg.Window, 1000)
	cfg.Redispatch = cmp.Or(cfg.Redispatch, 20*time.Second)
	return &Dispatcher{
		store: store, queue: queue, transport: sender.transport, log: log, cfg: cfg,
		wakeCh: make(chan struct{}, 1),
	}
}

// Wake makes Run look at once: something may be due. It never blocks.
func (d *Dispatcher) Wake() {
	select {
	case d.wakeCh <- struct{}{}:
	default:
	}
}

// Run dispatches until ctx ends.
func (d *Dispatcher) Run(ctx context.Context) {
	d.busyUntil = time.Now()
	for {
		wait := idlePollInterval
		if err := d.topUp(ctx); err != nil && ctx.Err() == nil {
			d.log.Warn("failed to dispatch invitations", "error", err)
		} else if now := time.Now(); now.Before(d.busyUntil) {
			wait = pollInterval
		} else if now.Sub(d.busyUntil) > restAfter {
			wait = restPollInterval
		}
		select {
		case <-ctx.Done():
			return
		case <-d.wakeCh:
		case <-time.After(wait):
		}
	}
}

// topUp fills the window if there is anything due. Redis is asked first: while it
// is unavailable, nothing is taken out of the database.
func (d *Dispatcher) topUp(ctx context.Context) error {
	if d.cfg.Defer != nil && d.cfg.Defer() {
		d.pollFast(0)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if due, err := d.store.InvitationsDue(ctx); err != nil || !due {
		return err
	}
	backlog, err := d.queue.InvitationBacklog(ctx)
	if err != nil {
		d.log.Debug("failed to look at the queue", "error", err)
		return nil
	}
	rate, err := d.transport.rate(ctx)
	if err != nil {
		return err
	}
	window := d.cfg.Window
	if rate > 0 {
		window = min(window, max(1, int(rate))) // one second's worth: no burst when a worker restarts
	}
	if backlog >= window {
		d.pollFast(rate)
		return nil
	}
	due, err := d.store.DispatchInvitations(ctx, storage.DispatchLimit{Limit: window - backlog, Rate: rate, Again: d.cfg.Redispatch})
	if err != nil {
		return err
	}
	if len(due) > 0 {
		d.pollFast(rate)
	}
	// Those not enqueued because Redis became unavailable come due again.
	for together := range slices.Chunk(due, MaxPerTask) {
		if err := d.queue.EnqueueInvitations(ctx, together); err != nil {
			d.log.Debug("failed to enqueue invitations", "error", err)
			return nil
		}
	}
	return nil
}

// pollFast makes Run look often until well after the rate allows the next
// invitation: looking late would send less than the rate.
func (d *Dispatcher) pollFast(rate float64) {
	wait := idlePollInterval
	if rate > 0 {
		wait += time.Duration(min(1/rate, time.Hour.Seconds()) * float64(time.Second))
	}
	d.busyUntil = time.Now().Add(wait)
}
