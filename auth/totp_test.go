package auth_test

import (
	"encoding/base32"
	"net/url"
	"strings"
	"testing"
	"time"

	"rollcall/auth"
)

// rfcSecret is the secret of the examples of RFC 4226 and RFC 6238, in base32.
var rfcSecret = base32.StdEncoding.EncodeToString([]byte("12345678901234567890"))

// TestTOTPVectors checks the codes against RFC 6238, appendix B, for SHA-1,
// whose eight digits end in our six, and against RFC 4226, appendix D, whose
// counter is the step.
func TestTOTPVectors(t *testing.T) {
	t.Parallel()
	for at, want := range map[int64]string{
		59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130",
	} {
		if got := auth.TOTP(rfcSecret, time.Unix(at, 0)); got != want[2:] {
			t.Errorf("at %d: %s, want %s", at, got, want[2:])
		}
	}
	for counter, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got := auth.TOTP(rfcSecret, time.Unix(int64(counter)*30, 0)); got != want {
			t.Errorf("counter %d: %s, want %s", counter, got, want)
		}
	}
}

func TestMatchTOTP(t *testing.T) {
	t.Parallel()
	secret, now := auth.NewTOTPSecret(), time.Unix(1_800_000_015, 0)
	const step = 60_000_000
	for drift := -3; drift <= 3; drift++ {
		code := auth.TOTP(secret, now.Add(time.Duration(drift)*30*time.Second))
		got, ok := auth.MatchTOTP(secret, code, now)
		if want := drift >= -1 && drift <= 1; ok != want || ok && got != int64(step+drift) {
			t.Errorf("%d steps away: step %d, %v", drift, got, ok)
		}
	}
	code := auth.TOTP(secret, now)
	if _, ok := auth.MatchTOTP(secret, " "+code[:3]+" "+code[3:]+"\n", now); !ok {
		t.Error("spaces count")
	}
	for _, wrong := range []string{"", code[:5], code + "0", "-" + code[1:], "１２３４５６", strings.Repeat("1", 1<<16)} {
		if _, ok := auth.MatchTOTP(secret, wrong, now); ok {
			t.Errorf("%.20q is a code", wrong)
		}
	}
	for _, broken := range []string{"", "not base32!"} {
		if _, ok := auth.MatchTOTP(broken, auth.TOTP(broken, now), now); ok {
			t.Errorf("secret %q has codes", broken)
		}
	}
	other := auth.NewTOTPSecret()
	if len(secret) != 32 || other == secret {
		t.Errorf("secrets %q and %q", secret, other)
	}
}

func TestTOTPLink(t *testing.T) {
	t.Parallel()
	link := auth.TOTPLink("ABCD", "Ängste: & Co", "o'hara+x@example.com")
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/Ängste  & Co:o'hara+x@example.com" || q.Get("secret") != "ABCD" ||
		q.Get("issuer") != "Ängste  & Co" || q.Get("algorithm") != "SHA1" || q.Get("digits") != "6" || q.Get("period") != "30" {
		t.Errorf("%s", link)
	}
}

func TestRecoveryCodes(t *testing.T) {
	t.Parallel()
	codes, hashes := auth.NewRecoveryCodes()
	if len(codes) != auth.RecoveryCodes || len(hashes) != auth.RecoveryCodes {
		t.Fatalf("%d codes, %d hashes", len(codes), len(hashes))
	}
	seen := map[[32]byte]bool{}
	for i, code := range codes {
		seen[hashes[i]] = true
		if len(code) != 29 || strings.Count(code, "-") != 5 {
			t.Errorf("code %q", code)
		}
		for _, typed := range []string{code, strings.ToUpper(code), " " + strings.ReplaceAll(code, "-", " ") + " ", strings.NewReplacer("o", "0", "l", "1").Replace(code)} {
			if got, ok := auth.ParseRecoveryCode(typed); !ok || got != hashes[i] {
				t.Errorf("%q is not read: %v", typed, ok)
			}
		}
		for _, wrong := range []string{"", code[1:], code + "a", "!" + code[1:], "123456", strings.Repeat(code, 10)} {
			if _, ok := auth.ParseRecoveryCode(wrong); ok {
				t.Errorf("%q is read", wrong)
			}
		}
	}
	if len(seen) != auth.RecoveryCodes {
		t.Error("two codes are the same")
	}
}
