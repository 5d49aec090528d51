package auth_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"rollcall/auth"
)

func TestBounceToken(t *testing.T) {
	t.Parallel()
	const old, current = "an old secret that is long enough to be one", "the current secret that is long enough"
	before, err := auth.NewSigner(old)
	if err != nil {
		t.Fatal(err)
	}
	now, err := auth.NewSigner(current, old)
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.MustParse("0191f0c4-7f3a-7b3e-9c55-3f1d2e4b5a69")
	token := before.BounceToken(id, 7)
	if len(token) != auth.BounceTokenLength || len("bounces+"+token) > 64 || strings.ToLower(token) != token {
		t.Errorf("token %q", token)
	}
	for _, signer := range []*auth.Signer{before, now} { // mail servers change the case
		if got, generation, ok := signer.ParseBounceToken(strings.ToUpper(token)); !ok || got != id || generation != 7 {
			t.Errorf("read as %s, %d, %t", got, generation, ok)
		}
	}
	if now.BounceToken(id, 7) == token || now.BounceToken(id, 8) == now.BounceToken(id, 7) {
		t.Error("tokens are alike")
	}
	forged := []string{"", token[:47], token + "a", strings.Repeat("a", len(token)), token[:20] + "\n" + token[21:], before.InvitationToken(id, 7)[:48], strings.Replace(token, token[40:41], "0", 1)}
	for i := range token {
		other := "a"
		if token[i] == 'a' {
			other = "b"
		}
		forged = append(forged, token[:i]+other+token[i+1:])
	}
	for _, text := range forged {
		if _, _, ok := before.ParseBounceToken(text); ok {
			t.Errorf("%q is accepted", text)
		}
	}
}
