package webhook_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/internal/egress"
	"rollcall/webhook"
)

// FuzzCheckURL: an accepted URL leads to a host over TLS and contains nothing
// that two parsers could read differently; an address in it is public.
func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{
		"https://hr.example.com/hook?a=b", "https://127.0.0.1", "https://[::ffff:7f00:1]/", "https://0x7f.1/", "https://2130706433", "https://a@127.0.0.1",
		"https://hr.example.com\\@127.0.0.1/", "https://hr.example.com#@127.0.0.1", "http://hr.example.com", "https://[fe80::1%25eth0]/", "https://%31%32%37.0.0.1",
		"https://hr.example.com:99999/", "https://hr.example.com\t/", "HTTPS://HR.example.com",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if webhook.CheckURL(text, egress.Addresses{}) != nil {
			return
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || len(text) > webhook.MaxURL {
			t.Fatalf("%q is taken", text)
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q is taken", text)
		}
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil && (addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsUnspecified()) {
			t.Errorf("%q is taken", text)
		}
	})
}

// FuzzSecret: an invalid secret signs nothing.
func FuzzSecret(f *testing.F) {
	for _, seed := range []string{webhook.NewSecret(), "", "whsec_", "whsec_AAAA", "whsec_====", "whsec_\n"} {
		f.Add(seed, "msg_1", []byte("{}"))
	}
	f.Fuzz(func(t *testing.T, secret, id string, body []byte) {
		at := time.Unix(1_800_000_000, 0)
		one, err := webhook.Sign(secret, id, at, body)
		if err != nil {
			return
		}
		if two, _ := webhook.Sign(secret, id, at, body); !strings.HasPrefix(one, "v1,") || two != one {
			t.Errorf("%q signs %q, then %q", secret, one, two)
		}
	})
}

// FuzzRetryAfter: whatever a receiver asks for, the retry is within a day, and
// never at once if it asks for a delay.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "0", "120", "-5", "86400", "86401", "99999999999999999999", "+7", "1e3", " 5", "Fri, 31 Dec 2999 23:59:59 GMT", "0x10", "\u0661"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		wait := webhook.RetryAfter(http.Header{"Retry-After": {value}})
		if wait < 0 || wait > 24*time.Hour || wait%time.Second != 0 {
			t.Errorf("%q waits %s", value, wait)
		}
		if n, err := strconv.ParseUint(value, 10, 16); err == nil && wait != time.Duration(n)*time.Second {
			t.Errorf("%q waits %s", value, wait)
		}
	})
}
