package jobs

import (
	"context"
	"time"

	"rollcall/storage"
)

// claimer claims the invitations of many tasks in one transaction: what was asked
// for while the last one was being committed goes with the next. A commit waits
// for the disk, and one for each mail would be most of what a mail takes.
type claimer struct {
	store      *storage.Store
	lease, ttl time.Duration
	in         chan claimRequest
}

// claimRequest is an invitation and who waits for it.
type claimRequest struct {
	due  storage.DueInvitation
	done chan<- storage.Claimed
}

const (
	claimMost   = 100                  // invitations claimed in one transaction
	claimLinger = 5 * time.Millisecond // for more to come
)

func newClaimer(store *storage.Store, lease, ttl time.Duration) *claimer {
	return &claimer{store: store, lease: lease, ttl: ttl, in: make(chan claimRequest, claimMost)}
}

// claim returns when the invitation is claimed, or is known not to be. One whose
// answer is not awaited holds until its lease is over.
func (c *claimer) claim(ctx context.Context, d storage.DueInvitation) (storage.Outgoing, error) {
	done := make(chan storage.Claimed, 1)
	select {
	case c.in <- claimRequest{d, done}:
	case <-ctx.Done():
		return storage.Outgoing{}, ctx.Err()
	}
	select {
	case claimed := <-done:
		return claimed.Outgoing, claimed.Err
	case <-ctx.Done():
		return storage.Outgoing{}, ctx.Err()
	}
}

// run claims until ctx ends; whoever calls claim must have stopped by then.
func (c *claimer) run(ctx context.Context) {
	for {
		select {
		case first := <-c.in:
			c.settle(gather(c.in, first, claimMost, claimLinger))
		case <-ctx.Done():
			return
		}
	}
}

func (c *claimer) settle(requests []claimRequest) {
	ctx, cancel := context.WithTimeout(context.Background(), claimTimeout)
	defer cancel()
	due := make([]storage.DueInvitation, len(requests))
	for i, r := range requests {
		due[i] = r.due
	}
	claimed, err := c.store.ClaimInvitations(ctx, due, c.lease, c.ttl)
	for i, r := range requests {
		if err != nil {
			r.done <- storage.Claimed{Err: err}
		} else {
			r.done <- claimed[i]
		}
	}
}
