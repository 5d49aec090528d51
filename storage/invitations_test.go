package storage_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// dispatchAll hands out everything that is due.
func (h *testEnv) dispatchAll() []storage.DueInvitation {
	h.Helper()
	due, err := h.DispatchInvitations(h.ctx, storage.DispatchLimit{Limit: 1000, Again: time.Hour})
	h.must(err)
	return due
}

// send has a mail server take one invitation and returns the link's generation.
func (h *testEnv) send(d storage.DueInvitation) storage.InvitationMail {
	h.Helper()
	out, err := h.ClaimInvitation(h.ctx, d, time.Minute, 72*time.Hour)
	h.must(err)
	h.must(h.RecordOutcomes(h.ctx, []storage.SendResult{{UserID: d.UserID, Dispatch: d.Dispatch, Status: roster.InvitationSent}}))
	return out
}

func TestInvitationOnItsWay(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	i, people := h.imported(roster.Options{SendInvitations: true}, "grace")
	id := people[0].ID
	if _, err := h.Invitee(h.ctx, id, 1); !errors.Is(err, storage.ErrLinkExpired) {
		t.Errorf("a link that was never sent: %v", err)
	}
	due := h.dispatchAll()
	if len(due) != 1 || due[0].UserID != id || len(h.dispatchAll()) != 0 {
		t.Fatalf("due %v", due)
	}
	out := h.send(due[0])
	if out.Email != "grace@example.com" || out.Name != "grace" || out.Generation != 1 || out.Attempts != 1 || time.Until(out.ExpiresAt) < 71*time.Hour {
		t.Errorf("%+v", out)
	}
	if _, err := h.ClaimInvitation(h.ctx, due[0], time.Minute, time.Hour); !errors.Is(err, storage.ErrNotClaimable) {
		t.Errorf("the same task again: %v", err)
	}
	who, err := h.Invitee(h.ctx, id, 1)
	h.must(err)
	if who.UserID != id || who.Email != out.Email || !who.ExpiresAt.Equal(out.ExpiresAt) {
		t.Errorf("%+v", who)
	}
	if u := h.user(id); u.Invitation.Status != roster.InvitationSent || u.Invitation.SentAt == nil {
		t.Errorf("%+v", u.Invitation)
	}
	// Seeing the form consumes nothing; of fifty who send it, one succeeds.
	outcomes := parallel(50, func(int) error {
		err := h.AcceptInvitation(h.ctx, id, 1, "hash", "192.0.2.9")
		if errors.Is(err, storage.ErrLinkUsed) {
			return storage.ErrLinkUsed
		}
		return err
	})
	if outcomes["<nil>"] != 1 || outcomes[storage.ErrLinkUsed.Error()] != 49 {
		t.Errorf("of fifty: %v", outcomes)
	}
	h.audited("invitation.accept", id, 1)
	h.undrifted(i.ID)
	if i := h.read(i.ID); i.Invitations != (roster.InvitationCounts{Accepted: 1}) {
		t.Errorf("%+v", i.Invitations)
	}
	if u := h.user(id); u.Status != roster.Active || u.Invitation.Status != roster.InvitationAccepted {
		t.Errorf("%+v", u)
	}
}

func TestLinksThatDoNotWork(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	for name, c := range map[string]struct {
		change string
		want   error
	}{
		"used":            {`UPDATE invitations SET status = 'accepted', accepted_at = now()`, storage.ErrLinkUsed},
		"has a password":  {`UPDATE users SET status = 'active', password_hash = 'x'`, storage.ErrLinkUsed},
		"withdrawn":       {`UPDATE invitations SET status = 'revoked'`, storage.ErrLinkRevoked},
		"disabled":        {`UPDATE users SET status = 'disabled'`, storage.ErrLinkRevoked},
		"held":            {`UPDATE invitations SET status = 'held'`, storage.ErrLinkRevoked},
		"replaced":        {`UPDATE invitations SET generation = 2`, storage.ErrLinkReplaced},
		"expired":         {`UPDATE invitations SET expires_at = now()`, storage.ErrLinkExpired},
		"no such user":    {`DELETE FROM users`, storage.ErrNotFound},
		"no invitation":   {`DELETE FROM invitations`, storage.ErrNotFound},
		"may have failed": {`UPDATE invitations SET status = 'failed'`, nil}, // and yet have arrived
	} {
		t.Run(name, func(t *testing.T) {
			h := h.in(t)
			_, people := h.imported(roster.Options{SendInvitations: true}, "grace")
			h.send(h.dispatchAll()[0])
			h.exec(c.change)
			if _, err := h.Invitee(h.ctx, people[0].ID, 1); !errors.Is(err, c.want) {
				t.Errorf("looked at: %v", err)
			}
			if c.want == nil { // the counter was not moved along
				return
			}
			if err := h.AcceptInvitation(h.ctx, people[0].ID, 1, "hash", ""); !errors.Is(err, c.want) {
				t.Errorf("used: %v", err)
			}
			h.audited("invitation.accept", people[0].ID, 0)
		})
	}
}

func TestResend(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	i, people := h.imported(roster.Options{SendInvitations: true}, "grace")
	id := people[0].ID
	old := h.dispatchAll()[0]
	h.send(old)
	h.must(h.ResendInvitation(h.ctx, id, by))
	for _, generation := range []int32{1, 2} {
		want := map[int32]error{1: storage.ErrLinkReplaced, 2: storage.ErrLinkExpired}[generation]
		if _, err := h.Invitee(h.ctx, id, generation); !errors.Is(err, want) {
			t.Errorf("generation %d: %v", generation, err)
		}
	}
	// A task of the older generation neither sends nor settles anything.
	if _, err := h.ClaimInvitation(h.ctx, old, time.Minute, time.Hour); !errors.Is(err, storage.ErrNotClaimable) {
		t.Errorf("an old task: %v", err)
	}
	h.must(h.RecordOutcomes(h.ctx, []storage.SendResult{{UserID: id, Dispatch: old.Dispatch, Status: roster.InvitationFailed}}))
	if got := h.user(id).Invitation.Status; got != roster.InvitationPending {
		t.Errorf("settled by an old outcome: %s", got)
	}
	if out := h.send(h.dispatchAll()[0]); out.Generation != 2 {
		t.Errorf("%+v", out)
	}
	h.must(h.AcceptInvitation(h.ctx, id, 2, "hash", ""))
	for name, c := range map[string]struct {
		err, want error
	}{
		"a user with a password": {h.ResendInvitation(h.ctx, id, by), storage.ErrWrongState},
		"nobody":                 {h.ResendInvitation(h.ctx, uuid.New(), by), storage.ErrNotFound},
		"revoke an accepted one": {h.RevokeInvitation(h.ctx, id, by), storage.ErrWrongState},
		"revoke nobody's":        {h.RevokeInvitation(h.ctx, uuid.New(), by), storage.ErrWrongState},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	h.audited("invitation.resend", id, 1)
	h.undrifted(i.ID)
}

func TestResendToOneWhoWasNeverInvited(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id, err := h.CreateUser(h.ctx, storage.NewUser{Email: "a@example.com", EmailKey: "a@example.com", Name: "A", Role: roster.RoleUser}, time.Hour, by)
	h.must(err)
	if _, err := h.Invitee(h.ctx, id, 1); err != nil {
		t.Errorf("the link to pass on: %v", err)
	}
	h.must(h.ResendInvitation(h.ctx, id, by)) // an invitation of no import
	h.exec(`DELETE FROM invitations`)
	h.must(h.ResendInvitation(h.ctx, id, by))
	if due := h.dispatchAll(); len(due) != 1 || due[0].UserID != id {
		t.Errorf("due %v", due)
	}
	h.must(h.RevokeInvitation(h.ctx, id, by))
	h.audited("invitation.revoke", id, 1)
	if u := h.user(id); u.Invitation.Status != roster.InvitationRevoked {
		t.Errorf("%+v", u.Invitation)
	}
}

func TestResendOfAnImport(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	i, people := h.imported(roster.Options{SendInvitations: true}, "pending", "good", "expired", "failed", "accepted", "revoked", "held")
	other, _ := h.imported(roster.Options{SendInvitations: true}, "stranger")
	byName := map[string]uuid.UUID{}
	for _, p := range people {
		byName[p.Name] = p.ID
	}
	for _, d := range h.dispatchAll() {
		if d.UserID == byName["failed"] {
			_, err := h.ClaimInvitation(h.ctx, d, time.Minute, time.Hour)
			h.must(err)
			h.must(h.RecordOutcomes(h.ctx, []storage.SendResult{{UserID: d.UserID, Dispatch: d.Dispatch, Status: roster.InvitationFailed, Error: "550 no such user"}}))
		} else if d.UserID != byName["pending"] {
			h.send(d)
		}
	}
	if u := h.user(byName["failed"]); u.Invitation.LastError != "550 no such user" {
		t.Errorf("%+v", u.Invitation)
	}
	h.exec(`UPDATE invitations SET expires_at = now() WHERE user_id = $1`, byName["expired"])
	h.must(h.AcceptInvitation(h.ctx, byName["accepted"], 1, "hash", ""))
	h.must(h.RevokeInvitation(h.ctx, byName["revoked"], by))
	if got := h.user(byName["expired"]).Invitation.Status; got != roster.InvitationExpired {
		t.Errorf("shown as %s", got)
	}
	n, err := h.ResendInvitations(h.ctx, i.ID, false, by)
	h.must(err)
	if n != 3 {
		t.Errorf("%d sent afresh, want pending, expired and failed", n)
	}
	for name, want := range map[string]int32{"pending": 2, "good": 1, "expired": 2, "failed": 2, "accepted": 1, "revoked": 1} {
		if got := h.user(byName[name]).Invitation.Generation; got != want {
			t.Errorf("%s: generation %d, want %d", name, got, want)
		}
	}
	h.undrifted(i.ID)
	h.undrifted(other.ID)
	h.audited("import.resend", i.ID, 1)
	if n, err := h.ResendInvitations(h.ctx, h.receive(roster.Options{}).ID, false, by); n != 0 || err != nil {
		t.Errorf("of an import of nobody: %d, %v", n, err)
	}
	if _, err := h.ResendInvitations(h.ctx, uuid.New(), false, by); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("of no import: %v", err)
	}
	h.exec(`UPDATE imports SET invites_sent = invites_sent + 1, invites_held = 5 WHERE id = $1`, i.ID)
	if drift, err := h.InvitationCountsDrift(h.ctx, i.ID); err != nil || drift != "held: told 5, real 0; sent: told 3, real 2" {
		t.Errorf("drift %q, %v", drift, err)
	}
}
