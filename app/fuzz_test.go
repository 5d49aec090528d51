package app_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"rollcall/app"
)

// FuzzForwarded: whatever proxies pass on, a request has an address, and one
// that comes from nobody we trust keeps its own.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"", "203.0.113.9", "1.1.1.1, 10.0.0.2", "unknown", "[::1]:443", "::ffff:1.2.3.4", ",,,", "1.2.3.4:99999", "fe80::1%eth0"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, forwarded string, byProxy bool) {
		peer := "198.51.100.7:9"
		if byProxy {
			peer = "10.0.0.1:9"
		}
		handler := app.Forwarded(trusted, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			at, err := netip.ParseAddrPort(r.RemoteAddr)
			if err != nil || at.Port() != 9 || !byProxy && r.RemoteAddr != peer {
				t.Errorf("%q from %s: %s, %v", forwarded, peer, r.RemoteAddr, err)
			}
		}))
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = peer, []string{forwarded}
		handler.ServeHTTP(httptest.NewRecorder(), r)
	})
}
