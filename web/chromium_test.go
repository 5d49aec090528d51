package web_test

// These tests drive the pages in a real Chromium; see package browsertest for
// where there is none, and for pictures of every page.

import (
	"strings"
	"testing"

	"rollcall/devstack"
	"rollcall/internal/browsertest"
	"rollcall/roster"
	"rollcall/web"
)

// TestInChromium goes the way of an invited person and then that of an
// administrator, by host name and by address, without scripts and with them:
// cookies, the content policy and the check of the origin all have to let them.
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
			h := newHouse(t, func(d *web.Deps) { d.Mailbox = mails{box} })
			c := browsertest.NewTab(t, strings.Replace(h.url, "127.0.0.1", host, 1), scripts)
			acceptInChromium(h, c)
			importInChromium(h, c)
		})
	}
}

func acceptInChromium(h *house, c *browsertest.Tab) {
	h.Helper()
	token := h.signer.InvitationToken(h.addUser(adminEmail, "Ada Admin", roster.RoleAdmin, ""), 1)
	c.Open("/invite/" + token)
	c.Look("invite")
	c.Enter("#password", "secureai secureai ai")
	c.Enter("#again", "secureai secureai ai")
	c.Press("button.primary", "[role=alert]")
	c.Look("invite-refused")
	c.Enter("#password", adminPassword)
	c.Enter("#again", adminPassword)
	c.Press("button.primary", ".badge")
	c.Reads("h1", "Your password is set")
	c.Look("invite-accepted")
	c.Open("/invite/" + token)
	c.Reads("h1", "This link has been used")
	c.Look("invite-used")
	c.Press(".button.primary", "form[action='/signin']")
	c.Look("signin")
	c.Enter("#email", adminEmail)
	c.Enter("#password", adminPassword)
	c.Press("button.primary", "table.list")
	c.Reads(".who-name", adminEmail)
}

func importInChromium(h *house, c *browsertest.Tab) {
	h.Helper()
	c.Open("/admin/imports")
	c.Look("imports-empty")
	c.Press(".empty .primary", "#file")
	c.Look("upload")
	c.Choose("#file", "people.csv", people(120))
	c.Press("form[enctype] .primary", "button[form=confirm]")
	c.Reads(".state h2", "Checked: 108 rows can be imported")
	c.Look("import-ready")
	c.Press("button[form=confirm]", ".state-completed")
	c.Reads(".state h2", "108 users imported, 12 rows failed")
	c.Look("import-completed")
	c.Open("/admin/users/import")
	c.Choose("#file", "one-column.csv", "sep=,\nE-Mail;Name\none@example.com;One\n")
	c.Press("form[enctype] .primary", ".hint button")
	c.Look("unusable-delimiter")
	c.Press(".hint button", "button[form=confirm]")
	c.Reads(".state h2", "Checked: 1 row can be imported")
	c.Open("/admin/users")
	c.Look("users")
	c.Enter("#q", "nobody at all")
	c.Press(".filter button", ".empty")
	c.Look("users-none")
	c.Open("/admin/users/import")
	c.Choose("#file", "large.csv", strings.Repeat("x", maxUpload+1))
	c.Press("form[enctype] .primary", "[role=alert]")
	c.Look("upload-refused")
	c.Choose("#file", "a-long-name-"+strings.Repeat("of-a-file-", 9)+".csv", "mail,name\n")
	c.Press("form[enctype] .primary", ".state-failed")
	c.Look("import-failed")
	c.Open("/admin/imports")
	c.Look("imports")
	c.Open("/dev/mail")
	c.Look("mail-empty")
	c.Open("/nothing")
	c.Look("notfound")
	c.Open("/admin/users")
	c.Press("form[action='/signout'] button", "form[action='/signin']")
	c.Open("/admin/users")
	c.Reads("h1", "Sign in")
}
