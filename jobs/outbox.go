package jobs

import (
	"context"
	"log/slog"
	"time"

	"rollcall/storage"
)

// The window: how many mail tasks are in Redis at the most, so that its memory
// does not grow with the import, and how often it is filled up.
const (
	windowSize  = 1000
	windowEvery = 50 * time.Millisecond
	windowIdle  = time.Second // while nothing is due
)

// redispatch is when an invitation whose task got lost comes due again.
const redispatch = 20 * time.Second

// outbox moves due invitations from PostgreSQL to Redis, a window at a time.
type outbox struct {
	store   *storage.Store
	bell    *Bell
	postman *Postman
	log     *slog.Logger
	hint    chan struct{} // something may be due
}

func newOutbox(store *storage.Store, bell *Bell, postman *Postman, log *slog.Logger) *outbox {
	return &outbox{store, bell, postman, log, make(chan struct{}, 1)}
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
		if n, err := o.fill(ctx); err != nil && ctx.Err() == nil {
			o.log.Warn("invitations could not be dispatched", "error", err)
		} else if n > 0 {
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

// fill tops the window up and returns how many it added. Redis is asked first:
// while it is away nothing is taken out of the database.
func (o *outbox) fill(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	backlog, err := o.bell.mailBacklog()
	if err != nil {
		return 0, err
	}
	if err := o.postman.Refresh(ctx); err != nil && !isNoServer(err) {
		return 0, err
	}
	rate := o.postman.Rate()
	window := windowSize
	if rate > 0 {
		window = min(window, max(1, int(rate))) // a second's worth: no burst when a worker comes back
	}
	if backlog >= window {
		return 1, nil // look again soon
	}
	due, err := o.store.DispatchInvitations(ctx, storage.Release{Limit: window - backlog, Rate: rate, Again: redispatch})
	if err != nil {
		return 0, err
	}
	for _, d := range due {
		if err := o.bell.ringInvitation(ctx, d); err != nil {
			return len(due), err // those not rung come due again
		}
	}
	return len(due), nil
}
