package config_test

import (
	"strings"
	"testing"

	"rollcall/config"
)

// TestOAuthVariables: auth=oauth2 needs all of them but the scope, and without it
// none may be set.
func TestOAuthVariables(t *testing.T) {
	t.Parallel()
	base := []string{
		"DATABASE_URL=postgres://localhost/x", "REDIS_URL=redis://localhost", "ROLLCALL_SECRET=" + strings.Repeat("s", 32),
		"ROLLCALL_MAIL_FROM=hr@example.com", "SMTP_URL=smtp://hr%40example.com@smtp.office365.com?auth=oauth2",
		"SMTP_OAUTH_TOKEN_URL=https://login.example.com/token", "SMTP_OAUTH_CLIENT_ID=client", "SMTP_OAUTH_CLIENT_SECRET=hunter2secret",
	}
	cfg, err := config.LoadWorker(base)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := cfg.MailServer(); err != nil || s.OAuth.TokenURL != "https://login.example.com/token" || s.OAuth.ClientSecret != "hunter2secret" {
		t.Errorf("%v, %v", s, err)
	}
	for change, want := range map[string]string{
		"SMTP_OAUTH_TOKEN_URL=":                                           "SMTP_OAUTH_TOKEN_URL is not an https:// URL",
		"SMTP_OAUTH_TOKEN_URL=http://login.example.com/token":             "SMTP_OAUTH_TOKEN_URL is not an https:// URL",
		"SMTP_OAUTH_CLIENT_ID=":                                           "SMTP_OAUTH_CLIENT_ID is not set",
		"SMTP_OAUTH_CLIENT_SECRET=":                                       "SMTP_OAUTH_CLIENT_SECRET is not set",
		"SMTP_URL=smtp://hr:p@smtp.office365.com":                         "SMTP_URL does not say auth=oauth2",
		"SMTP_URL=smtp://hr:hunter2secret@smtp.office365.com?auth=oauth2": "SMTP_URL cannot be used",
	} {
		_, err := config.LoadAPI(append(base[:len(base):len(base)], change))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2secret") {
			t.Errorf("%s: %v", change, err)
		}
	}
}
