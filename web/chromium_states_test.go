package web_test

import (
	"strings"
	"testing"

	"rollcall/roster"
	"rollcall/test/browsertest"
	"rollcall/test/pgtest"
)

// TestStatesInChromium checks the page states that are hard to reach by hand:
// errors, waiting, expired and missing.
func TestStatesInChromium(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	b := h.admin()
	h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	invited := h.addUser("ada.lovelace@example.com", "Ada Lovelace", roster.RoleUser, "")
	link := "/invite/" + h.signer.InvitationToken(invited, 1)
	at := func(filename, content string, fields ...string) string {
		return b.upload(filename, content, fields...).header.Get("Location")
	}
	none := at("nobody.csv", "email,name\nbad,\n", "dry_run", "true")
	bounced := at("bounced.csv", people(30))
	canceled, empty := at("canceled.csv", people(4), "dry_run", "true"), at("empty.csv", "")
	held := at("held.csv", "email,name\nheld@example.com,Held Back\n", "send_invitations", "false")
	titled := at("titled.csv", "Staff of the branch offices;;;\n\nE-Mail Address;Full Name;;\nzoe@example.com;Zoe;;\nTotal;1;;\n", "dry_run", "true")
	b.post(canceled + "/cancel")
	h.exec(`UPDATE invitations SET status = 'failed', last_error = '550 5.1.1 <p3@example.com>: Recipient address rejected: User unknown in virtual mailbox table' WHERE user_id = $1`, h.id("p3@example.com"))
	h.exec(`UPDATE invitations SET status = 'failed', sent_at = now(), bounced_generation = generation, last_error = '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup' WHERE user_id = $1`, h.id("p4@example.com"))
	h.exec(`UPDATE imports SET invites_failed = 2, invites_pending = invites_pending - 2 WHERE filename = 'bounced.csv'`)
	h.exec(`UPDATE mail_state SET paused_until = now() + interval '5 minutes', pause_reason = '535 5.7.8 Authentication credentials invalid', pauses = 1`)

	c := browsertest.NewTab(t, h.url, true)
	h.exec(`UPDATE invitations SET expires_at = now() - interval '1 hour' WHERE user_id = $1`, invited)
	c.Open(link)
	c.CheckPage("invite-expired")
	h.exec(`UPDATE invitations SET status = 'revoked' WHERE user_id = $1`, invited)
	c.Open(link)
	c.CheckPage("invite-revoked")
	c.Open("/invite/nonsense")
	c.CheckPage("invite-unknown")
	c.Open("/reset/nonsense")
	c.CheckPage("reset-unknown")
	c.Open("/forgot")
	c.CheckPage("forgot-without-mail")

	c.Open("/signin")
	c.Enter("#email", userEmail)
	c.Enter("#password", "wrong")
	c.Press("button.primary", "[role=alert]")
	c.CheckPage("signin-refused")
	c.Enter("#password", userPassword)
	c.Press("button.primary", "#why")
	c.Open("/admin/imports")
	c.CheckPage("forbidden")
	c.Press("form[action='/signout'] button", "form[action='/signin']")
	c.CheckPage("signed-out")
	c.Enter("#email", adminEmail)
	c.Enter("#password", adminPassword)
	c.Press("button.primary", "table.list")
	for name, path := range map[string]string{
		"preview-none": none, "import-bounced": bounced, "import-canceled": canceled, "import-empty": empty, "import-held": held,
		"unusable-titled": titled,
		"imports-all":     "/admin/imports", "imports-no-more": "/admin/imports?after=01920000-0000-7000-8000-000000000000",
		"audit-none": "/admin/audit?actor=nobody", "preview-beyond": none + "?row=999", "corrected": bounced + "/corrections",
		"users-failed": "/admin/users?invitation=failed", "users-bounced": "/admin/users?invitation=bounced", "user-bounced": "/admin/users/change?user=" + h.id("p4@example.com").String(),
		"email-bounced": "/admin/settings/email", "import-gone": "/admin/imports/01920000-0000-7000-8000-000000000000",
		"users-without-choice": "/admin/users?did=nothing",
	} {
		c.Open(path)
		c.CheckPage(name)
	}
	h.exec(`UPDATE imports SET purged_at = now() WHERE filename = 'bounced.csv'`)
	c.Open(bounced)
	c.CheckPage("import-purged")
	pgtest.AsOwner(t, h.database, `ALTER TABLE imports RENAME TO imports_away`)
	c.Open("/admin/imports")
	c.CheckPage("failure")
	if heading := c.Text("h1"); strings.Contains(heading, "imports") {
		t.Errorf("the page tells too much: %q", heading)
	}
}
