package web_test

// These tests drive the pages in a real Chromium; see package browsertest for
// how to run them without one and how to get screenshots of every page.

import (
	"strings"
	"testing"

	"rollcall/internal/devstack"
	"rollcall/roster"
	"rollcall/test/browsertest"
	"rollcall/web"
)

// TestInChromium follows an invited user and then an administrator, by host
// name and by IP address, with and without scripts: cookies, the content
// security policy and the origin check must all work.
func TestInChromium(t *testing.T) {
	t.Parallel()
	for host, scripts := range map[string]bool{"localhost": false, "127.0.0.1": true} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			box, err := devstack.StartMailbox(t.Context(), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { box.Stop() })
			h := newTestEnv(t, func(d *web.Deps) { d.Mailbox = mails{box} })
			c := browsertest.NewTab(t, strings.Replace(h.url, "127.0.0.1", host, 1), scripts)
			acceptInChromium(h, c)
			importInChromium(h, c)
		})
	}
}

func acceptInChromium(h *testEnv, c *browsertest.Tab) {
	h.Helper()
	token := h.signer.InvitationToken(h.addUser(adminEmail, "Ada Admin", roster.RoleAdmin, ""), 1)
	c.Open("/invite/" + token)
	c.CheckPage("invite")
	c.Enter("#password", "secureai secureai ai")
	c.Enter("#again", "secureai secureai ai")
	c.Press("button.primary", "[role=alert]")
	c.CheckPage("invite-refused")
	c.Enter("#password", adminPassword)
	c.Enter("#again", adminPassword)
	c.Press("button.primary", ".badge")
	c.Reads("h1", "Your password is set")
	c.CheckPage("invite-accepted")
	c.Open("/invite/" + token)
	c.Reads("h1", "This link has already been used")
	c.CheckPage("invite-used")
	c.Press(".button.primary", "form[action='/signin']")
	c.CheckPage("signin")
	c.Enter("#email", adminEmail)
	c.Enter("#password", adminPassword)
	c.Press("button.primary", "table.list")
	c.Reads(".who-name", adminEmail)
}

func importInChromium(h *testEnv, c *browsertest.Tab) {
	h.Helper()
	c.Open("/admin/imports")
	c.CheckPage("imports-empty")
	c.Press(".empty .primary", "#file")
	c.CheckPage("upload")
	c.Choose("#file", "people.csv", people(120))
	c.Press("form[enctype] .primary", "button[form=confirm]")
	c.Reads(".state h2", "108 rows can be imported")
	c.CheckPage("import-ready")
	c.Press("button[form=confirm]", ".state-completed")
	c.Reads(".state h2", "108 users imported, 12 rows failed")
	c.CheckPage("import-completed")
	c.Open("/admin/users/import")
	c.Choose("#file", "one-column.csv", "sep=,\nE-Mail;Name\none@example.com;One\n")
	c.Press("form[enctype] .primary", ".suggestion button")
	c.CheckPage("unusable-delimiter")
	c.Press(".suggestion button", "button[form=confirm]")
	c.Reads(".state h2", "1 row can be imported")
	c.Open("/admin/users")
	c.CheckPage("users")
	c.Enter("#q", "nobody at all")
	c.Press(".filter button", ".empty")
	c.CheckPage("users-none")
	c.Open("/admin/users/import")
	c.Choose("#file", "large.csv", strings.Repeat("x", maxUpload+1))
	c.Press("form[enctype] .primary", "[role=alert]")
	c.CheckPage("upload-refused")
	c.Choose("#file", "a-long-name-"+strings.Repeat("of-a-file-", 9)+".csv", "mail,name\n")
	c.Press("form[enctype] .primary", ".state-failed")
	c.CheckPage("import-failed")
	c.Open("/admin/imports")
	c.CheckPage("imports")
	c.Open("/dev/mail")
	c.CheckPage("mail-empty")
	c.Open("/nothing")
	c.CheckPage("notfound")
	c.Open("/admin/users")
	c.Press("form[action='/signout'] button", "form[action='/signin']")
	c.Open("/admin/users")
	c.Reads("h1", "Sign in")
}
