package auth_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rollcall/auth"
)

func newSealer(t testing.TB, current string, previous ...string) *auth.Sealer {
	t.Helper()
	sealer, err := auth.NewSealer(current, previous...)
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

func TestSealRoundTrip(t *testing.T) {
	t.Parallel()
	sealer, rotated := newSealer(t, secretOne), newSealer(t, secretTwo, secretOne)
	rapid.Check(t, func(t *rapid.T) {
		plain, context := rapid.String().Draw(t, "plain"), rapid.String().Draw(t, "context")
		sealed := sealer.Seal(plain, context)
		for _, opening := range []*auth.Sealer{sealer, rotated} {
			if got, err := opening.Open(sealed, context); err != nil || got != plain {
				t.Fatalf("Open = %q, %v; want %q", got, err, plain)
			}
		}
		if sealer.Seal(plain, context) == sealed {
			t.Fatal("sealing twice gives the same text")
		}
		if got, err := sealer.Open(sealed, context+"x"); !errors.Is(err, auth.ErrSealBroken) || got != "" {
			t.Fatalf("opened elsewhere: %q, %v; want ErrSealBroken", got, err)
		}
	})
}

// What an earlier release sealed must open.
func TestOpenKnownAnswer(t *testing.T) {
	t.Parallel()
	const sealed = "v1.Tp1iTNZa.1_nJeKqYASDXTOahmPwgO-r1f9Q1udSDsDVliqGk5iuKSCu47UymYR4pSerK3N8"
	if got, err := newSealer(t, secretOne).Open(sealed, "settings/smtp_password"); err != nil || got != "hunter2" {
		t.Errorf("Open = %q, %v", got, err)
	}
}

func TestSealRotation(t *testing.T) {
	t.Parallel()
	before, during, after := newSealer(t, secretOne), newSealer(t, secretTwo, secretOne), newSealer(t, secretTwo)
	sealed := before.Seal("smtp password", "here")
	if before.NeedsReseal(sealed) || !during.NeedsReseal(sealed) || during.NeedsReseal("plain text") {
		t.Error("NeedsReseal is wrong")
	}
	if _, err := after.Open(sealed, "here"); !errors.Is(err, auth.ErrUnknownSealKey) {
		t.Errorf("after the old secret is dropped: %v, want ErrUnknownSealKey", err)
	}
	resealed := during.Seal("smtp password", "here")
	if got, err := after.Open(resealed, "here"); err != nil || got != "smtp password" {
		t.Errorf("resealed: %q, %v", got, err)
	}
}

func TestDamagedSealsAreRefused(t *testing.T) {
	t.Parallel()
	sealer := newSealer(t, secretOne, secretTwo)
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.String().Draw(t, "plain")
		sealed := sealer.Seal(plain, "here")
		at := rapid.IntRange(0, len(sealed)-1).Draw(t, "at")
		flipped := []byte(sealed)
		flipped[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		for _, damaged := range []string{string(flipped), sealed[:at], sealed[:at] + "\n" + sealed[at:], sealed + "=", sealed + "AAAA"} {
			if got, err := sealer.Open(damaged, "here"); err == nil || got != "" {
				t.Fatalf("%q opens to %q", damaged, got)
			}
		}
	})
}

func TestOpenRefusesWhatIsNotSealed(t *testing.T) {
	t.Parallel()
	sealer := newSealer(t, secretOne)
	id := strings.Split(sealer.Seal("", ""), ".")[1]
	for _, text := range []string{"", "hunter2", "v1", "v1..", "v2." + id + ".AAAA", "v1." + id + ".", "v1." + id + ".AAAA", "v1." + id + ".****"} {
		if _, err := sealer.Open(text, ""); !errors.Is(err, auth.ErrNotSealed) && !errors.Is(err, auth.ErrUnknownSealKey) {
			t.Errorf("Open(%q): %v", text, err)
		}
	}
}
