package jobs

import (
	"context"
	"time"

	"rollcall/storage"
)

const (
	claimMost    = 100                  // invitations claimed in one transaction
	claimLinger  = 5 * time.Millisecond // for more to come
	claimTimeout = 10 * time.Second     // a claim whose answer is not awaited holds until its lease is over
)

// claimer claims the invitations of many tasks in one transaction. A commit waits
// for the disk, and one for each mail would be most of what a mail takes.
type claimer struct {
	*together[storage.DueInvitation, storage.Claimed]
}

func newClaimer(store *storage.Store, lease, ttl time.Duration) claimer {
	return claimer{newTogether(claimMost, claimLinger, func(_ context.Context, all []asked[storage.DueInvitation, storage.Claimed]) {
		ctx, cancel := context.WithTimeout(context.Background(), claimTimeout)
		defer cancel()
		claimed, err := store.ClaimInvitations(ctx, values(all), lease, ttl)
		for i, a := range all {
			if err != nil {
				a.answer <- storage.Claimed{Err: err}
			} else {
				a.answer <- claimed[i]
			}
		}
	})}
}

// claim returns when the invitation is claimed, or is known not to be.
func (c claimer) claim(ctx context.Context, d storage.DueInvitation) (storage.Outgoing, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimTimeout)
	defer cancel()
	claimed, err := c.ask(ctx, d)
	if err != nil {
		return storage.Outgoing{}, err
	}
	return claimed.Outgoing, claimed.Err
}
