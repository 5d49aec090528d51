package storage_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// bounce records bounces of the first generation, and fails the test unless each has
// the wanted result.
func (h *testEnv) bounce(want storage.BounceResult, ids ...uuid.UUID) {
	h.Helper()
	var all []storage.Bounce
	for _, id := range ids {
		all = append(all, storage.Bounce{UserID: id, Generation: 1, Permanent: true, Reason: "550 5.1.1 no such user"})
	}
	results, err := h.RecordBounces(h.ctx, all)
	h.must(err)
	if len(results) != len(ids) || slices.ContainsFunc(results, func(r storage.BounceResult) bool { return r != want }) {
		h.Errorf("results %v, want %d times %s", results, len(ids), want)
	}
}

// mailed makes an import whose invitations were all sent.
func (h *testEnv) mailed(names ...string) (*roster.Import, []storage.UserRow) {
	h.Helper()
	i, people := h.imported(roster.Options{SendInvitations: true}, names...)
	for _, d := range h.dispatchAll() {
		h.send(d)
	}
	return i, people
}

// TestBounceIsRecorded: a bounced invitation is listed, counted and shown as such, once
// however often its mail comes back.
func TestBounceIsRecorded(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	i, people := h.mailed("ada", "bea", "cleo")
	before := h.read(i.ID)
	h.bounce(storage.BounceRecorded, people[0].ID, people[1].ID)
	h.bounce(storage.BounceIgnored, people[0].ID)
	after := h.read(i.ID)
	if after.Invitations != (roster.InvitationCounts{Sent: 1, Bounced: 2}) || after.Revision <= before.Revision {
		t.Errorf("counted %+v at revision %d after %d", after.Invitations, after.Revision, before.Revision)
	}
	u := h.user(people[0].ID)
	if u.Invitation.Status != roster.InvitationBounced || u.Invitation.LastError != "550 5.1.1 no such user" || u.Invitation.SentAt == nil {
		t.Errorf("%+v", u.Invitation)
	}
	for status, want := range map[roster.InvitationStatus]int{roster.InvitationBounced: 2, roster.InvitationFailed: 0, roster.InvitationSent: 1} {
		if users, err := h.Users(h.ctx, storage.UserFilter{Invitation: status, Limit: 10}); err != nil || len(users) != want {
			t.Errorf("%d are %s, want %d (%v)", len(users), status, want, err)
		}
	}
	if c := h.stateCounts().Invitations; c["bounced"] != 2 || c["failed"] != 0 || c["sent"] != 1 {
		t.Errorf("counted in all: %v", c)
	}
	h.undrifted(i.ID)
}

// TestBounceThatChangesNothing: only an invitation that waits for its person can bounce.
func TestBounceThatChangesNothing(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	i, people := h.mailed("accepted", "revoked", "resent", "sent")
	h.must(h.AcceptInvitation(h.ctx, people[0].ID, 1, "hash", ""))
	h.must(h.RevokeInvitation(h.ctx, people[1].ID, by))
	h.must(h.ResendInvitation(h.ctx, people[2].ID, by))
	counts := h.read(i.ID).Invitations
	h.bounce(storage.BounceIgnored, people[0].ID, people[1].ID, people[2].ID, uuid.New())
	if got := h.read(i.ID).Invitations; got != counts {
		t.Errorf("counted %+v, want %+v", got, counts)
	}
	if u := h.user(people[0].ID); u.Status != roster.Active || u.Invitation.Status != roster.InvitationAccepted || u.Invitation.LastError != "" {
		t.Errorf("%+v %+v", u, u.Invitation)
	}
	results, err := h.RecordBounces(h.ctx, []storage.Bounce{{UserID: people[3].ID, Generation: 1, Reason: "4.4.1 no answer yet"}})
	h.must(err)
	if u := h.user(people[3].ID); results[0] != storage.BounceDelayed || u.Invitation.Status != roster.InvitationSent || u.Invitation.LastError != "4.4.1 no answer yet" {
		t.Errorf("a delay: %v, %+v", results, u.Invitation)
	}
}

// TestBounceOvertakesTheOutcome: a mail can come back before its sending is recorded.
// While a worker is at it, the report has to wait; when the worker is gone, no second
// mail goes out.
func TestBounceOvertakesTheOutcome(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	i, people := h.imported(roster.Options{SendInvitations: true}, "ada")
	due := h.dispatchAll()
	_, err := h.ClaimInvitation(h.ctx, due[0], time.Minute, time.Hour)
	h.must(err)
	h.bounce(storage.BounceEarly, people[0].ID)
	h.exec(`UPDATE invitations SET claimed_until = now(), due_at = now()`)
	h.bounce(storage.BounceRecorded, people[0].ID)
	if again := h.dispatchAll(); len(again) != 0 {
		t.Errorf("handed out again: %v", again)
	}
	h.must(h.RecordOutcomes(h.ctx, []storage.SendResult{{UserID: people[0].ID, Dispatch: due[0].Dispatch, Status: roster.InvitationSent}}))
	if got := h.read(i.ID).Invitations; got != (roster.InvitationCounts{Bounced: 1}) {
		t.Errorf("counted %+v", got)
	}
	h.undrifted(i.ID)
}

// TestBouncedAreInvitedAgain: by name, when asked for, and when the address is
// corrected; not together with those that failed.
func TestBouncedAreInvitedAgain(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	i, people := h.mailed("one", "address", "all", "import")
	for _, p := range people {
		h.bounce(storage.BounceRecorded, p.ID)
	}
	if r, err := h.RetriableInvitations(h.ctx); err != nil || r.Failed || !r.Bounced {
		t.Errorf("to retry: %+v, %v", r, err)
	}
	if n, err := h.RetryAllFailedInvitations(h.ctx, false, by); n != 0 || err != nil {
		t.Errorf("%d bounced ones are retried, %v", n, err)
	}
	if n, err := h.ResendInvitations(h.ctx, i.ID, false, by); n != 0 || err != nil {
		t.Errorf("%d bounced ones are resent, %v", n, err)
	}
	h.must(h.ResendInvitation(h.ctx, people[0].ID, by))
	email := "corrected@example.com"
	_, err := h.ChangeUser(h.ctx, people[1].ID, storage.UserChange{Email: &email, EmailKey: email}, by)
	h.must(err)
	for _, p := range people[:2] {
		if u := h.user(p.ID); u.Invitation.Status != roster.InvitationPending || u.Invitation.Generation != 2 || u.Invitation.LastError != "" {
			t.Errorf("%s: %+v", u.Name, u.Invitation)
		}
	}
	h.undrifted(i.ID)
	for _, d := range h.dispatchAll() {
		h.send(d)
	}
	h.bounce(storage.BounceIgnored, people[0].ID, people[1].ID) // of the mails before
	if n, err := h.ResendInvitations(h.ctx, i.ID, true, by); n != 2 || err != nil {
		t.Errorf("%d resent with those that bounced, %v", n, err)
	}
	for _, d := range h.dispatchAll() {
		h.send(d)
	}
	results, err := h.RecordBounces(h.ctx, []storage.Bounce{{UserID: people[2].ID, Generation: 2, Permanent: true, Reason: "5.1.1"}})
	h.must(err)
	if n, err := h.RetryAllFailedInvitations(h.ctx, true, by); n != 1 || err != nil || results[0] != storage.BounceRecorded {
		t.Errorf("%d retried with those that bounced, %v, %v", n, results, err)
	}
	h.undrifted(i.ID)
}

// TestBouncesBesideTheVersionBefore: programs of the version before count a bounced
// invitation as a failed one. Whatever they do with it, no counter drifts.
func TestBouncesBesideTheVersionBefore(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]string{
		"resend": `
			WITH old AS (SELECT user_id, import_id FROM invitations WHERE status = 'failed'),
			fresh AS (UPDATE invitations i SET status = 'pending', generation = i.generation + 1, sent_at = NULL, expires_at = NULL FROM old WHERE i.user_id = old.user_id)
			UPDATE imports SET invites_failed = invites_failed - 1, invites_pending = invites_pending + 1 WHERE id IN (SELECT import_id FROM old)`,
		"revoke": `
			WITH revoked AS (UPDATE invitations SET status = 'revoked' WHERE status = 'failed' RETURNING import_id)
			UPDATE imports SET invites_failed = invites_failed - 1 WHERE id IN (SELECT import_id FROM revoked)`,
		"accept": `
			WITH accepted AS (UPDATE invitations SET status = 'accepted', accepted_at = now() WHERE status = 'failed' RETURNING import_id)
			UPDATE imports SET invites_failed = invites_failed - 1, invites_accepted = invites_accepted + 1 WHERE id IN (SELECT import_id FROM accepted)`,
		"erase": `
			WITH gone AS (DELETE FROM invitations WHERE status = 'failed' RETURNING import_id)
			UPDATE imports SET invites_failed = invites_failed - 1 WHERE id IN (SELECT import_id FROM gone)`,
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			i, people := h.mailed("ada", "bea")
			h.bounce(storage.BounceRecorded, people[0].ID)
			before := h.read(i.ID)
			h.exec(query)
			after := h.read(i.ID)
			h.undrifted(i.ID)
			if after.Invitations.Bounced != 0 || after.Invitations.Failed != 0 || after.Invitations.Sent != 1 || after.Revision <= before.Revision {
				t.Errorf("counted %+v at revision %d after %d", after.Invitations, after.Revision, before.Revision)
			}
		})
	}
}
