package egress_test

import (
	"net/netip"
	"strings"
	"testing"

	"rollcall/internal/egress"
)

// FuzzParseAddresses: no list allows a cloud's credentials address unless it
// names it, and none allows less than the public Internet.
func FuzzParseAddresses(f *testing.F) {
	for _, seed := range []string{"", "true", "FALSE", "10.0.0.0/8, fd00::/8", "0.0.0.0/0,::/0", "169.254.169.254", "::ffff:0:0/96", "1.2.3.4/33", ",", "fe80::1%a"} {
		f.Add(seed)
	}
	secret, open := netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("1.1.1.1")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := egress.ParseAddresses(text)
		if err != nil {
			return
		}
		if a.Check(secret) == nil && !strings.Contains(text, "169.254.169.254") && !strings.Contains(strings.ToLower(text), "a9fe") {
			t.Errorf("%q lets %s through", text, secret)
		}
		if a.Check(open) != nil {
			t.Errorf("%q bars %s", text, open)
		}
	})
}
