package header_test

import (
	"mime"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"rollcall/httpapi/header"
)

// FuzzPrefer: whatever a client prefers, it waits for a minute at most, and is
// told what was obeyed in words that mean the same when read again.
func FuzzPrefer(f *testing.F) {
	for _, seed := range []string{"", "respond-async", "wait=5", `respond-async, wait="10"; x=y`, "WAIT=99999999999", "wait=-1", ",,=;", "wait=5,wait=6"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		p := header.ParsePrefer(http.Header{"Prefer": {value}})
		if wait := p.OrElse(0); wait < 0 || wait > time.Minute {
			t.Errorf("%q waits %s", value, wait)
		}
		told := http.Header{}
		p.Applied(told)
		if again := header.ParsePrefer(http.Header{"Prefer": told["Preference-Applied"]}); again != p {
			t.Errorf("%q is told as %q", value, told)
		}
	})
}

// FuzzDisposition: a file's name stays a name. It ends no header, and programs
// read it as it was.
func FuzzDisposition(f *testing.F) {
	for _, seed := range []string{"people.csv", "Über \"uns\".csv", "a\r\nSet-Cookie: x=y", `\";filename=evil.exe`, "../../x", "%41;a=b", "\u202egpj.csv"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		value := header.Disposition(name)
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q becomes %q", name, value)
		}
		kind, params, err := mime.ParseMediaType(value)
		if err != nil || kind != "attachment" || len(params) != 1 {
			t.Fatalf("%q becomes %q: %v, %v", name, value, params, err)
		}
		if utf8.ValidString(name) && name != "" && params["filename"] != name {
			t.Errorf("%q becomes %q, read as %q", name, value, params["filename"])
		}
	})
}

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
		handler := header.Forwarded(trusted, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
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
