package header_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"rollcall/httpapi/header"
)

func TestForwarded(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct {
		name, peer string
		header     []string
		want       string
	}{
		{"nobody said anything", "10.0.0.1:4711", nil, "10.0.0.1:4711"},
		{"the proxy's client", "10.0.0.1:4711", []string{"192.0.2.7"}, "192.0.2.7:4711"},
		{"a stranger says so of himself", "203.0.113.9:4711", []string{"192.0.2.7"}, "203.0.113.9:4711"},
		{"the client wrote the first", "10.0.0.1:4711", []string{"127.0.0.1, 192.0.2.7"}, "192.0.2.7:4711"},
		{"in a header of his own", "10.0.0.1:4711", []string{"127.0.0.1", "192.0.2.7"}, "192.0.2.7:4711"},
		{"over two proxies", "10.0.0.1:4711", []string{"192.0.2.7, 10.9.9.9"}, "192.0.2.7:4711"},
		{"all of them trusted", "10.0.0.1:4711", []string{"10.1.1.1, 10.9.9.9"}, "10.1.1.1:4711"},
		{"nonsense", "10.0.0.1:4711", []string{"192.0.2.7, unknown"}, "10.0.0.1:4711"},
		{"nonsense before a trusted one", "10.0.0.1:4711", []string{"evil\"\n, 10.9.9.9"}, "10.9.9.9:4711"},
		{"empty", "10.0.0.1:4711", []string{""}, "10.0.0.1:4711"},
		{"with a port", "10.0.0.1:4711", []string{"192.0.2.7:8080"}, "192.0.2.7:4711"},
		{"IPv6", "[fd00::1]:4711", []string{"2001:db8::7"}, "[2001:db8::7]:4711"},
		{"IPv6 with a port", "[fd00::1]:4711", []string{"[2001:db8::7]:80"}, "[2001:db8::7]:4711"},
		{"IPv4 written as IPv6", "[::ffff:10.0.0.1]:4711", []string{"::ffff:192.0.2.7"}, "192.0.2.7:4711"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got string
			h := header.Forwarded(trusted, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr }))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tt.peer
			if tt.header != nil {
				r.Header["X-Forwarded-For"] = tt.header
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
			if got != tt.want {
				t.Errorf("seen as %s, want %s", got, tt.want)
			}
		})
	}
	t.Run("with nobody trusted", func(t *testing.T) {
		t.Parallel()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = "127.0.0.1:4711"
		r.Header.Set("X-Forwarded-For", "192.0.2.7")
		header.Forwarded(nil, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.RemoteAddr != "127.0.0.1:4711" {
				t.Errorf("seen as %s", r.RemoteAddr)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
	})
}
