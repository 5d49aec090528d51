package config_test

import (
	"errors"
	"strings"
	"testing"

	"rollcall/config"
)

// FuzzURLs gives every variable that holds a URL the same text. Whatever it is,
// a fault does not repeat it: any part of a mistyped one may be a password.
func FuzzURLs(f *testing.F) {
	for _, seed := range []string{
		"postgres://u:p@h:5432/d?sslmode=disable", "host=h user=u", "redis://:p%40@h:6379/0", "rediss://h", "redis-sentinel://a:1,b:2/0?master=m", "smtp://u:p@h?tls=implicit",
		"https://rollcall.example.com", "://", "http://[::1", "redis://h:70000", "smtp://u:canaries%zz@h", "redis-sentinel://,,?master=",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := config.ParseRedisURL(text); err != nil && repeats(err.Error(), text) {
			t.Errorf("%q is repeated: %v", text, err)
		}
		_, err := config.LoadAPI(environment("DATABASE_URL="+text, "REDIS_URL="+text, "SMTP_URL="+text, "ROLLCALL_PUBLIC_URL="+text, "ROLLCALL_LISTEN="+text))
		var faults config.Faults
		if err != nil && !errors.As(err, &faults) {
			t.Fatalf("an error that is no list of faults: %v", err)
		}
		for _, fault := range faults {
			if repeats(fault.Problem, text) {
				t.Errorf("%q is repeated: %v", text, fault)
			}
		}
	})
}

// repeats tells whether a fault holds the text, and not just because the text
// is a piece of what we say of schemes.
func repeats(fault, text string) bool {
	const ours = "must start with redis://, rediss://, redis-sentinel:// or redis-cluster://"
	return len(text) > 12 && strings.Contains(strings.ReplaceAll(fault, ours, ""), text)
}
