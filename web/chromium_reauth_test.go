package web_test

import (
	"testing"

	"rollcall/roster"
	"rollcall/test/browsertest"
)

// TestReauthInChromium goes through the actions that ask for the password
// again: nothing that was typed is lost, with and without scripts.
func TestReauthInChromium(t *testing.T) {
	t.Parallel()
	for name, scripts := range map[string]bool{"scripts": true, "none": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			b := h.admin()
			b.follow(b.upload("boss.csv", "email,name,role\nboss@example.com,Boss of a Rather Long Name,admin\nbob@\u0435xample.com,Bob,admin\n", "dry_run", "true"))
			second := h.addUser("second@example.com", "Second", roster.RoleAdmin, userPassword)
			theirs := h.browser()
			theirs.signIn("second@example.com", userPassword)
			theirs.post("/admin/settings/tokens", "name", "Payroll export", "scope", "imports", "expires", "never").want(200)
			b.post("/admin/users/change", "action", "make-user", "user", second.String())
			b.setUp(adminPassword) // does not affect the browser's session
			secret := h.secret(h.id(adminEmail))

			c := browsertest.NewTab(t, h.url, scripts)
			c.Open("/signin")
			c.Enter("#email", adminEmail)
			c.Enter("#password", adminPassword)
			c.Press("button.primary", "#code")
			c.Enter("#code", h.code(secret))
			c.Press("button.primary", "table.list")
			c.Open("/admin/settings/tokens")
			c.CheckPage("tokens-orphaned")
			h.leaveOpen()
			c.Enter("#name", "HR “sync”")
			c.Press("button.primary", "#confirm-password")
			c.CheckPage("reauth")
			c.Enter("#confirm-password", "not the password")
			c.Enter("#confirm-code", h.code(secret))
			c.Press("button.primary", "#problem")
			c.CheckPage("reauth-refused")
			c.Enter("#confirm-password", adminPassword)
			c.Enter("#confirm-code", h.code(secret))
			c.Press("button.primary", "#made")
			c.Reads("#made", "Token “HR “sync”” created")
			c.Press(".confirm summary[aria-label='Take over Payroll export']", ".confirm[open] form")
			c.CheckPage("tokens-take-over")
			c.Press(".confirm[open] form button", ".toast")
			c.Reads(".toast p", "You now own this token. It works as long as you are an administrator.")
			h.leaveOpen()
			c.Open("/admin/users/export.csv")
			c.CheckPage("reauth-download")
			c.Open("/admin/imports")
			c.Press("table.list a", ".new-admins")
			c.CheckPage("preview-new-admins")
		})
	}
}
