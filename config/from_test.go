package config_test

import (
	"strings"
	"testing"

	"rollcall/config"
)

// TestDefaultFromIsRefusedWhereMailGoesOut: with a mail server that is not on this
// machine, every invitation would be refused because of its sender.
func TestDefaultFromIsRefusedWhereMailGoesOut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url, from string
		refused   bool
	}{
		{"smtp://mx.example.com", "", true},
		{"smtp://192.0.2.1?tls=none", "", true},
		{"smtp://mx.example.com", "hr@localhost", true},
		{"smtp://mx.example.com", "hr@example.com", false},
		{"smtp://localhost:2525?tls=none", "", false},
		{"smtp://127.0.0.1:2525?tls=none", "", false},
		{"smtp://[::1]:2525?tls=none", "", false},
		{"smtp://mailpit:1025?tls=none", "", false},
		{"", "", false},
	} {
		_, err := config.LoadWorker([]string{
			"DATABASE_URL=postgres://localhost/x", "REDIS_URL=redis://localhost", "ROLLCALL_SECRET=" + strings.Repeat("s", 32),
			"SMTP_URL=" + c.url, "ROLLCALL_MAIL_FROM=" + c.from,
		})
		if refused := err != nil && strings.Contains(err.Error(), "ROLLCALL_MAIL_FROM is an address at localhost"); refused != c.refused {
			t.Errorf("%s from %q: %v", c.url, c.from, err)
		}
	}
}
