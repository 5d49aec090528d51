package web_test

import (
	"strings"
	"testing"

	"rollcall/roster"
	"rollcall/test/browsertest"
	"rollcall/web"
)

// TestSecondFactorInChromium follows an administrator who must have a second
// factor: sets it up, signs in with it, renews the recovery codes and removes
// it; with and without scripts.
func TestSecondFactorInChromium(t *testing.T) {
	t.Parallel()
	for name, scripts := range map[string]bool{"scripts": true, "none": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t, func(d *web.Deps) { d.AdminsNeedFactor = true })
			h.addUser(adminEmail, "Ada Admin", roster.RoleAdmin, adminPassword)
			c := browsertest.NewTab(t, h.url, scripts)
			c.Open("/admin/imports")
			enterInChromium(c, "form[action='/admin/account/second-factor']")
			c.CheckPage("factor-needed")
			secret, codes := setUpInChromium(h, c)
			c.Press(".actions .primary", "#factor")
			c.CheckPage("account-factor")
			c.Press("form[action='/signout'] button", "#email")
			signInByCodeInChromium(h, c, secret, codes)
			changeFactorInChromium(h, c, secret)
		})
	}
}

func enterInChromium(c *browsertest.Tab, then string) {
	c.Helper()
	c.Enter("#email", adminEmail)
	c.Enter("#password", adminPassword)
	c.Press("button.primary", then)
}

func setUpInChromium(h *testEnv, c *browsertest.Tab) (secret string, codes []string) {
	h.Helper()
	c.Enter("#current", "wrong")
	c.Press(".factor button.primary", "#problem")
	c.CheckPage("factor-refused")
	c.Enter("#current", adminPassword)
	c.Press(".factor button.primary", "svg.qr")
	c.CheckPage("factor-setup")
	secret = strings.ReplaceAll(c.Text(".secret code"), " ", "")
	c.Enter("#code", "000000")
	c.Press(".factor button.primary", "#problem")
	c.CheckPage("factor-setup-refused")
	c.Enter("#code", h.code(secret))
	c.Press(".factor button.primary", ".recovery")
	c.Reads("h1", "Two-factor authentication is on")
	c.CheckPage("recovery-codes")
	return secret, strings.Fields(c.Text(".recovery"))
}

func signInByCodeInChromium(h *testEnv, c *browsertest.Tab, secret string, codes []string) {
	h.Helper()
	enterInChromium(c, "#code")
	c.CheckPage("code")
	c.Enter("#code", "000000")
	c.Press("button.primary", "#problem")
	c.CheckPage("code-refused")
	c.Press(".other summary", "#recovery")
	c.CheckPage("code-recovery")
	c.Enter("#recovery", codes[0])
	c.Press(".other button", "table.list")
	c.Press("form[action='/signout'] button", "#email")
	enterInChromium(c, "#code")
	c.Enter("#code", h.code(secret))
	c.Press("button.primary", "table.list")
	c.Reads(".who-name", adminEmail)
	c.Open("/signin?late=1")
	c.CheckPage("signin-late")
}

func changeFactorInChromium(h *testEnv, c *browsertest.Tab, secret string) {
	h.Helper()
	c.Open("/admin/account")
	c.Press("[aria-labelledby=factor] .button", "#code")
	c.CheckPage("factor")
	c.Enter("#current", adminPassword)
	c.Enter("#code", h.code(secret))
	c.Press(".factor button.primary", ".recovery")
	c.Reads("h1", "New recovery codes")
	c.Press(".actions .primary", "#factor")
	c.Press("[aria-labelledby=factor] .button", "#code")
	c.Enter("#current", adminPassword)
	c.Enter("#code", h.code(secret))
	c.Press(".factor button.risky", ".note.warn") // an administrator has to set up another at once
	c.Reads("h1", "Two-factor authentication")
}
