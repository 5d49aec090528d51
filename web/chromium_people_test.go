package web_test

import (
	"strings"
	"testing"

	"rollcall/roster"
	"rollcall/test/browsertest"
	"rollcall/test/smtptest"
)

// TestPeopleInChromium goes through users, settings, tokens and the audit log
// as an administrator, sets a new password, and checks what a user without the
// role can see; with and without scripts.
func TestPeopleInChromium(t *testing.T) {
	t.Parallel()
	for name, scripts := range map[string]bool{"scripts": true, "none": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			office := newMailSink(t)
			h := newTestEnv(t, office.serves)
			b := h.admin()
			b.follow(b.upload("people.csv", people(30)+"zoe@example.com,Zoe Ångström-Fitzgerald of Somewhere Rather Long,admin,Research and Development\n"))
			h.exec(`UPDATE invitations SET status = 'failed', last_error = '550 5.1.1 no such user here' WHERE user_id = $1`, h.id("zoe@example.com"))
			h.exec(`UPDATE imports SET invites_failed = 1, invites_pending = invites_pending - 1`)
			h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
			c := browsertest.NewTab(t, h.url, scripts)
			resetInChromium(c, office)
			usersInChromium(c)
			settingsInChromium(c)
			accountInChromium(h, c)
			othersInChromium(h, c)
		})
	}
}

func resetInChromium(c *browsertest.Tab, office mailSink) {
	c.Helper()
	c.Open("/signin")
	c.Press("a[href='/forgot']", "form[action='/forgot']")
	c.CheckPage("forgot")
	c.Enter("#email", adminEmail)
	c.Press("button.primary", "[role=status]")
	c.CheckPage("forgot-asked")
	mails := office.next()
	_, link, _ := strings.Cut(strings.ReplaceAll(mails[len(mails)-1].Data, "=\r\n", ""), "/reset/")
	link, _, _ = strings.Cut(link, "\r\n")
	c.Open("/reset/" + link)
	if c.Scripts {
		c.Enter("#password", "three")
		c.Reads("#hint", "Characters still needed: 10")
		c.Press(".reveal button", "#password[type=text]")
		c.CheckPage("reset-shown")
		c.Press(".reveal button", "#password[type=password]")
		c.Open("/reset/" + link)
	}
	c.Enter("#password", adminPassword)
	c.Enter("#again", adminPassword)
	c.CheckPage("reset")
	c.Press("button.primary", "form[action='/signin']")
	c.CheckPage("signin-changed")
	c.Enter("#email", adminEmail)
	c.Enter("#password", adminPassword)
	c.Press("button.primary", "table.list")
}

func usersInChromium(c *browsertest.Tab) {
	c.Helper()
	c.CheckPage("people")
	if c.Scripts {
		c.Press("[data-all] input", "[data-count]")
		c.Reads("[data-count]", "30 selected")
		c.CheckPage("people-chosen")
		c.Press("[data-all] input", ".bulk button:disabled")
	}
	c.Press("th:nth-child(2) a", "th[aria-sort=ascending]")
	c.Press("tr:nth-child(1) input[name=user]", "tr:nth-child(2) input[name=user]")
	c.Press("tr:nth-child(2) input[name=user]", ".bulk button")
	c.Press(".bulk button", ".chosen")
	c.CheckPage("change-two")
	c.Press("a.risky", "form[action='/admin/users/change'] button")
	c.CheckPage("change-two-ask")
	c.Open("/admin/users?q=zoe%40")
	c.Press(".row-action a", ".facts")
	c.CheckPage("change-one")
	c.Press(".actions a:nth-last-child(2)", "form[action='/admin/users/change'] button")
	c.Reads("h1", "Disable user?")
	c.Press("form[action='/admin/users/change'] button", ".toast")
	c.CheckPage("people-changed")
	c.Press(".toast a", "form[action='/admin/users/change'] button")
	c.Reads("h1", "Enable user?")
	c.Open("/admin/users?q=" + adminEmail)
	c.Press(".row-action a", "#blocked")
	c.CheckPage("change-last-admin")
}

func settingsInChromium(c *browsertest.Tab) {
	c.Helper()
	server := smtptest.Start(c.TB, smtptest.Config{Auth: "PLAIN"})
	c.Open("/admin/settings/email")
	c.CheckPage("email-empty")
	c.Enter("#host", "127.0.0.1")
	c.Enter("#port", server.Address()[strings.LastIndexByte(server.Address(), ':')+1:])
	c.Press("input[value=none]", "#user")
	c.Enter("#user", smtptest.User)
	c.Enter("#smtp-password", "wrong")
	c.Press("[aria-labelledby=server] button.primary", ".toast")
	c.CheckPage("email-saved")
	c.Press("#test button", "#test .note.bad")
	c.CheckPage("email-refused")
	c.Enter("#smtp-password", smtptest.Password)
	c.Press("[aria-labelledby=server] button.primary", ".toast")
	c.Press("#test button", "#test .note.good")
	c.CheckPage("email-sent")
	c.Press(".clear summary", ".clear .danger")
	c.CheckPage("email-clear")
	c.Press(".clear .danger", ".toast")
	c.Reads(".toast p", "Settings and password removed.")

	c.Open("/admin/settings/tokens")
	c.CheckPage("tokens-empty")
	c.Enter("#name", "HR sync")
	c.Press("[aria-labelledby=new] details summary", "[aria-labelledby=new] details[open] #notify")
	c.Enter("#notify", "hr@example.com, it@example.com")
	c.CheckPage("tokens-notices")
	c.Press("button.primary", "#secret")
	c.CheckPage("token-made")
	c.Open("/admin/settings/tokens")
	c.Press(".confirm summary", ".confirm .danger")
	c.CheckPage("tokens-revoke")
	c.Press(".confirm .danger", ".toast")
	c.CheckPage("tokens-revoked")
	c.Open("/admin/audit")
	c.CheckPage("audit")
}

func accountInChromium(h *testEnv, c *browsertest.Tab) {
	c.Helper()
	h.browser().signIn(adminEmail, adminPassword)
	c.Press("a[href='/admin/account']", "#proof")
	c.CheckPage("account")
	c.Enter("#proof", "wrong")
	c.Press("button[value=others]", "#problem")
	c.CheckPage("account-refused")
	c.Enter("#proof", adminPassword)
	c.Press("tr:nth-child(2) button", ".toast")
	c.Reads(".toast p", "Session signed out.")
	c.Enter("#current", adminPassword)
	c.Enter("#password", "secureai secureai ai")
	c.Enter("#again", "secureai secureai ai")
	c.Press("[aria-labelledby=change] button.primary", "#complaints")
	c.CheckPage("account-password-refused")
	c.Enter("#current", adminPassword)
	c.Enter("#password", "four quiet herons wade on")
	c.Enter("#again", "four quiet herons wade on")
	c.Press("[aria-labelledby=change] button.primary", ".toast")
	c.CheckPage("account-changed")
}

func othersInChromium(h *testEnv, c *browsertest.Tab) {
	c.Helper()
	c.Press("form[action='/signout'] button", "form[action='/signin']")
	guesser := h.browser()
	for range 10 {
		guesser.post("/signin", "email", "nobody@example.com", "password", "wrong")
	}
	c.Enter("#email", "nobody@example.com")
	c.Enter("#password", "wrong")
	c.Press("button.primary", "[role=alert]")
	c.CheckPage("signin-throttled")
	c.Open("/signin")
	c.Enter("#email", userEmail)
	c.Enter("#password", userPassword)
	c.Press("button.primary", "button[disabled]")
	c.CheckPage("people-without-role")
}
