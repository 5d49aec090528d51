package storage_test

import (
	"slices"
	"testing"
	"time"

	"rollcall/roster"
	"rollcall/storage"
)

// newOnboardingEnv has an import of ten people, one or two in each state of an
// invitation, and a user who was added by hand.
func newOnboardingEnv(t *testing.T) (*testEnv, *roster.Import) {
	t.Helper()
	h := newTestEnv(t)
	i, _ := h.imported(roster.Options{SendInvitations: true}, "held", "pending", "failed", "bounced", "sent", "sent2", "expired", "accepted", "accepted2", "revoked")
	h.exec(`UPDATE users SET department = CASE WHEN name IN ('held', 'pending', 'revoked') THEN '' WHEN name IN ('sent', 'accepted') THEN 'Sales' WHEN name = 'sent2' THEN 'sales' ELSE 'Öffice' END`)
	h.exec(`UPDATE invitations i SET status = rtrim(u.name, '2'), sent_at = now() - interval '2 hours', expires_at = now() + interval '1 day' FROM users u
		WHERE u.id = i.user_id AND u.name NOT IN ('bounced', 'expired', 'accepted', 'accepted2')`)
	h.exec(`UPDATE invitations i SET status = 'failed', bounced_generation = generation FROM users u WHERE u.id = i.user_id AND u.name = 'bounced'`)
	h.exec(`UPDATE invitations i SET status = 'sent', sent_at = now(), expires_at = now() FROM users u WHERE u.id = i.user_id AND u.name = 'expired'`)
	h.exec(`UPDATE invitations i SET status = 'accepted', accepted_at = '2026-03-01 23:59:59.9Z' FROM users u WHERE u.id = i.user_id AND u.name = 'accepted'`)
	h.exec(`UPDATE invitations i SET status = 'accepted', accepted_at = '2026-03-02 00:00:00Z' FROM users u WHERE u.id = i.user_id AND u.name = 'accepted2'`)
	h.exec(`UPDATE users SET status = 'active', password_hash = 'x' WHERE name LIKE 'accepted%'`)
	_, err := h.CreateUser(h.ctx, storage.NewUser{Email: "hand@example.com", EmailKey: "hand@example.com", Name: "hand", Role: roster.RoleUser}, time.Hour, by)
	h.must(err)
	h.exec(`UPDATE invitations i SET status = 'sent', sent_at = now(), expires_at = now() + interval '1 day' FROM users u WHERE u.id = i.user_id AND u.name = 'hand'`)
	return h, i
}

func TestOnboarding(t *testing.T) {
	t.Parallel()
	h, i := newOnboardingEnv(t)
	h.exec(`INSERT INTO reminders (user_id, generation) SELECT id, 1 FROM users WHERE name = 'sent'`)
	all := storage.OnboardingCounts{Held: 1, Pending: 1, Failed: 1, Bounced: 1, Sent: 2, Expired: 1, Accepted: 2}
	day := func(n int) time.Time { return time.Date(2026, 3, n, 0, 0, 0, 0, time.UTC) }
	office := storage.DepartmentOnboarding{Name: "Öffice", OnboardingCounts: storage.OnboardingCounts{Failed: 1, Bounced: 1, Expired: 1, Accepted: 1}}
	sales := storage.DepartmentOnboarding{Name: "Sales", OnboardingCounts: storage.OnboardingCounts{Sent: 2, Accepted: 1}}
	none := storage.DepartmentOnboarding{OnboardingCounts: storage.OnboardingCounts{Held: 1, Pending: 1}}
	plusOne := all
	plusOne.Sent++
	withHand := none
	withHand.Sent++
	for name, c := range map[string]struct {
		scope storage.OnboardingScope
		limit int
		want  storage.Onboarding
	}{
		"import": {storage.OnboardingScope{ImportID: i.ID}, 10, storage.Onboarding{
			Total: all, Departments: []storage.DepartmentOnboarding{office, sales, none}, DepartmentCount: 3,
			Accepted: []storage.AcceptedDay{{Day: day(1), N: 1}, {Day: day(2), N: 1}}, Reminding: true}},
		"largest department": {storage.OnboardingScope{ImportID: i.ID}, 1, storage.Onboarding{
			Total: all, Departments: []storage.DepartmentOnboarding{office}, DepartmentCount: 3,
			Accepted: []storage.AcceptedDay{{Day: day(1), N: 1}, {Day: day(2), N: 1}}, Reminding: true}},
		"everyone": {storage.OnboardingScope{}, 2, storage.Onboarding{
			Total: plusOne, Departments: []storage.DepartmentOnboarding{office, withHand}, DepartmentCount: 3,
			Accepted: []storage.AcceptedDay{{Day: day(1), N: 1}, {Day: day(2), N: 1}}, Reminding: true}},
		"department": {storage.OnboardingScope{ImportID: i.ID, Department: "SALES"}, 10, storage.Onboarding{
			Total: sales.OnboardingCounts, Departments: []storage.DepartmentOnboarding{sales}, DepartmentCount: 1,
			Accepted: []storage.AcceptedDay{{Day: day(1), N: 1}}, Reminding: true}},
		"no department": {storage.OnboardingScope{ImportID: i.ID, Departmentless: true}, 10, storage.Onboarding{
			Total: none.OnboardingCounts, Departments: []storage.DepartmentOnboarding{none}, DepartmentCount: 1, Reminding: true}},
	} {
		got, err := h.Onboarding(h.ctx, c.scope, c.limit)
		h.must(err)
		same := got.Total == c.want.Total && slices.Equal(got.Departments, c.want.Departments) && got.DepartmentCount == c.want.DepartmentCount &&
			slices.Equal(got.Accepted, c.want.Accepted) && got.Reminding == c.want.Reminding
		if !same {
			t.Errorf("%s:\n%+v, want\n%+v", name, got, c.want)
		}
	}
	if all.Invited() != 9 || all.Mailed() != 6 || all.Unsent() != 3 {
		t.Errorf("invited %d, mailed %d, unsent %d", all.Invited(), all.Mailed(), all.Unsent())
	}
	empty := h.receive(roster.Options{})
	if got, err := h.Onboarding(h.ctx, storage.OnboardingScope{ImportID: empty.ID}, 5); err != nil || got.Total.Invited() != 0 {
		t.Errorf("an import that has created no one: %+v, %v", got, err)
	}
}

// TestOnboardingIsWhatListsShow: a list of users has as many as the count says.
func TestOnboardingIsWhatListsShow(t *testing.T) {
	t.Parallel()
	h, i := newOnboardingEnv(t)
	list := func(f storage.UserFilter) int64 {
		t.Helper()
		f.ImportID, f.Limit, f.AnyCase = i.ID, 50, true
		users, total, err := h.FindUsers(h.ctx, f)
		h.must(err)
		if int64(len(users)) != total.N {
			t.Errorf("%+v: %d users, counted %d", f, len(users), total.N)
		}
		return total.N
	}
	o, err := h.Onboarding(h.ctx, storage.OnboardingScope{ImportID: i.ID}, 10)
	h.must(err)
	for _, d := range append([]storage.DepartmentOnboarding{{Name: "all", OnboardingCounts: o.Total}}, o.Departments...) {
		f := storage.UserFilter{Department: d.Name, NoDepartment: d.Name == ""}
		if d.Name == "all" {
			f.Department = ""
		}
		for status, want := range map[roster.InvitationStatus]int64{
			storage.InvitationAny: d.Invited(), storage.InvitationMailed: d.Mailed(), storage.InvitationUnsent: d.Unsent(),
			roster.InvitationHeld: d.Held, roster.InvitationPending: d.Pending, roster.InvitationFailed: d.Failed, roster.InvitationBounced: d.Bounced,
			roster.InvitationSent: d.Sent, roster.InvitationExpired: d.Expired, roster.InvitationAccepted: d.Accepted,
		} {
			if f.Invitation = status; list(f) != want {
				t.Errorf("%q lists %d %s, counted %d", d.Name, list(f), status, want)
			}
		}
	}
	for _, day := range o.Accepted {
		if n := list(storage.UserFilter{AcceptedFrom: day.Day, AcceptedBefore: day.Day.AddDate(0, 0, 1)}); n != day.N {
			t.Errorf("%s lists %d, counted %d", day.Day, n, day.N)
		}
	}
}

// TestRequestedReminders: only those with a link that works get one, once; and they
// get it though no ages are configured.
func TestRequestedReminders(t *testing.T) {
	t.Parallel()
	h, i := newOnboardingEnv(t)
	of := storage.UserFilter{ImportID: i.ID}
	waiting := func() []string {
		t.Helper()
		return []string{one[string](h, `SELECT COALESCE(string_agg(u.name, ' ' ORDER BY u.name), '') FROM reminders r JOIN users u ON u.id = r.user_id`)}
	}
	remindable := func(f storage.UserFilter, want storage.Remindable) {
		t.Helper()
		if got, err := h.Remindable(h.ctx, f); err != nil || got != want {
			t.Errorf("remindable %+v, %v; want %+v", got, err, want)
		}
	}
	request := func(f storage.UserFilter, want int64) {
		t.Helper()
		if n, err := h.RequestReminders(h.ctx, f, by); err != nil || n != want {
			t.Errorf("%d reminders, %v; want %d", n, err, want)
		}
	}
	h.exec(`UPDATE users SET status = 'disabled' WHERE name = 'sent2'`) // behind the invitation's back
	for _, f := range []storage.UserFilter{
		{ImportID: i.ID, Invitation: storage.InvitationUnsent}, {Invitation: roster.InvitationBounced}, {Invitation: roster.InvitationAccepted}, {Invitation: roster.InvitationExpired},
		{Invitation: roster.InvitationRevoked}, {Status: roster.Disabled},
	} {
		remindable(f, storage.Remindable{})
		request(f, 0)
	}
	h.audited("invitations.remind", i.ID, 0)
	remindable(of, storage.Remindable{N: 1})
	remindable(storage.UserFilter{}, storage.Remindable{N: 2})
	// One of an earlier link, still queued, is replaced.
	h.exec(`INSERT INTO reminders (user_id, generation) SELECT id, 0 FROM users WHERE name = 'sent'`)
	request(of, 1)
	request(of, 0)
	remindable(of, storage.Remindable{Lately: 1})
	h.audited("invitations.remind", i.ID, 1)
	if detail := one[string](h, `SELECT detail::text FROM audit_log WHERE action = 'invitations.remind'`); detail != `{"reminders": 1}` {
		t.Errorf("audited %s", detail)
	}
	h.exec(`INSERT INTO reminders (user_id, generation) SELECT id, 1 FROM users WHERE name = 'hand'`) // of an age that is no longer configured
	h.must(h.RemoveReminders(h.ctx))
	if got := waiting(); got[0] != "sent" {
		t.Fatalf("reminders wait for %q", got)
	}
	due := h.dispatchAll()
	mails, err := h.ClaimReminders(h.ctx, slices.DeleteFunc(due, func(d storage.DueInvitation) bool { return d.ReminderID == [16]byte{} }), [16]byte{}, time.Minute)
	h.must(err)
	if len(mails) != 1 || mails[0].Email != "sent@example.com" || mails[0].Generation != 1 {
		t.Fatalf("claimed %+v", mails)
	}
	h.must(h.RecordOutcomes(h.ctx, []storage.SendResult{{UserID: mails[0].UserID, ReminderID: mails[0].ReminderID, Dispatch: mails[0].Dispatch, Status: roster.InvitationSent}}))
	if u := h.user(mails[0].UserID); u.Invitation.Reminders != 1 {
		t.Errorf("%+v", u.Invitation)
	}
	remindable(of, storage.Remindable{Lately: 1}) // within the hour
	h.exec(`UPDATE invitations SET reminded_at = reminded_at - interval '1 hour' WHERE reminders > 0`)
	request(storage.UserFilter{}, 2)
	h.audited("invitations.remind", i.ID, 1)
}
