package jobs

import (
	"context"
	"time"

	"rollcall/storage"
)

// markLinger is how long the first of several mails waits for the others.
const markLinger = 2 * time.Millisecond

// marker marks mails as handed over, those of all senders with one statement, as
// soon as all of them have handed one over.
type marker struct {
	*together[storage.Outgoing, error]
}

func newMarker(store *storage.Store, senders int) marker {
	return marker{newTogether(senders, markLinger, func(_ context.Context, all []asked[storage.Outgoing, error]) {
		ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
		defer cancel()
		err := store.MarkHandedOver(ctx, values(all))
		for _, a := range all {
			a.answer <- err
		}
	})}
}
