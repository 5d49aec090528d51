package storage_test

import (
	"errors"
	"testing"
	"time"

	"rollcall/roster"
	"rollcall/storage"
)

// TestOneAddressGetsThreeMailsAnHour: over imports and undos in a loop, whether the
// mails have arrived or are on their way when the undo comes. What is over waits
// and goes out later; other addresses are not held up.
func TestOneAddressGetsThreeMailsAnHour(t *testing.T) {
	t.Parallel()
	for _, inFlight := range []bool{false, true} {
		h := newTestEnv(t)
		mails := 0
		for range 6 {
			i, _ := h.imported(roster.Options{SendInvitations: true}, "victim")
			for _, d := range h.dispatchAll() {
				_, err := h.ClaimInvitation(h.ctx, d, time.Minute, 72*time.Hour)
				if errors.Is(err, storage.ErrNotClaimable) {
					continue
				}
				h.must(err)
				mails++
				if !inFlight {
					h.must(h.RecordOutcomes(h.ctx, []storage.SendResult{{UserID: d.UserID, Dispatch: d.Dispatch, Status: roster.InvitationSent}}))
				}
			}
			_, err := h.RequestUndo(h.ctx, i.ID, by)
			h.must(err)
			_, err = h.UndoStep(h.ctx, i.ID)
			h.must(err)
		}
		if mails != 3 {
			t.Errorf("in flight %v: six imports sent %d mails to one address, want 3", inFlight, mails)
		}

		i, people := h.imported(roster.Options{SendInvitations: true}, "victim", "other")
		due := h.dispatchAll()
		sent := 0
		for _, d := range due {
			if _, err := h.ClaimInvitation(h.ctx, d, time.Minute, 72*time.Hour); err == nil {
				sent++
			}
		}
		if len(due) != 2 || sent != 1 {
			t.Errorf("in flight %v: %d of %d go out, want the one to the other address", inFlight, sent, len(due))
		}
		wait := one[float64](h, `SELECT extract(epoch FROM due_at - now())::float8 FROM invitations WHERE user_id = $1`, people[0].ID)
		if wait < 3000 || wait > 3600 || h.read(i.ID).Invitations.Pending != 2 {
			t.Errorf("in flight %v: what is over waits %.0f s, %+v", inFlight, wait, h.read(i.ID).Invitations)
		}

		h.exec(`UPDATE replaced_invitations SET sent_at = sent_at - interval '1 hour'`)
		h.exec(`UPDATE invitations SET due_at = now() WHERE user_id = $1`, people[0].ID)
		due = h.dispatchAll()
		if len(due) != 1 {
			t.Fatalf("%d due after an hour", len(due))
		}
		if _, err := h.ClaimInvitation(h.ctx, due[0], time.Minute, 72*time.Hour); err != nil {
			t.Errorf("after an hour: %v", err)
		}
		h.must(h.PurgeReplaced(h.ctx))
		if n := one[int](h, `SELECT count(*) FROM replaced_invitations`); n != 0 {
			t.Errorf("%d counts are kept", n)
		}
	}
}
