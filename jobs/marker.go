package jobs

import (
	"context"

	"rollcall/storage"
)

// marker marks mails as handed over, those of several connections with one
// statement: what came in while the last one was under way goes with the next.
type marker struct {
	store *storage.Store
	in    chan markRequest
}

// markRequest is a mail that was handed over and who waits for its mark.
type markRequest struct {
	out  storage.Outgoing
	done chan<- error
}

// markMost is how many mails are marked by one statement.
const markMost = 100

func newMarker(store *storage.Store) *marker {
	return &marker{store: store, in: make(chan markRequest, markMost)}
}

// mark returns nil when the mail is marked. Without a mark its outcome has to be
// on record before it is safe.
func (m *marker) mark(ctx context.Context, out storage.Outgoing) error {
	done := make(chan error, 1)
	select {
	case m.in <- markRequest{out, done}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run marks until ctx ends; whoever calls mark must have stopped by then.
func (m *marker) run(ctx context.Context) {
	for {
		select {
		case first := <-m.in:
			m.settle(gather(m.in, first, markMost, 0))
		case <-ctx.Done():
			return
		}
	}
}

func (m *marker) settle(requests []markRequest) {
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
	defer cancel()
	sent := make([]storage.Outgoing, len(requests))
	for i, r := range requests {
		sent[i] = r.out
	}
	err := m.store.MarkHandedOver(ctx, sent)
	for _, r := range requests {
		r.done <- err
	}
}
