package header_test

import (
	"testing"

	"rollcall/httpapi/header"
)

// TestDisposition: no name ends the quotes, the parameter or the header, nor
// names a folder to those who read the plain form.
func TestDisposition(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"people.csv":                  `attachment; filename="people.csv"`,
		"Öl & Müll.csv":               `attachment; filename="_l & M_ll.csv"; filename*=UTF-8''%C3%96l%20%26%20M%C3%BCll.csv`,
		`a"; filename="evil.exe`:      `attachment; filename="a_; filename=_evil.exe"; filename*=UTF-8''a%22%3B%20filename%3D%22evil.exe`,
		`a\`:                          `attachment; filename="a_"; filename*=UTF-8''a%5C`,
		"a\r\nSet-Cookie: session=x":  `attachment; filename="a__Set-Cookie: session=x"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20session%3Dx`,
		"\u202evsc.exe":               `attachment; filename="_vsc.exe"; filename*=UTF-8''%E2%80%AEvsc.exe`,
		"../../etc/passwd":            `attachment; filename=".._.._etc_passwd"; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd`,
		"%41;a=b":                     `attachment; filename="_41;a=b"; filename*=UTF-8''%2541%3Ba%3Db`,
		"<img src=x onerror=alert(1)": `attachment; filename="<img src=x onerror=alert(1)"`,
	} {
		if got := header.Disposition(name); got != want {
			t.Errorf("%q becomes\n%s, want\n%s", name, got, want)
		}
	}
}
