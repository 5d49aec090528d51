package invitations

import (
	"context"
	"time"

	"rollcall/internal/batch"
	"rollcall/storage"
)

// handoffDelay is how long the first of several mails waits for the others.
const handoffDelay = 2 * time.Millisecond

// newHandoffRecorder records which mails the mail server has accepted, those of
// half the connections in one statement: meanwhile the other half sends.
func newHandoffRecorder(store *storage.Store, connections int) *batch.Batcher[storage.InvitationMail] {
	return batch.New(batch.Config[storage.InvitationMail]{
		MaxSize: max(1, connections/2), MaxDelay: handoffDelay,
		Commit: func(_ context.Context, mails []batch.Request[storage.InvitationMail]) {
			ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
			defer cancel()
			err := store.RecordHandoffs(ctx, batch.Items(mails))
			for _, m := range mails {
				m.Done(err)
			}
		},
	})
}
