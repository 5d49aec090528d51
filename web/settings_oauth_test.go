package web_test

import (
	"net/http"
	"testing"
)

// TestOAuthSettingsPage: the presets fill in what is the same for everyone, and a
// stored client secret is not shown and is kept when the field is left empty.
func TestOAuthSettingsPage(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	b := h.admin()
	for preset, want := range map[string][2]string{
		"microsoft365": {"smtp.office365.com", "https://outlook.office365.com/.default"},
		"google":       {"smtp.gmail.com", "https://mail.google.com/"},
	} {
		p := b.get("/admin/settings/email?preset=" + preset).want(http.StatusOK)
		if host, scope := attribute(p.find("#host")[0], "value"), attribute(p.find("#scope")[0], "value"); host != want[0] || scope != want[1] {
			t.Errorf("%s: %s, %s", preset, host, scope)
		}
		if checked := p.find(`input[name=auth][checked]`); len(checked) != 1 || attribute(checked[0], "value") != "oauth2" {
			t.Errorf("%s: OAuth 2 is not chosen", preset)
		}
	}
	form := []string{
		"host", "smtp.example.com", "port", "587", "security", "starttls", "user", "hr@example.com", "from", "hr@example.com", "rate", "0",
		"auth", "oauth2", "token_url", "https://login.example.com/token", "client_id", "client-1", "scope", "mail.send",
	}
	b.post("/admin/settings/email", form...).want(http.StatusUnprocessableEntity).says("#problems li", "Enter the client secret.")
	b.post("/admin/settings/email", append(form, "client_secret", "a client secret")...).want(http.StatusSeeOther)
	b.post("/admin/settings/email", form...).want(http.StatusSeeOther)
	stored, err := h.store.EmailSettings(t.Context())
	if err != nil || stored.SealedClientSecret == "" || stored.TokenURL != "https://login.example.com/token" {
		t.Errorf("%+v, %v", stored, err)
	}
	p := b.get("/admin/settings/email").want(http.StatusOK)
	if secret := p.find("#client-secret"); len(secret) != 1 || attribute(secret[0], "value") != "" {
		t.Error("the secret is shown")
	}
}
