package privacy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"rollcall/roster"
	"rollcall/storage"
)

func subject(t *testing.T, address string) storage.DataSubject {
	t.Helper()
	key, err := roster.EmailKey(address)
	if err != nil {
		t.Fatal(err)
	}
	return storage.DataSubject{Email: address, EmailKey: key}
}

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
		{"U-label, windows-1252", "a.b@bücher.example", "a.b@b\xfccher.example", true},
		{"U-label, UTF-8", "a.b@xn--bcher-kva.example", "<A.B@BÜCHER.example>", true},
		{"U-label, decomposed", "a.b@xn--bcher-kva.example", "a.b@bu\u0308cher.example", true},
		{"U-label, macintosh", "a.b@xn--bcher-kva.example", "a.b@b\x9fcher.example;", true},
		{"U-label, GBK", "a.b@xn--fiqs8s.example", "a.b@\xd6\xd0\xb9\xfa.example\n", true},
		{"A-label of a U-label", "a.b@bücher.example", "a.b@XN--bcher-kva.example", true},
		{"another U-label", "a.b@bücher.example", "a.b@bucher.example a.b@b\xf6cher.example", false},
		{"longer before", "a.b@example.com", "aa.b@example.com,x-a.b@example.com,x.a.b@example.com,x+a.b@example.com,x_a.b@example.com", false},
		{"longer behind", "a.b@example.com", "a.b@example.com.mx,a.b@example.community,a.b@example.com-x.org,a.b@example.com1", false},
		{"longer, UTF-16", "a.b@example.com", wide("aa.b@example.com\na.b@example.com.mx", false), false},
		{"longer, then right", "a.b@example.com", "aa.b@example.com,a.b@example.com", true},
		{"at the end of a sentence", "a.b@example.com", "write to a.b@example.com.", true},
		{"at the end of a sentence, UTF-16", "a.b@example.com", wide("a.b@example.com. Thanks", true), true},
		{"in a URL", "a.b@example.com", "mailto:a.b@example.com?subject=x", true},
		{"in apostrophes", "a.b@example.com", "'a.b@example.com'", true},
		{"nothing", "a.b@example.com", "", false},
	} {
		got, err := newFinder(subject(t, tt.address)).in(strings.NewReader(tt.file))
		if err != nil || got != tt.want {
			t.Errorf("%s: %v, %v", tt.name, got, err)
		}
		if got, err := newFinder(subject(t, tt.address)).in(iotest.OneByteReader(strings.NewReader(tt.file))); err != nil || got != tt.want {
			t.Errorf("%s, byte by byte: %v, %v", tt.name, got, err)
		}
	}
}

// TestFinderAcrossWindows puts the address at every position around the end of
// a window, alone and within a longer one.
func TestFinderAcrossWindows(t *testing.T) {
	t.Parallel()
	const address = "somebody@example.com"
	f := newFinder(subject(t, address))
	for at := window - 2*len(address); at <= window+f.longest+3*border; at++ {
		file := append(append(bytes.Repeat([]byte{' '}, at), address...), ",x"...)
		got, err := f.matches(bytes.NewReader(file))
		if err != nil || len(got) != 1 || got[0].from != int64(at) || got[0].to != int64(at+len(address)) {
			t.Errorf("at %d: %v, %v", at, got, err)
		}
		for _, longer := range []string{"x" + address, address + ".mx"} {
			if found, err := f.in(strings.NewReader(strings.Repeat(" ", at-1) + longer)); err != nil || found {
				t.Errorf("%s at %d: %v, %v", longer, at-1, found, err)
			}
		}
	}
	broken := iotest.ErrReader(fmt.Errorf("no disk"))
	if _, err := f.in(broken); err == nil {
		t.Error("a failed read returned no error")
	}
}

// TestRecords: only the rows that contain the address are masked.
func TestRecords(t *testing.T) {
	t.Parallel()
	const address = "a.b@example.com"
	for name, c := range map[string]struct{ file, want string }{
		"a row":               {"email,name\nx@y.z,X\na.b@example.com,Ann Bee\nz@y.z,Z\n", "email,name\nx@y.z,X\n***************,*** ***\nz@y.z,Z\n"},
		"the last, no end":    {"email\na.b@example.com", "email\n***************"},
		"CR alone":            {"email\rx@y.z\ra.b@example.com\rz@y.z\r", "email\rx@y.z\r***************\rz@y.z\r"},
		"CRLF":                {"email\r\nx\r\na.b@example.com\r\nz\r\n", "email\r\nx\r\n***************\r\nz\r\n"},
		"quoted line ends":    {"a,\"x\ny\"\n\"Ann\r\nBee, \"\"Boss\"\"\",a.b@example.com\nz,z\n", "a,\"x\ny\"\n\"***\r\n***, \"\"****\"\"\",***************\nz,z\n"},
		"before the address":  {"a.b@example.com;\"1 Road\nTown\"\nz;z\n", "***************;\"* ****\n****\"\nz;z\n"},
		"a quote in the cell": {"a,5\" pipe\na.b@example.com,5\" pipe\nz,z\n", "a,5\" pipe\n***************,*\" ****\nz,z\n"},
		"a quote never ends":  {"a,\"x\na.b@example.com,y\nz,z\n", "a,\"x\n***************,*\nz,z\n"},
		"twice in a row":      {"a.b@example.com,A.B@example.com\nz\n", "***************,***************\nz\n"},
		"beyond ASCII":        {"h\n\u00c5sa,a.b@example.com\nz\n", "h\n****,***************\nz\n"},
		"behind a mark":       {"\ufeff\"A\n\",a.b@example.com\nz\n", "***\"*\n\",***************\nz\n"},
	} {
		got := redacted(t, address, []byte(c.file))
		if diff := cmp.Diff(c.want, string(got)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	wide := func(s string) (b []byte) {
		for i := range len(s) {
			b = append(b, s[i], 0)
		}
		return b
	}
	if got := redacted(t, address, wide("h,i\na.b@example.com,\"A\nB\"\nz,z\n")); !bytes.Equal(got, wide("h,i\n***************,\"*\n*\"\nz,z\n")) {
		t.Errorf("UTF-16: %q", got)
	}
}

func redacted(t *testing.T, address string, file []byte) []byte {
	t.Helper()
	matches, err := newFinder(subject(t, address)).matches(bytes.NewReader(file))
	if err != nil || len(matches) == 0 {
		t.Fatalf("%q: %v, %v", file, matches, err)
	}
	records, err := recordsOf(iotest.OneByteReader(bytes.NewReader(file)), matches, false)
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, r := range records {
		matches[0].unit.mask(file[r.From:r.To], r.From)
		lines += int(r.LastLine - r.FirstLine + 1)
	}
	if lines == 0 || lines > 2 {
		t.Errorf("%q: records %v", file, records)
	}
	return file
}
