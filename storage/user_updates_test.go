package storage_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// keyedRow has a row a key and an address.
func keyedRow(key, email string) func(*storage.UserRow) {
	return func(n *storage.UserRow) { n.ExternalID, n.Email, n.EmailKey = key, email, email }
}

// applyKeyed imports rows with keys.
func (h *testEnv) applyKeyed(rows ...storage.UserRow) *roster.Import {
	h.Helper()
	n := int64(len(rows))
	c := h.importing(roster.Options{OnDuplicate: roster.UpdateDuplicates, SendInvitations: true}, n)
	_, err := h.ApplyBatch(h.ctx, c, storage.Batch{To: at(n + 2), Rows: n, Newcomers: rows, Matching: storage.Matching{HasExternalID: true}, Last: true})
	h.must(err)
	return h.read(c.Import.ID)
}

// TestNewAddress: a known key with a new address is audited, tells both addresses,
// ends sessions, makes reset links useless, and sends an open invitation again; an
// undo takes all of it back.
func TestNewAddress(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ada, bea := newcomer(2, "ada", keyedRow("007", "ada@example.com")), newcomer(3, "bea", keyedRow("8", "bea@example.com"))
	first := h.applyKeyed(ada, bea)
	h.exec(`UPDATE users SET status = 'active', password_hash = 'hash' WHERE id = $1`, bea.ID)
	h.exec(`UPDATE invitations SET status = 'accepted', accepted_at = now() WHERE user_id = $1`, bea.ID)
	h.exec(`UPDATE imports SET invites_pending = 1, invites_accepted = 1 WHERE id = $1`, first.ID)
	h.signIn(hash(1), bea.ID, time.Hour, by)

	i := h.applyKeyed(newcomer(2, "ada", keyedRow("007", "ada@new.example")), newcomer(3, "bea", keyedRow("8", "bea@new.example")))
	if i.Updated != 2 || i.Imported != 0 {
		t.Fatalf("%+v", i.Counts)
	}
	for id, want := range map[uuid.UUID]string{ada.ID: "ada@new.example", bea.ID: "bea@new.example"} {
		if u := h.user(id); u.Email != want || u.Source != roster.DefaultSource || u.ExternalID == "" {
			t.Errorf("%+v, want %s", u, want)
		}
	}
	if u := h.user(ada.ID); u.Invitation.Generation != 2 || u.Invitation.Status != roster.InvitationPending || u.ExternalID != "007" {
		t.Errorf("%+v with invitation %+v", u, u.Invitation)
	}
	if sessions, resets := one[int](h, `SELECT count(*) FROM sessions`), one[int](h, `SELECT reset_count FROM users WHERE id = $1`, bea.ID); sessions != 0 || resets != 1 {
		t.Errorf("%d sessions, %d resets", sessions, resets)
	}
	const told = `SELECT string_agg(email, ' ' ORDER BY email) FROM notices WHERE kind = 'address_changed' AND user_id = $1`
	if got := one[string](h, told, bea.ID); got != "bea@example.com bea@new.example" {
		t.Errorf("told %s", got)
	}
	if got := one[string](h, `SELECT detail->'before'->>'email' || ' ' || (detail->'after'->>'email') FROM audit_log WHERE action = 'user.change' AND target_id = $1`, ada.ID); got != "ada@example.com ada@new.example" {
		t.Errorf("audited %s", got)
	}
	h.undrifted(first.ID)

	_, err := h.RequestUndo(h.ctx, i.ID, by)
	h.must(err)
	u, err := h.UndoStep(h.ctx, i.ID)
	h.must(err)
	if u.Restored != 2 || u.Removed != 0 || u.Kept != 0 || u.FinishedAt == nil || h.user(ada.ID).Email != "ada@example.com" || h.user(bea.ID).Email != "bea@example.com" {
		t.Errorf("%+v: %s, %s", u, h.user(ada.ID).Email, h.user(bea.ID).Email)
	}
	if u := h.user(ada.ID); u.Invitation.Generation != 3 {
		t.Errorf("the link to the address that is taken back still works: %+v", u.Invitation)
	}
	h.undrifted(first.ID)
}

// TestUndoKeepsWhatWasChangedSince: only what an import did itself is taken back.
func TestUndoKeepsWhatWasChangedSince(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.imported(roster.Options{}, "ada", "bea")
	rename := func(n *storage.UserRow) { n.Name += " Renamed" }
	_, i := h.update(by.Actor, false, newcomer(2, "ada", rename), newcomer(3, "bea", rename))
	name := "By Hand"
	users, err := h.Users(h.ctx, storage.UserFilter{EmailKey: "bea@example.com", Limit: 1})
	h.must(err)
	_, err = h.ChangeUser(h.ctx, users[0].ID, storage.UserChange{Name: &name}, by)
	h.must(err)
	_, err = h.RequestUndo(h.ctx, i.ID, by)
	h.must(err)
	u, err := h.UndoStep(h.ctx, i.ID)
	h.must(err)
	if got := one[string](h, `SELECT string_agg(name, ',' ORDER BY email) FROM users`); got != "ada,By Hand" || u.Restored != 1 || u.Kept != 1 {
		t.Errorf("%s, %+v", got, u)
	}
}

// TestDisabledAndBack: a disabled row ends sessions and withdraws an invitation,
// and one that comes back without a password gets a fresh link.
func TestDisabledAndBack(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	status := func(s roster.UserStatus) func(*storage.UserRow) { return func(n *storage.UserRow) { n.Status = s } }
	new := newcomer(3, "new", status(roster.Disabled))
	first, people := h.imported(roster.Options{SendInvitations: true}, "ada")
	a, i := h.update(by.Actor, false, newcomer(2, "ada", status(roster.Disabled)), new)
	if u := h.user(people[0].ID); u.Status != roster.Disabled || u.Invitation.Status != roster.InvitationRevoked || a.Updated != 1 {
		t.Errorf("%+v, %+v", u, u.Invitation)
	}
	if u := h.user(new.ID); u.Status != roster.Disabled || u.Invitation != nil || i.Invitations != (roster.InvitationCounts{}) {
		t.Errorf("a new one: %+v, %+v", u, i.Invitations)
	}
	h.undrifted(first.ID)
	a, i = h.update(by.Actor, false, newcomer(2, "ada", status(roster.Active)), newcomer(3, "new", status(roster.Active)))
	for _, id := range []uuid.UUID{people[0].ID, new.ID} {
		if u := h.user(id); u.Status != roster.Invited || u.Invitation == nil || u.Invitation.Status != roster.InvitationPending || !a.Invited {
			t.Errorf("back: %+v, %+v", u, u.Invitation)
		}
	}
	h.undrifted(first.ID)
	h.undrifted(i.ID)
}
