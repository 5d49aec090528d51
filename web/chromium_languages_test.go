package web_test

import (
	"os"
	"testing"
	"time"

	"rollcall/internal/i18n"
	"rollcall/roster"
	"rollcall/test/browsertest"
)

// TestLanguagesInChromium looks at the pages that links lead to in every language;
// at all of them, and at the mails, when pictures are wanted.
func TestLanguagesInChromium(t *testing.T) {
	t.Parallel()
	pictures := os.Getenv("ROLLCALL_SCREENSHOTS") != ""
	h := newTestEnv(t, newMailSink(t).serves)
	ada := h.addUser("ada@example.com", "Zoë Müller-Lüdenscheidt", roster.RoleUser, "")
	eve := h.addUser("eve@example.com", "Eve", roster.RoleUser, "")
	bob := h.addUser("bob@example.com", "Bob", roster.RoleUser, userPassword)
	h.expire(eve)
	c := browsertest.NewTab(t, h.url, true)
	for _, lang := range i18n.Languages() {
		r, _ := i18n.For(lang)
		h.exec(`UPDATE users SET locale = $1`, lang)
		c.Open("/invite/" + h.signer.InvitationToken(ada, 1))
		c.Reads("h1", r.Text("invite.title"))
		c.Reads(".reveal button", r.Text("password.show")+" "+r.Text("password.show.what"))
		c.Enter("#password", "three")
		c.Reads("#hint", r.Text("password.missing", 10))
		c.CheckPage("invite-" + lang)
		if lang != "de" && !pictures {
			continue
		}
		c.Open("/invite/" + h.signer.InvitationToken(eve, 1))
		c.Reads("h1", r.Text("dead.expired.title"))
		c.CheckPage("expired-" + lang)
		c.Press("form button", "main a[href^='/forgot']")
		c.Reads("h1", r.Text("renewed.title"))
		c.CheckPage("renewed-" + lang)
		h.exec(`UPDATE invitations SET renewed_at = NULL WHERE user_id = $1`, eve)
		h.expire(eve)
		c.Press("main a[href^='/forgot']", "#email")
		c.CheckPage("forgot-" + lang)
		c.Enter("#email", "nobody@example.com")
		c.Press("button.primary", "[role=status]")
		c.CheckPage("forgot-asked-" + lang)
		if !pictures {
			continue
		}
		c.Open("/reset/" + h.signer.ResetToken(bob, 0, time.Now().Add(time.Hour)))
		c.CheckPage("reset-" + lang)
	}
	h.adminInChromium(c)
	for _, lang := range i18n.Languages() {
		if lang != "de" && !pictures {
			continue
		}
		c.Open(invitationPage + "?language=" + lang)
		c.CheckPage("invitation-" + lang)
	}
	c.Open(invitationPage + "?language=de")
	c.Enter("#subject", "Willkommen bei {brand}")
	c.Awaits("[data-preview-subject]", "Willkommen bei SecureAI")
	c.Enter("#opening", "Siehe evil.example")
	c.Awaits("[data-preview-problem]", "The opening paragraph in German must not contain a link, a domain or an email address: people should only trust the link of the invitation.")
	c.CheckPage("invitation-problem")
	c.Press("[aria-labelledby=texts] button.primary", "#problems")
	c.CheckPage("invitation-refused")
}
