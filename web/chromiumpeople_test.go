package web_test

import (
	"strings"
	"testing"

	"rollcall/internal/smtptest"
	"rollcall/roster"
)

// TestPeopleInChromium goes through users, settings, tokens and the audit log as
// an administrator, through a new password, and through what is left for
// somebody without the role; without scripts and with them.
func TestPeopleInChromium(t *testing.T) {
	for name, scripts := range map[string]bool{"scripts": true, "none": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			office := newPostOffice(t)
			h := newHouse(t, office.serves)
			b := h.admin()
			b.follow(b.upload("people.csv", people(30)+"zoe@example.com,Zoe Ångström-Fitzgerald of Somewhere Rather Long,admin,Research and Development\n"))
			h.exec(`UPDATE invitations SET status = 'failed', last_error = '550 5.1.1 no such user here' WHERE user_id = $1`, h.id("zoe@example.com"))
			h.exec(`UPDATE imports SET invites_failed = 1, invites_pending = invites_pending - 1`)
			h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
			c := newChromium(t, h.url, scripts)
			resetInChromium(c, office)
			usersInChromium(c)
			settingsInChromium(c)
			othersInChromium(h, c)
		})
	}
}

func resetInChromium(c *chromium, office postOffice) {
	c.Helper()
	c.open("/signin")
	c.press("a[href='/forgot']", "form[action='/forgot']")
	c.look("forgot")
	c.enter("#email", adminEmail)
	c.press("button.primary", "[role=status]")
	c.look("forgot-asked")
	mails := office.next()
	_, link, _ := strings.Cut(strings.ReplaceAll(mails[len(mails)-1].Data, "=\r\n", ""), "/reset/")
	link, _, _ = strings.Cut(link, "\r\n")
	c.open("/reset/" + link)
	if c.scripts {
		c.enter("#password", "three")
		c.reads("#hint", "10 more to go")
		c.press(".reveal button", "#password[type=text]")
		c.look("reset-shown")
		c.press(".reveal button", "#password[type=password]")
		c.open("/reset/" + link)
	}
	c.enter("#password", adminPassword)
	c.enter("#again", adminPassword)
	c.look("reset")
	c.press("button.primary", "form[action='/signin']")
	c.look("signin-changed")
	c.enter("#email", adminEmail)
	c.enter("#password", adminPassword)
	c.press("button.primary", "table.list")
}

func usersInChromium(c *chromium) {
	c.Helper()
	c.look("people")
	if c.scripts {
		c.press("[data-all] input", "[data-count]")
		c.reads("[data-count]", "30 users chosen")
		c.look("people-chosen")
		c.press("[data-all] input", ".bulk button:disabled")
	}
	c.press("th:nth-child(2) a", "th[aria-sort=ascending]")
	c.press("tr:nth-child(1) input[name=user]", "tr:nth-child(2) input[name=user]")
	c.press("tr:nth-child(2) input[name=user]", ".bulk button")
	c.press(".bulk button", ".chosen")
	c.look("change-two")
	c.press("a.risky", "form[action='/admin/users/change'] button")
	c.look("change-two-ask")
	c.open("/admin/users?q=zoe%40")
	c.press(".row-action a", ".facts")
	c.look("change-one")
	c.press(".actions a:nth-last-child(1)", "form[action='/admin/users/change'] button")
	c.reads("h1", "Disable?")
	c.press("form[action='/admin/users/change'] button", ".toast")
	c.look("people-changed")
	c.press(".toast a", "form[action='/admin/users/change'] button")
	c.reads("h1", "Enable?")
	c.open("/admin/users?q=" + adminEmail)
	c.press(".row-action a", ".facts")
	c.press("a.risky", "p.note.warn")
	c.press("form[action='/admin/users/change'] button", "[role=alert]")
	c.look("change-last-admin")
}

func settingsInChromium(c *chromium) {
	c.Helper()
	server := smtptest.Start(c.T, smtptest.Config{Auth: "PLAIN"})
	c.open("/admin/settings/email")
	c.look("email-empty")
	c.enter("#host", "127.0.0.1")
	c.enter("#port", server.Address()[strings.LastIndexByte(server.Address(), ':')+1:])
	c.press("input[value=none]", "#user")
	c.enter("#user", smtptest.User)
	c.enter("#smtp-password", "wrong")
	c.press("[aria-labelledby=server] button.primary", ".toast")
	c.look("email-saved")
	c.press("#test button", "#test .note.bad")
	c.look("email-refused")
	c.enter("#smtp-password", smtptest.Password)
	c.press("[aria-labelledby=server] button.primary", ".toast")
	c.press("#test button", "#test .note.good")
	c.look("email-sent")

	c.open("/admin/settings/tokens")
	c.look("tokens-empty")
	c.enter("#name", "HR sync")
	c.press("button.primary", "#secret")
	c.look("token-made")
	c.open("/admin/settings/tokens")
	c.press(".confirm summary", ".confirm .danger")
	c.look("tokens-revoke")
	c.press(".confirm .danger", ".toast")
	c.look("tokens-revoked")
	c.open("/admin/audit")
	c.look("audit")
}

func othersInChromium(h *house, c *chromium) {
	c.Helper()
	c.press("form[action='/signout'] button", "form[action='/signin']")
	guesser := h.browser()
	for range 10 {
		guesser.post("/signin", "email", "nobody@example.com", "password", "wrong")
	}
	c.enter("#email", "nobody@example.com")
	c.enter("#password", "wrong")
	c.press("button.primary", "[role=alert]")
	c.look("signin-throttled")
	c.open("/signin")
	c.enter("#email", userEmail)
	c.enter("#password", userPassword)
	c.press("button.primary", "button[disabled]")
	c.look("people-without-role")
}
