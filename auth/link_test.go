package auth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"rollcall/auth"
)

const (
	secretOne = "the first secret of these tests, 1"
	secretTwo = "the second secret of these tests, 2"
)

func newSigner(t testing.TB, current string, previous ...string) *auth.Signer {
	t.Helper()
	signer, err := auth.NewSigner(current, previous...)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestWeakSecretsAreRefused(t *testing.T) {
	t.Parallel()
	short := strings.Repeat("x", auth.MinSecretLength-1)
	for _, secrets := range [][]string{{""}, {short}, {secretOne, short}, {secretOne, secretTwo, ""}} {
		if _, err := auth.NewSigner(secrets[0], secrets[1:]...); !errors.Is(err, auth.ErrWeakSecret) {
			t.Errorf("NewSigner: %v, want ErrWeakSecret", err)
		}
		if _, err := auth.NewSealer(secrets[0], secrets[1:]...); !errors.Is(err, auth.ErrWeakSecret) {
			t.Errorf("NewSealer: %v, want ErrWeakSecret", err)
		}
	}
}

// Links in mail already sent must survive an upgrade: the derivation is part
// of the format. Computed with Python's hmac and hashlib.
func TestLinkKnownAnswers(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, secretOne)
	id := uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")
	for name, pair := range map[string][2]string{
		"invitation": {signer.InvitationToken(id, 7), "AYkKXayWd0u8zrMCCZqAVwAAAAAAAAAHGEuLEb7lz5emKnBLH-yys11l24WWd7fjXEobEkPAKgw"},
		"reset":      {signer.ResetToken(id, 3, time.Unix(1_700_000_000, 0)), "AYkKXayWd0u8zrMCCZqAVwAAAAAAAAADAAAAAGVT8QBFcyeAPo8hb9-UX8C4zTEbi6M3M-zJi-rmWfCHljZw5Q"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s = %s, want %s", name, pair[0], pair[1])
		}
	}
}

func TestInvitationTokenRoundTrip(t *testing.T) {
	t.Parallel()
	signer, rotated, stranger := newSigner(t, secretOne), newSigner(t, secretTwo, secretOne), newSigner(t, secretTwo)
	rapid.Check(t, func(t *rapid.T) {
		id, generation := drawUUID(t), rapid.Int().Draw(t, "generation")
		token := signer.InvitationToken(id, generation)
		if token != signer.InvitationToken(id, generation) {
			t.Fatal("a retry would carry another link")
		}
		for _, accepting := range []*auth.Signer{signer, rotated} {
			gotID, gotGeneration, ok := accepting.ParseInvitationToken(token)
			if !ok || gotID != id || gotGeneration != generation {
				t.Fatalf("ParseInvitationToken = %v, %v, %v", gotID, gotGeneration, ok)
			}
		}
		if _, _, ok := stranger.ParseInvitationToken(token); ok {
			t.Fatal("accepted under another secret")
		}
		if _, _, _, ok := signer.ParseResetToken(token); ok {
			t.Fatal("accepted as a reset link")
		}
		if next := signer.InvitationToken(id, generation+1); next == token {
			t.Fatal("the next generation has the same link")
		}
	})
}

func TestResetTokenRoundTrip(t *testing.T) {
	t.Parallel()
	signer, rotated := newSigner(t, secretOne), newSigner(t, secretTwo, secretOne)
	rapid.Check(t, func(t *rapid.T) {
		id, counter := drawUUID(t), rapid.Int().Draw(t, "counter")
		expires := time.Unix(rapid.Int64Range(0, 1<<40).Draw(t, "expires"), 0).UTC()
		token := signer.ResetToken(id, counter, expires)
		gotID, gotCounter, gotExpires, ok := rotated.ParseResetToken(token)
		if !ok || gotID != id || gotCounter != counter || !gotExpires.Equal(expires) {
			t.Fatalf("ParseResetToken = %v, %v, %v, %v", gotID, gotCounter, gotExpires, ok)
		}
		if _, _, ok := signer.ParseInvitationToken(token); ok {
			t.Fatal("accepted as an invitation")
		}
	})
}

// Any other spelling of a token is rejected: one bit, one character, padding,
// line breaks and so on.
func TestDamagedLinksAreRefused(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, secretOne, secretTwo)
	rapid.Check(t, func(t *rapid.T) {
		token := signer.InvitationToken(drawUUID(t), rapid.Int().Draw(t, "generation"))
		at := rapid.IntRange(0, len(token)-1).Draw(t, "at")
		flipped := []byte(token)
		flipped[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		for _, damaged := range []string{
			string(flipped), token[:at], token[:at] + token[at+1:], token[:at] + "\n" + token[at:],
			token + "=", token + "AAAA", "AAAA" + token, strings.ToUpper(token) + "x",
		} {
			if _, _, ok := signer.ParseInvitationToken(damaged); ok {
				t.Fatalf("%q is accepted", damaged)
			}
		}
	})
}

// A MAC over a label and a body that run together would let one purpose's
// token pass for another's.
func TestPurposesAreSeparate(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, secretOne)
	rapid.Check(t, func(t *rapid.T) {
		one := auth.Purpose(rapid.StringMatching(`[a-c]{0,3}`).Draw(t, "one"))
		two := auth.Purpose(rapid.StringMatching(`[a-c]{0,3}`).Draw(t, "two"))
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		token := signer.Sign(one, body)
		got, ok := signer.Verify(two, token)
		if ok != (one == two) || ok && string(got) != string(body) {
			t.Fatalf("signed for %q, verified for %q: %v, %v", one, two, got, ok)
		}
	})
}

func TestSignLeavesItsArgumentAlone(t *testing.T) {
	t.Parallel()
	buffer := []byte("body and more behind it, long enough to be written over")
	before := string(buffer)
	newSigner(t, secretOne).Sign("test", buffer[:4])
	if string(buffer) != before {
		t.Errorf("Sign wrote into the caller's buffer: %q", buffer)
	}
}

func BenchmarkInvitationToken(b *testing.B) {
	signer, id := newSigner(b, secretOne), uuid.Max
	for b.Loop() {
		signer.InvitationToken(id, 1)
	}
}

func drawUUID(t *rapid.T) uuid.UUID {
	return uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
}
