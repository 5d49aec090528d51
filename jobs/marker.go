package jobs

import (
	"context"
	"time"

	"rollcall/storage"
)

// markLinger is how long the first of several mails waits for the others.
const markLinger = 2 * time.Millisecond

// marker marks mails as handed over, those of half the senders with one statement,
// as soon as so many have handed one over: meanwhile the other half sends.
type marker struct {
	*together[storage.Outgoing, error]
}

func newMarker(store *storage.Store, senders int) marker {
	return marker{newTogether(max(1, senders/2), markLinger, func(_ context.Context, all []asked[storage.Outgoing, error]) {
		ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
		defer cancel()
		err := store.MarkHandedOver(ctx, values(all))
		for _, a := range all {
			a.answer(err)
		}
	})}
}
