package roster_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"rollcall/roster"
)

func TestEmailKey(t *testing.T) {
	t.Parallel()
	label63 := strings.Repeat("d", 63)
	for name, c := range map[string]struct{ address, want string }{
		"plain":                      {"grace@example.com", "grace@example.com"},
		"upper case":                 {"Grace.Hopper@Example.COM", "grace.hopper@example.com"},
		"upper case domain only":     {"grace@EXAMPLE.com", "grace@example.com"},
		"dots stay":                  {"g.r.a.c.e@example.com", "g.r.a.c.e@example.com"},
		"plus stays":                 {"grace+lists@example.com", "grace+lists@example.com"},
		"every sign of an atom":      {"!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"},
		"digits":                     {"1@2.3x", "1@2.3x"},
		"local part of 64":           {strings.Repeat("l", 64) + "@example.com", strings.Repeat("l", 64) + "@example.com"},
		"label of 63":                {"a@" + label63 + ".com", "a@" + label63 + ".com"},
		"dashes within a label":      {"a@my--host-1.example", "a@my--host-1.example"},
		"subdomains":                 {"a@b.c.d.e.example", "a@b.c.d.e.example"},
		"other script":               {"info@Bücher.example", "info@xn--bcher-kva.example"},
		"same, encoded already":      {"info@xn--bcher-kva.example", "info@xn--bcher-kva.example"},
		"same, encoded in capitals":  {"info@XN--BCHER-KVA.example", "info@xn--bcher-kva.example"},
		"sharp s is a letter":        {"a@straße.example", "a@xn--strae-oqa.example"},
		"ideographic full stop":      {"a@例え。テスト", "a@xn--r8jz45g.xn--zckzah"},
		"an apostrophe in a name":    {"'o'brien@example.com", "'o'brien@example.com"},
		"decomposed letters compose": {"info@bu\u0308cher.example", "info@xn--bcher-kva.example"},
		"254 bytes":                  {longAddress(254), longAddress(254)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := roster.EmailKey(c.address)
			if err != nil || got != c.want {
				t.Errorf("EmailKey(%q) = %q, %v; want %q", c.address, got, err, c.want)
			}
		})
	}
}

// TestMailAddress: an address used for sending is kept as typed, in ASCII.
func TestMailAddress(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"Grace@Example.com":           "Grace@Example.com",
		"no-reply@localhost":          "no-reply@localhost",
		"info@Bücher.example":         "info@xn--bcher-kva.example",
		"ä@example.com":               "",
		"a@[127.0.0.1]":               "",
		`"a b"@example.com`:           "",
		"Ada <ada@example.com>":       "",
		"a@example.com\r\nBcc: b@c.d": "",
		"a@":                          "",
		"localhost":                   "",
		longAddress(254):              longAddress(254),
		longAddress(255):              "",
	} {
		if got, err := roster.MailAddress(address); got != want || (err == nil) != (want != "") {
			t.Errorf("MailAddress(%q) = %q, %v; want %q", address, got, err, want)
		}
	}
}

// longAddress makes a valid address of the given number of bytes.
func longAddress(n int) string {
	label := strings.Repeat("d", 63) + "."
	s := strings.Repeat("l", 64) + "@" + label + label
	return s + strings.Repeat("e", n-len(s)-4) + ".com"
}

func TestEmailKeyRefuses(t *testing.T) {
	t.Parallel()
	const (
		dot     = "The part before the @ has a misplaced dot."
		noDot   = "The domain after the @ needs a dot, as in example.com."
		extra   = "The domain after the @ has an extra dot."
		dash    = "A part of the domain after the @ starts or ends with a hyphen."
		foreign = "The domain after the @ contains a character that isn't allowed there."
		sign    = "The part before the @ contains a character that isn't allowed there."
		idna    = "The domain after the @ is not valid."
		ascii   = "The part before the @ can only contain unaccented letters, digits and symbols."
		guarded = "The address begins with an apostrophe that a spreadsheet or an export has put there."
		space   = "The address contains a space."
	)
	for name, c := range map[string]struct{ address, want string }{
		"empty":                   {"", "The address has no @."},
		"no at":                   {"grace.example.com", "The address has no @."},
		"nothing before":          {"@example.com", "The part before the @ is missing."},
		"nothing behind":          {"grace@", "The domain after the @ is missing."},
		"two ats":                 {"grace@home@example.com", "The address has more than one @."},
		"local part of 65":        {strings.Repeat("l", 65) + "@example.com", "The part before the @ is longer than 64 characters."},
		"leading dot":             {".grace@example.com", dot},
		"two dots":                {"gr..ace@example.com", dot},
		"trailing dot":            {"grace.@example.com", "The part before the @ ends with a dot."},
		"space within":            {"grace hopper@example.com", space},
		"tab within":              {"grace\thopper@example.com", space},
		"leading space":           {" grace@example.com", space},
		"trailing space":          {"grace@example.com ", foreign},
		"space behind the at":     {"grace@ example.com", foreign},
		"quoted":                  {`"grace hopper"@example.com`, sign},
		"comment":                 {"grace(comment)@example.com", sign},
		"display name":            {"Grace <grace@example.com>", space},
		"angle brackets":          {"<grace@example.com>", sign},
		"list":                    {"a@example.com,b@example.com", "The address has more than one @."},
		"NUL":                     {"gr\x00ace@example.com", sign},
		"line break":              {"gr\nace@example.com", sign},
		"DEL":                     {"gr\x7face@example.com", sign},
		"line break in domain":    {"grace@exam\nple.com", foreign},
		"letters of other script": {"grâce@example.com", ascii},
		"NBSP":                    {"grace\u00a0hopper@example.com", ascii},
		"invalid UTF-8, local":    {"gr\xffce@example.com", ascii},
		"invalid UTF-8, domain":   {"grace@ex\xffmple.com", idna},
		"literal":                 {"grace@[192.0.2.1]", foreign},
		"one label":               {"grace@localhost", noDot},
		"leading dot in domain":   {"grace@.example.com", extra},
		"trailing dot in domain":  {"grace@example.com.", extra},
		"two dots in domain":      {"grace@example..com", extra},
		"label of 64":             {"a@" + strings.Repeat("d", 64) + ".com", "A part of the domain after the @ is longer than 63 characters."},
		"leading dash":            {"a@-example.com", dash},
		"trailing dash":           {"a@example-.com", dash},
		"underscore in domain":    {"a@my_host.example", foreign},
		"bad encoding":            {"a@xn--a.example", idna},
		"replacement character":   {"grace@ex\ufffdmple.com", idna},
		"joiner":                  {"a@ex\u200dample.com", "The domain after the @ contains a zero-width joiner (U+200D)."},
		"soft hyphen":             {"a@ex\u00adample.com", "The domain after the @ contains a soft hyphen (U+00AD)."},
		"at in disguise":          {"a@b\uff20c.example", "The domain after the @ contains the full-width character '＠' (U+FF20)."},
		"full-width letters":      {"a@ｅxample.com", "The domain after the @ contains the full-width character 'ｅ' (U+FF45)."},
		"a number for a domain":   {"a@b.123", "The domain after the @ ends in a number; no domain does."},
		"an IP address":           {"a@10.0.0.1", "The domain after the @ ends in a number; no domain does."},
		"a guarded formula":       {"'=calc@a.example", guarded},
		"a guarded dash":          {"''-dash@a.example", guarded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := roster.EmailKey(c.address)
			var told roster.EmailError
			if !errors.As(err, &told) || told.Error() != c.want || key != "" {
				t.Errorf("EmailKey(%q) = %q, %v; want %q", c.address, key, err, c.want)
			}
		})
	}
}

func TestEmailKeyTooLong(t *testing.T) {
	t.Parallel()
	// Short as typed, over the limit in the form that SMTP uses.
	grows := strings.Repeat("l", 64) + "@" + strings.Repeat("ü.", 40) + strings.Repeat("x", 50) + ".de"
	for _, address := range []string{longAddress(255), strings.Repeat("x", 300), grows} {
		if _, err := roster.EmailKey(address); !errors.Is(err, roster.ErrEmailTooLong) {
			t.Errorf("%d bytes: %v", len(address), err)
		}
	}
}

// FuzzEmailKey: every accepted key is plain ASCII within the limits, and is its
// own key.
func FuzzEmailKey(f *testing.F) {
	for _, seed := range []string{
		"grace@example.com", "Grace.Hopper+x@EXAMPLE.com", "info@bücher.example", "a@xn--bcher-kva.example", "a@XN--strae-oqa.de",
		"@", "a@b@c.d", "a@.b", "a b@c.d", "\"a b\"@c.d", "a@例え。テスト", "a@xn--.x", "a@b..c", "a@\u200d.x", "a@ß.ẞ", "a@xn--a-\u00df.x",
		"a@faß.de", "a@1.2", "a@-a.b", "a@x\u00ad.y", longAddress(254), longAddress(255),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		key, err := roster.EmailKey(address)
		if err != nil {
			if key != "" {
				t.Fatalf("EmailKey(%q) = %q besides %v", address, key, err)
			}
			if at := strings.TrimSpace(address); len(at) > 8 && strings.Contains(err.Error(), at) {
				t.Fatalf("EmailKey(%q) repeats the address: %v", address, err)
			}
			return
		}
		checkKey(t, address, key)
	})
}

func checkKey(t *testing.T, address, key string) {
	t.Helper()
	if again, err := roster.EmailKey(key); err != nil || again != key {
		t.Fatalf("the key %q of %q has the key %q, %v", key, address, again, err)
	}
	for _, r := range address {
		if unicode.IsControl(r) || unicode.IsSpace(r) {
			t.Fatalf("EmailKey(%q) accepts %U", address, r)
		}
	}
	for i := range len(key) {
		if c := key[i]; c <= ' ' || c >= 0x7f || 'A' <= c && c <= 'Z' {
			t.Fatalf("the key %q of %q has the byte %#x", key, address, c)
		}
	}
	local, domain, _ := strings.Cut(key, "@")
	if len(key) > 254 || len(address) > 254 || len(local) < 1 || len(local) > 64 || strings.Contains(domain, "@") {
		t.Fatalf("the key %q of %q is over a limit", key, address)
	}
	if typed, _, _ := strings.Cut(address, "@"); !strings.EqualFold(typed, local) {
		t.Fatalf("the local part of %q became %q", address, local)
	}
	labels := strings.Split(domain, ".")
	for _, label := range labels {
		if len(label) < 1 || len(label) > 63 || strings.Trim(label, "-") != label {
			t.Fatalf("the key %q of %q has the label %q", key, address, label)
		}
	}
	if len(labels) < 2 {
		t.Fatalf("the key %q of %q has one label", key, address)
	}
}
