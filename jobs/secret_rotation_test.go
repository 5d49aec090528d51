package jobs_test

import (
	"strings"
	"testing"

	"rollcall/auth"
	"rollcall/jobs"
	"rollcall/roster"
	"rollcall/storage"
)

// TestPasswordIsReencrypted when a worker starts: the password stays the same,
// that is no change of the settings, and the new secret alone opens it.
func TestPasswordIsReencrypted(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t)
	const password = "the SMTP password"
	const clientSecret = "the client secret"
	e := storage.EmailSettings{
		Host: "localhost", SealedPassword: h.sealer.Seal(password, storage.SMTPPasswordContext),
		SealedClientSecret: h.sealer.Seal(clientSecret, storage.SMTPClientSecretContext),
	}
	h.configure(e)
	stored := func() *storage.EmailSettings {
		s, err := h.store.EmailSettings(t.Context())
		if err != nil || s == nil {
			t.Fatalf("settings: %v, %v", s, err)
		}
		return s
	}
	before := stored()
	first, second := strings.Repeat("s", auth.MinSecretLength), strings.Repeat("t", auth.MinSecretLength)
	var err error
	if h.sealer, err = auth.NewSealer(second, first); err != nil {
		t.Fatal(err)
	}
	jobs.NewSecretRotator(h.store, h.sealer, quiet()).Run(t.Context())
	after := stored()
	if after.SealedPassword == before.SealedPassword || !after.UpdatedAt.Equal(before.UpdatedAt) || after.Host != before.Host {
		t.Errorf("%+v became %+v", before, after)
	}
	alone, err := auth.NewSealer(second)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := alone.Open(after.SealedPassword, storage.SMTPPasswordContext); err != nil || got != password {
		t.Errorf("opened with the new secret: %q, %v", got, err)
	}
	if got, err := alone.Open(after.SealedClientSecret, storage.SMTPClientSecretContext); err != nil || got != clientSecret {
		t.Errorf("client secret opened with the new secret: %q, %v", got, err)
	}
}

// TestSecondFactorIsReencrypted likewise, also one whose setup is not finished.
func TestSecondFactorIsReencrypted(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t)
	id, err := h.store.CreateUser(t.Context(), storage.NewUser{Email: "a@example.com", EmailKey: "a@example.com", Name: "A", Role: roster.RoleUser, PasswordHash: "hash"}, 0, tester)
	if err != nil {
		t.Fatal(err)
	}
	secret := auth.NewTOTPSecret()
	if err := h.store.BeginSecondFactor(t.Context(), id, h.sealer.Seal(secret, auth.TOTPContext(id))); err != nil {
		t.Fatal(err)
	}
	first, second := strings.Repeat("s", auth.MinSecretLength), strings.Repeat("t", auth.MinSecretLength)
	if h.sealer, err = auth.NewSealer(second, first); err != nil {
		t.Fatal(err)
	}
	jobs.NewSecretRotator(h.store, h.sealer, quiet()).Run(t.Context())
	alone, err := auth.NewSealer(second)
	if err != nil {
		t.Fatal(err)
	}
	f, err := h.store.SecondFactorOf(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := alone.Open(f.Secret, auth.TOTPContext(id)); err != nil || got != secret {
		t.Errorf("opened with the new secret: %v", err)
	}
}
