package jobs

import (
	"context"

	"rollcall/storage"
)

// markMost is how many mails are marked by one statement.
const markMost = 100

// marker marks mails as handed over, those of several connections with one
// statement. It does not wait for more: a connection stands still meanwhile.
type marker struct {
	*together[storage.Outgoing, error]
}

func newMarker(store *storage.Store) marker {
	return marker{newTogether(markMost, 0, func(_ context.Context, all []asked[storage.Outgoing, error]) {
		ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
		defer cancel()
		err := store.MarkHandedOver(ctx, values(all))
		for _, a := range all {
			a.answer <- err
		}
	})}
}

// mark returns nil when the mail is marked. Without a mark its outcome has to be
// on record before it is safe.
func (m marker) mark(ctx context.Context, out storage.Outgoing) error {
	err, waited := m.ask(ctx, out)
	if waited != nil {
		return waited
	}
	return err
}
