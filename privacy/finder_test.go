package privacy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
)

func TestFinder(t *testing.T) {
	t.Parallel()
	wide := func(s string, big bool) string {
		var b strings.Builder
		for i := range len(s) {
			if big {
				b.WriteByte(0)
			}
			b.WriteByte(s[i])
			if !big {
				b.WriteByte(0)
			}
		}
		return b.String()
	}
	for _, tt := range []struct {
		name, address, file string
		want                bool
	}{
		{"as it is", "a.b@example.com", "email\na.b@example.com\n", true},
		{"other case", "A.b@Example.com", "email\na.B@eXAMPLE.COM\n", true},
		{"UTF-16, little end first", "a.b@example.com", wide("email\nA.b@example.com\n", false), true},
		{"UTF-16, big end first", "a.b@example.com", wide("email\na.b@example.com\n", true), true},
		{"in a letter to somebody", "a.b@example.com", "x\"<a.b@example.com>\"", true},
		{"somebody else", "a.b@example.com", "a.c@example.com\na.b@example.org\n", false},
		{"a domain beyond ASCII", "a.b@bücher.example", "a.b@b\xfccher.example", true},
		{"nothing", "a.b@example.com", "", false},
	} {
		got, err := newFinder(tt.address).in(strings.NewReader(tt.file))
		if err != nil || got != tt.want {
			t.Errorf("%s: %v, %v", tt.name, got, err)
		}
		if got, err := newFinder(tt.address).in(iotest.OneByteReader(strings.NewReader(tt.file))); err != nil || got != tt.want {
			t.Errorf("%s, byte by byte: %v, %v", tt.name, got, err)
		}
	}
}

// TestFinderAcrossWindows puts the address at every place around the end of a
// window.
func TestFinderAcrossWindows(t *testing.T) {
	t.Parallel()
	const address = "somebody@example.com"
	f := newFinder(address)
	for at := window + f.longest - 2*len(address); at <= window+f.longest+2; at++ {
		file := append(bytes.Repeat([]byte{'x'}, at), address...)
		if found, err := f.in(bytes.NewReader(file)); err != nil || !found {
			t.Errorf("at %d: %v, %v", at, found, err)
		}
	}
	broken := iotest.ErrReader(fmt.Errorf("no disk"))
	if _, err := f.in(broken); err == nil {
		t.Error("a file that cannot be read names nobody")
	}
}
