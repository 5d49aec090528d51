package webhook_test

import (
	"strings"
	"testing"

	"rollcall/internal/egress"
	"rollcall/webhook"
)

// TestCheckURL checks URLs; those with an address get the same answer as when
// dialed.
func TestCheckURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		allowed string
		urls    string
		ok      bool
	}{
		{"", "https://hr.example.com/hook https://hr.example.com:8443/a?b=c https://1.1.1.1 https://[2606:4700::1111]/", true},
		{"", "http://hr.example.com http://1.1.1.1 ftp://hr.example.com hr.example.com /hook https:///hook https://:443/ https:hr.example.com", false},
		{"", "https://me:secret@hr.example.com https://hr.example.com/#a https://hr.example.com/# https://hr.example.com/\u00e9 https://", false},
		{"", "https://127.0.0.1 https://[::1] https://[::ffff:127.0.0.1] https://[::127.0.0.1] https://[::]/ https://0.0.0.0", false},
		{"", "https://10.0.0.1 https://172.31.0.1 https://192.168.1.1 https://100.64.0.1 https://[fd00::1] https://[fec0::1]", false},
		{"", "https://169.254.169.254 https://[fe80::1] https://[fe80::1%25eth0] https://[fd00:ec2::254] https://168.63.129.16", false},
		{"", "https://224.0.0.1 https://255.255.255.255 https://240.0.0.1 https://[ff02::1] https://198.18.0.1 https://203.0.113.1", false},
		{"", "https://[64:ff9b::7f00:1] https://[64:ff9b:1::7f00:1] https://[::ffff:0:7f00:1] https://[2002:7f00:1::] https://[2001:db8::1] https://[2001::1] https://[100::1]", false},
		{"false", "https://127.0.0.1 https://10.0.0.1 http://10.0.0.1", false},
		{"true", "https://127.0.0.1 http://[::1]:9000/ http://10.9.8.7:8080 https://192.168.1.1 https://[fd12::1] https://100.64.0.1", true},
		{"true", "http://hr.internal:8080/hook https://hr.internal:1024 https://hr.internal:65535 https://hr.internal:443", true}, // checked when it is dialed
		{"true", "http://1.1.1.1:8080 http://[2606:4700::1111]:8080", false},
		{"true", "http://hr.internal http://10.9.8.7:80 https://hr.internal:80 https://hr.example.com:25 https://1.1.1.1:1023 https://hr.example.com:0 https://hr.example.com:65536", false},
		{"true", "https://169.254.169.254 http://169.254.1.1 https://[fd00:ec2::254] https://100.100.100.200 https://0.0.0.0", false},
		{"10.1.0.0/16, fd12:3456::/32,192.168.1.9", "http://10.1.2.3:8080 https://[fd12:3456::1] https://192.168.1.9", true},
		{"10.1.0.0/16, fd12:3456::/32,192.168.1.9", "http://10.2.2.3:8080 https://[fd12:3457::1] https://192.168.1.8 https://127.0.0.1", false},
		{"0.0.0.0/0,::/0", "http://1.1.1.1:8080 https://10.0.0.1", true},
		{"0.0.0.0/0,::/0", "https://169.254.169.254 https://[fd00:ec2::254]", false},
		{"169.254.169.254", "http://169.254.169.254:8080", true},
	} {
		allowed, err := egress.ParseAddresses(c.allowed)
		if err != nil {
			t.Fatal(err)
		}
		for url := range strings.FieldsSeq(c.urls) {
			if err := webhook.CheckURL(url, allowed); (err == nil) != c.ok {
				t.Errorf("allowing %q, %s: %v", c.allowed, url, err)
			}
		}
	}
	if webhook.CheckURL("https://hr.example.com/"+strings.Repeat("a", webhook.MaxURL), egress.Addresses{}) == nil {
		t.Error("a URL of any length will do")
	}
}

// TestCheckURLEncrypted: if connections must be encrypted, http is accepted for
// this machine only.
func TestCheckURLEncrypted(t *testing.T) {
	t.Parallel()
	allowed, err := egress.ParseAddresses("true")
	if err != nil {
		t.Fatal(err)
	}
	for url, ok := range map[string]bool{
		"https://10.9.8.7": true, "https://hr.internal": true, "http://127.0.0.1:9000": true, "http://[::1]:9000": true,
		"http://10.9.8.7:9000": false, "http://[fd12::1]:9000": false,
	} {
		if err := webhook.CheckURL(url, allowed.OnlyEncrypted()); (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		}
	}
}
