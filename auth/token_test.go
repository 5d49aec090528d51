package auth_test

import (
	"crypto/sha256"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rollcall/auth"
)

func TestNewToken(t *testing.T) {
	t.Parallel()
	shape := regexp.MustCompile(`^rc_[0-9A-Za-z]{49}$`)
	seen := map[string]bool{}
	for range 1000 {
		secret, hash := auth.NewToken()
		if !shape.MatchString(secret) || seen[secret] {
			t.Fatalf("%q is malformed or was made before", secret)
		}
		seen[secret] = true
		parsed, err := auth.ParseToken(secret)
		if err != nil || !auth.SameHash(parsed, hash) || hash != sha256.Sum256([]byte(secret)) || hash != auth.HashToken(secret) {
			t.Fatalf("ParseToken(%q) = %x, %v; want %x", secret, parsed, err, hash)
		}
	}
}

// The checksum is part of the format: tokens handed out stay valid, and
// scanners are told how to compute it. Computed with Python's zlib.crc32.
func TestParseTokenKnownAnswer(t *testing.T) {
	t.Parallel()
	const token = "rc_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg1hD7z3"
	if _, err := auth.ParseToken(token); err != nil {
		t.Error(err)
	}
}

// A token with any character replaced, dropped or added is rejected without a
// database query.
func TestParseTokenRefusesDamage(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secret, _ := auth.NewToken()
		at := rapid.IntRange(0, len(secret)-1).Draw(t, "at")
		other := rapid.StringMatching(`[ -~]`).Filter(func(s string) bool { return s != secret[at:at+1] }).Draw(t, "other")
		for name, damaged := range map[string]string{
			"replaced": secret[:at] + other + secret[at+1:],
			"dropped":  secret[:at] + secret[at+1:],
			"added":    secret[:at] + other + secret[at:],
		} {
			if _, err := auth.ParseToken(damaged); !errors.Is(err, auth.ErrMalformedToken) {
				t.Fatalf("%s at %d: %v, want ErrMalformedToken", name, at, err)
			}
		}
	})
}

func TestSameHash(t *testing.T) {
	t.Parallel()
	a, b := auth.HashToken("a"), auth.HashToken("b")
	if !auth.SameHash(a, a) || auth.SameHash(a, b) {
		t.Error("SameHash is wrong")
	}
}

func TestParseScopes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want []auth.Scope
		err  error
	}{
		{"", nil, nil},
		{"imports", []auth.Scope{auth.ScopeImports}, nil},
		{"imports:read imports", []auth.Scope{auth.ScopeImports, auth.ScopeImportsRead}, nil},
		{" admin,\timports,admin ", []auth.Scope{auth.ScopeAdmin, auth.ScopeImports}, nil},
		{"Imports", nil, auth.ErrUnknownScope},
		{"imports users", nil, auth.ErrUnknownScope},
	} {
		got, err := auth.ParseScopes(tt.text)
		if !slices.Equal(got, tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("ParseScopes(%q) = %v, %v; want %v, %v", tt.text, got, err, tt.want, tt.err)
		}
	}
}

func TestAllows(t *testing.T) {
	t.Parallel()
	allowed := map[auth.Scope][]auth.Scope{
		auth.ScopeImportsRead: {auth.ScopeImportsRead},
		auth.ScopeImports:     {auth.ScopeImportsRead, auth.ScopeImports},
		auth.ScopeAdmin:       {auth.ScopeImportsRead, auth.ScopeImports, auth.ScopeAdmin},
	}
	for _, have := range auth.Scopes() {
		for _, need := range auth.Scopes() {
			if got, want := auth.Allows([]auth.Scope{have}, need), slices.Contains(allowed[have], need); got != want {
				t.Errorf("Allows(%s, %s) = %v", have, need, got)
			}
		}
	}
	for _, need := range auth.Scopes() {
		if auth.Allows(nil, need) {
			t.Errorf("no grant allows %s", need)
		}
	}
	if auth.Allows([]auth.Scope{auth.ScopeImports, auth.ScopeImportsRead}, "") {
		t.Error("the empty need is allowed")
	}
}

func TestSession(t *testing.T) {
	t.Parallel()
	secret, hash := auth.NewSession()
	if got, ok := auth.ParseSession(secret); !ok || got != hash || hash != sha256.Sum256([]byte(secret)) {
		t.Errorf("ParseSession(%q) = %x, %v; want %x", secret, got, ok, hash)
	}
	if other, _ := auth.NewSession(); other == secret {
		t.Error("two sessions are the same")
	}
	for _, bad := range []string{"", secret[1:], secret + "A", secret + "\n", secret[:42] + "\n", secret[:42] + "=", strings.Repeat("*", 43), secret[:42] + "B"} {
		if _, ok := auth.ParseSession(bad); ok {
			t.Errorf("ParseSession(%q) is accepted", bad)
		}
	}
}
