package roster

import (
	"strings"
	"testing"
)

// unusualEmails are at the edges of what isPlainEmail accepts.
var unusualEmails = []string{
	"", "@", "a", "a@", "@b.co", "a@b", "a@b.c", "a@b.co", "a@@b.co", "a@b@c.co", "a.@b.co", ".a@b.co", "a..b@c.co", "a.b@c.co", "a@b..co", "a@.b.co",
	"a@b.co.", "a@-b.co", "a@b-.co", "a@b.-co", "a@b.co-", "a@b-c.co", "a@b--c.co", "a@xn--bcher-kva.example", "a@xn--.example", "a@b.1", "a@b.c1", "a@1.co",
	"a@b.12", "'a@b.co", "'=a@b.co", "o'brien@b.co", "=a@b.co", "+a@b.co", "-a@b.co", "A@b.co", "a@B.co", "a b@c.co", "a@b c.co", " a@b.co", "a@b.co ",
	"a@b_c.co", "a_b@c.co", "a+b@c.co", "a@b+c.co", "ü@b.co", "a@ü.co", "a@b.\xff", "a\x00@b.co", "a@b.co\n", "`a@b.co", "a!#$%&*/?^{|}~@b.co",
	strings.Repeat("a", 64) + "@b.co", strings.Repeat("a", 65) + "@b.co",
	"a@" + strings.Repeat("b", 63) + ".co", "a@" + strings.Repeat("b", 64) + ".co", "a@b." + strings.Repeat("c", 63), "a@b." + strings.Repeat("c", 64),
	"a@" + strings.Repeat("b.", 124) + "com", "a@" + strings.Repeat("b.", 125) + "co", "a@" + strings.Repeat("b.", 125) + "com",
}

// TestPlainEmail requires that the shortcut for plain addresses skips no rule, and
// that it applies to ordinary addresses.
func TestPlainEmail(t *testing.T) {
	t.Parallel()
	for _, address := range unusualEmails {
		checkPlainEmail(t, address)
		for i := range address { // and with one more character anywhere
			for _, c := range "aZ9.-@'_ \u00fc" {
				checkPlainEmail(t, address[:i]+string(c)+address[i:])
			}
		}
	}
	for _, address := range []string{"a@b.co", "grace.hopper+lists@mail-1.example.com", "olga.costa.1@example.com"} {
		if !isPlainEmail(address) {
			t.Errorf("%q is not plain", address)
		}
	}
}

func checkPlainEmail(t *testing.T, address string) {
	t.Helper()
	if !isPlainEmail(address) {
		return
	}
	if email, key, err := parseUnusualEmail(address); err != nil || email != address || key != address {
		t.Errorf("%q is plain, but the rules say %q, %q, %v", address, email, key, err)
	}
}

func FuzzPlainEmail(f *testing.F) {
	for _, address := range unusualEmails {
		f.Add(address)
	}
	f.Fuzz(checkPlainEmail)
}
