package jobs_test

import (
	"strings"
	"testing"

	"rollcall/auth"
	"rollcall/jobs"
	"rollcall/roster"
	"rollcall/storage"
)

// TestPasswordIsSealedAnew when a courier starts: the same password, which is no
// change of the settings, and opens with the new secret alone.
func TestPasswordIsSealedAnew(t *testing.T) {
	t.Parallel()
	h := newHooked(t)
	const password = "the SMTP password"
	e := storage.EmailSettings{Host: "localhost", SealedPassword: h.sealer.Seal(password, jobs.PasswordContext)}
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
	h.ended(oneRow)
	stop := h.work(jobs.CourierConfig{})
	h.settled(1) // by then the courier has sealed anew what there was
	stop()
	after := stored()
	if after.SealedPassword == before.SealedPassword || !after.UpdatedAt.Equal(before.UpdatedAt) || after.Host != before.Host {
		t.Errorf("%+v became %+v", before, after)
	}
	alone, err := auth.NewSealer(second)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := alone.Open(after.SealedPassword, jobs.PasswordContext); err != nil || got != password {
		t.Errorf("opened with the new secret: %q, %v", got, err)
	}
}

// TestSecondFactorIsSealedAnew likewise, and an unfinished one too.
func TestSecondFactorIsSealedAnew(t *testing.T) {
	t.Parallel()
	h := newHooked(t)
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
	h.ended(oneRow)
	stop := h.work(jobs.CourierConfig{})
	h.settled(1) // by then the courier has sealed anew what there was
	stop()
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
