package egress_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rollcall/internal/egress"
	"rollcall/test/dnstest"
)

// inside are addresses that user-supplied hosts must not lead to unless
// allowed.
const inside = "127.0.0.1 ::1 ::ffff:127.0.0.1 ::127.0.0.1 10.0.0.1 172.31.0.1 192.168.1.1 100.64.0.1 fd00::1"

// nowhere are addresses that are not even inside.
const nowhere = "0.0.0.0 :: ::ffff:0.0.0.0 169.254.1.1 fe80::1 fe80::1%eth0 fec0::1 224.0.0.1 ff02::1 255.255.255.255 240.0.0.1 " +
	"198.18.0.1 203.0.113.1 2001:db8::1 2001::1 100::1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 64:ff9b:1::a9fe:a9fe ::ffff:0:127.0.0.1 ::ffff:0:169.254.169.254 ::ffff:0:8.8.8.8 " +
	"2001:0:7f00:1::80ff:fffe 3fff::1 5f00::1 192.88.99.1 192.0.0.1 2002:7f00:1::1 2002:a9fe:a9fe::1"

// metadata are addresses at which a cloud serves a machine's credentials.
const metadata = "169.254.169.254 ::ffff:169.254.169.254 169.254.170.2 fd00:ec2::254 100.100.100.200 192.0.0.192 168.63.129.16"

const outside = "1.1.1.1 93.184.215.14 2606:4700::1111 ::ffff:1.1.1.1"

func TestCheck(t *testing.T) {
	t.Parallel()
	for allowed, want := range map[string]map[string]bool{
		"":                         {outside: true, inside: false, nowhere: false, metadata: false},
		"false":                    {outside: true, inside: false, nowhere: false, metadata: false},
		"true":                     {outside: true, nowhere: false, metadata: false, "127.0.0.1 ::1 ::ffff:127.0.0.1 10.0.0.1 192.168.1.1 100.64.0.1 fd00::1": true},
		"10.1.0.0/16,fd12::/16":    {outside: true, nowhere: false, metadata: false, "10.1.2.3 fd12::1 ::ffff:10.1.2.3": true, "10.2.0.1 fd13::1 127.0.0.1": false},
		"0.0.0.0/0,::/0":           {outside: true, inside: true, metadata: false},
		"169.254.169.254":          {"169.254.169.254 ::ffff:169.254.169.254": true, "169.254.170.2 169.254.1.1": false},
		"168.63.129.0/24,fd00::/8": {metadata: false, "168.63.129.1": true},
	} {
		a, err := egress.ParseAddresses(allowed)
		if err != nil {
			t.Fatal(err)
		}
		for addresses, ok := range want {
			for address := range strings.FieldsSeq(addresses) {
				err := a.Check(netip.MustParseAddr(address))
				if (err == nil) != ok || err != nil && !errors.Is(err, egress.ErrAddress) {
					t.Errorf("allowing %q, %s: %v", allowed, address, err)
				}
				if !ok && a.Named(netip.MustParseAddr(address)) == nil {
					t.Errorf("allowing %q, %s is allowed by name", allowed, address)
				}
			}
		}
		if a.Named(netip.MustParseAddr("1.1.1.1")) == nil != (allowed == "0.0.0.0/0,::/0") {
			t.Errorf("allowing %q, 1.1.1.1 is allowed by name", allowed)
		}
	}
}

// TestOnlyEncrypted: the allowed addresses stay the same, but only loopback may
// be connected to unencrypted, if it is allowed.
func TestOnlyEncrypted(t *testing.T) {
	t.Parallel()
	const loopback, private = "127.0.0.1 127.9.9.9 ::1 ::ffff:127.0.0.1", "10.0.0.1 192.168.1.1 fd00::1"
	for _, c := range []struct {
		allowed, addresses string
		encrypted, plain   bool // whether plain is allowed
	}{
		{"true", loopback, true, true},
		{"true", loopback, false, true},
		{"true", private, true, false},
		{"true", private, false, true},
		{"", loopback, true, false},
		{"", outside, true, false},
		{"", outside, false, false},
		{"0.0.0.0/0,::/0", outside, true, false},
		{"0.0.0.0/0,::/0", outside, false, true},
	} {
		a, err := egress.ParseAddresses(c.allowed)
		if err != nil {
			t.Fatal(err)
		}
		judged := a
		if c.encrypted {
			judged = a.OnlyEncrypted()
		}
		if judged.MustEncrypt() != c.encrypted {
			t.Errorf("MustEncrypt() = %v, want %v", judged.MustEncrypt(), c.encrypted)
		}
		for address := range strings.FieldsSeq(c.addresses) {
			addr := netip.MustParseAddr(address)
			if err := judged.Plain(addr); (err == nil) != c.plain || err != nil && !errors.Is(err, egress.ErrAddress) {
				t.Errorf("allowing %q, encrypted only: %v, %s: %v", c.allowed, c.encrypted, address, err)
			}
			if (judged.Check(addr) == nil) != (a.Check(addr) == nil) {
				t.Errorf("allowing %q: %s may be connected to or not, by whether it is encrypted", c.allowed, address)
			}
		}
	}
}

func TestParseAddressesRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"yes", "10.0.0.0/33", "10.0.0", "10.0.0.0/8,", "hr.example.com", "::ffff:10.0.0.0/104", "fe80::1%eth0"} {
		if _, err := egress.ParseAddresses(text); err == nil {
			t.Errorf("%q will do", text)
		}
	}
}

// TestDialerChecksEveryAnswer: a name may resolve to any address, and to
// another one every time. Both ports are open; only the allowed one is ever
// connected to.
func TestDialerChecksEveryAnswer(t *testing.T) {
	t.Parallel()
	good := listen(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(good.Addr().String())
	bad := listen(t, "127.0.0.2:"+port)
	go func() {
		if conn, err := bad.Accept(); err == nil {
			conn.Close()
			t.Error("the barred address was connected to")
		}
	}()
	dns := dnstest.Start(t)
	allowed, err := egress.ParseAddresses("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	dial := egress.Dialer(allowed.Check, dns.Resolver())
	for _, c := range []struct {
		addresses string
		ok        bool
	}{
		{"127.0.0.1", true},
		{"127.0.0.2", false}, // the same name, now with another address
		{"127.0.0.2 127.0.0.1", true},
		{"::ffff:127.0.0.2", false},
		{"0.0.0.0 :: ::1 64:ff9b::7f00:2 2002:7f00:2::", false},
		{"169.254.169.254 fd00:ec2::254", false},
		{"127.0.0.1", true},
	} {
		dns.Set("mail.example.com", strings.Fields(c.addresses)...)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		conn, err := dial(ctx, "tcp", net.JoinHostPort("mail.example.com", port))
		cancel()
		if err == nil {
			conn.Close()
		}
		if (err == nil) != c.ok || !c.ok && !errors.Is(err, egress.ErrAddress) {
			t.Errorf("led to %s: %v", c.addresses, err)
		}
	}
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
