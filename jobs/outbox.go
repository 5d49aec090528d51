package jobs

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"rollcall/storage"
)

// How often the window is filled up, and how often while nothing is due.
const (
	windowEvery = 50 * time.Millisecond
	windowIdle  = 300 * time.Millisecond
)

// outbox moves due invitations from PostgreSQL to Redis, a window at a time.
type outbox struct {
	store   *storage.Store
	bell    *Bell
	postman *Postman
	log     *slog.Logger
	imports *precedence
	hint    chan struct{} // something may be due
	window  int           // invitations waiting in Redis at most
	again   time.Duration // when an invitation whose task got lost comes due again

	busyUntil time.Time
}

func newOutbox(store *storage.Store, bell *Bell, postman *Postman, imports *precedence, log *slog.Logger, cfg WorkerConfig) *outbox {
	return &outbox{
		store: store, bell: bell, postman: postman, imports: imports, log: log,
		hint: make(chan struct{}, 1), window: cfg.Window, again: cfg.Redispatch,
	}
}

// wake makes run look at once. It never blocks.
func (o *outbox) wake() {
	select {
	case o.hint <- struct{}{}:
	default:
	}
}

func (o *outbox) run(ctx context.Context) {
	for {
		wait := windowIdle
		if err := o.fill(ctx); err != nil && ctx.Err() == nil {
			o.log.Warn("invitations could not be dispatched", "error", err)
		} else if time.Now().Before(o.busyUntil) {
			wait = windowEvery
		}
		select {
		case <-ctx.Done():
			return
		case <-o.hint:
		case <-time.After(wait):
		}
	}
}

// fill tops the window up. Redis is asked first: while it is away nothing is
// taken out of the database.
func (o *outbox) fill(ctx context.Context) error {
	if o.imports.mailWaits(time.Now()) {
		o.busy(0)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	backlog, err := o.bell.mailBacklog(ctx)
	if err != nil {
		return err
	}
	rate, err := o.postman.refresh(ctx)
	if err != nil {
		return err
	}
	window := o.window
	if rate > 0 {
		window = min(window, max(1, int(rate))) // a second's worth: no burst when a worker comes back
	}
	if backlog >= window {
		o.busy(rate)
		return nil
	}
	due, err := o.store.DispatchInvitations(ctx, storage.Release{Limit: window - backlog, Rate: rate, Again: o.again})
	if err != nil {
		return err
	}
	if len(due) > 0 {
		o.busy(rate)
	}
	return o.ring(ctx, due)
}

// ring makes the tasks. Those not rung, because Redis went away, come due again.
func (o *outbox) ring(ctx context.Context, due []storage.DueInvitation) error {
	for together := range slices.Chunk(due, parcel) {
		if err := o.bell.ringInvitations(ctx, together); err != nil {
			return err
		}
	}
	return nil
}

// busy has run look often, until well after the rate allows the next one: who
// looks late sends less than the rate.
func (o *outbox) busy(rate float64) {
	wait := windowIdle
	if rate > 0 {
		wait += time.Duration(min(1/rate, time.Hour.Seconds()) * float64(time.Second))
	}
	o.busyUntil = time.Now().Add(wait)
}
