package web_test

import (
	"net/http"
	"strings"
	"testing"

	"rollcall/roster"
	"rollcall/storage"
)

// TestBouncedInvitations: they are told apart from failed ones, listed and exported with
// the reason, and resent only when asked for.
func TestBouncedInvitations(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	location := b.upload("people.csv", people(4)).header.Get("Location")
	b.exec(`UPDATE invitations SET status = 'sent', sent_at = now(), expires_at = now() + interval '1 day' WHERE import_id IS NOT NULL`)
	b.exec(`UPDATE imports SET invites_pending = 0, invites_sent = 4`)
	bounce := func(email string) {
		t.Helper()
		u, err := b.store.User(t.Context(), b.id(email))
		if err != nil {
			t.Fatal(err)
		}
		results, err := b.store.RecordBounces(t.Context(), []storage.Bounce{{UserID: u.ID, Generation: u.Invitation.Generation, Permanent: true, Reason: "550 5.1.1 <no> such user"}})
		if err != nil || results[0] != storage.BounceRecorded {
			t.Fatal(results, err)
		}
	}
	bounce("p1@example.com")
	bounce("p2@example.com")
	const section = "[aria-labelledby=invitations] "
	p := b.get(location).says(section+"[data-live=bounced]", "2").says(section+"[data-live=refused]", "0").says(section+"caption", "Bounced invitations").
		says(section+"tbody .said", "550 5.1.1 <no> such user|550 5.1.1 <no> such user").says(section+"button", "Resend 2 bounced invitations")
	if text := p.text(section + ".sub"); !strings.HasPrefix(text, "2 of 4 invitations sent") {
		t.Errorf("the page says %q", text)
	}
	b.get("/admin/users?invitation=failed").says("tbody .strong", "")
	b.get("/admin/users?invitation=bounced").says("tbody .strong", "Person 2|Person 1").says("tbody .said", "550 5.1.1 <no> such user|550 5.1.1 <no> such user")
	user := "/admin/users/change?user=" + b.id("p1@example.com").String()
	if text := b.get(user).text(".facts"); !strings.Contains(text, "Bounced, ") || !strings.Contains(text, "550 5.1.1 <no> such user") {
		t.Errorf("the user's page says %q", text)
	}
	if export := string(b.post("/admin/users/export.csv?invitation=bounced", "password", adminPassword).want(http.StatusOK).body); strings.Count(export, ",bounced,") != 2 {
		t.Errorf("the export says\n%s", export)
	}
	b.get("/admin/settings/email").says("form[action=/admin/settings/email/retry] button", "Retry bounced invitations")

	b.exec(`UPDATE invitations SET status = 'failed' WHERE user_id = $1`, b.id("p3@example.com"))
	b.exec(`UPDATE imports SET invites_sent = 1, invites_failed = 3`)
	b.get(location).says(section+"caption", "Failed invitations|Bounced invitations").says(section+"button", "Resend 1 failed invitation|Resend all failed and bounced invitations")
	b.get("/admin/settings/email").says("form[action=/admin/settings/email/retry] button", "Retry failed invitations").
		says("form[action=/admin/settings/email/retry] label", "Also retry bounced invitations")
	counts := func(when string, want roster.InvitationCounts) {
		t.Helper()
		imports, err := b.store.Imports(t.Context(), storage.ImportFilter{Limit: 1})
		if err != nil || imports[0].Invitations != want {
			t.Errorf("%s: %+v, %v; want %+v", when, imports[0].Invitations, err, want)
		}
	}
	b.post("/admin/settings/email/retry").want(http.StatusSeeOther)
	counts("after a retry", roster.InvitationCounts{Sent: 1, Pending: 1, Bounced: 2})
	b.post(location+"/resend", "bounced", "true").want(http.StatusSeeOther)
	counts("after resending those that bounced", roster.InvitationCounts{Sent: 1, Pending: 3})
	b.exec(`UPDATE invitations SET status = 'sent', sent_at = now(), expires_at = now() + interval '1 day' WHERE status = 'pending'`)
	b.exec(`UPDATE imports SET invites_pending = 0, invites_sent = 4`)
	bounce("p1@example.com")
	b.post("/admin/settings/email/retry", "bounced", "true").want(http.StatusSeeOther)
	counts("after a retry of those that bounced", roster.InvitationCounts{Sent: 3, Pending: 1})
}
