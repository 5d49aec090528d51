package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/auth"
)

// FuzzTokens: only the token itself is accepted, in exactly its form.
func FuzzTokens(f *testing.F) {
	signer, err := auth.NewSigner(strings.Repeat("s", 32), strings.Repeat("t", 32))
	if err != nil {
		f.Fatal(err)
	}
	user := uuid.MustParse("0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee")
	invitation, reset := signer.InvitationToken(user, 7), signer.ResetToken(user, 3, time.Unix(1_800_000_000, 0))
	known := map[string]bool{invitation: true, reset: true}
	for _, seed := range []string{invitation, reset, "", invitation + "=", invitation[:len(invitation)-1], reset + "\n", "rc_" + strings.Repeat("0", 49), strings.ToUpper(invitation)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, _, asInvitation := signer.ParseInvitationToken(text)
		_, _, _, asReset := signer.ParseResetToken(text)
		if asInvitation != (text == invitation) || asReset != (text == reset) {
			t.Errorf("%q passes for a link", text)
		}
		if _, ok := signer.Verify("anything else", text); ok || known[text] && ok {
			t.Errorf("%q passes for another purpose", text)
		}
		if hash, err := auth.ParseToken(text); err == nil && (hash != auth.HashToken(text) || !strings.HasPrefix(text, "rc_")) {
			t.Errorf("%q passes for an API token", text)
		}
		if scopes, err := auth.ParseScopes(text); err == nil {
			for _, s := range scopes {
				if !auth.Allows(scopes, s) {
					t.Errorf("%q gives the scope %q, which allows nothing", text, s)
				}
			}
		}
	})
}

// FuzzSealed: a stored secret opens as it was sealed, in its place, or not at
// all.
func FuzzSealed(f *testing.F) {
	sealer, err := auth.NewSealer(strings.Repeat("s", 32), strings.Repeat("t", 32))
	if err != nil {
		f.Fatal(err)
	}
	const secret, place = "a secret", "a place"
	// Sealed once and for all: each process of the engine makes its own seeds,
	// and two sealings differ.
	const sealed = "v1.zw4zN-7M.nJL4xwRxpnpzqaJxCfcdJ1oGLUS1gPlpLbuqhyq40ufyh08sx9-TZ4XH_lXRlEzD"
	for _, seed := range []string{sealed, "", "v1..", sealed + "=", sealed[:len(sealed)-1], strings.Replace(sealed, "v1", "v2", 1), "v1." + strings.Repeat("A", 8) + "."} {
		f.Add(seed, place)
	}
	f.Add(sealed, "another place")
	f.Fuzz(func(t *testing.T, text, where string) {
		_ = sealer.NeedsReseal(text)
		got, err := sealer.Open(text, where)
		if opens := text == sealed && where == place; opens != (err == nil) || opens && got != secret {
			t.Errorf("%q in %q opens as %q, %v", text, where, got, err)
		}
		if err != nil && got != "" {
			t.Errorf("an error came with %q", got)
		}
	})
}
