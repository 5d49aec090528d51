package devstack_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"rollcall/internal/devstack"
)

// FuzzDecode: any mail is shown, as text that is valid in JSON and on a page,
// and its links lead only to the web.
func FuzzDecode(f *testing.F) {
	const head = "From: =?utf-8?q?Ada?= <a@example.com>\r\nSubject: =?iso-8859-1?b?4A==?=\r\n"
	for _, seed := range []string{
		"", "\r\n", head + "\r\nhttps://example.com/invite/x.\r\n",
		head + "Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n//5hAA==\r\n",
		head + "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<a href=https://example.com>x\r\n--b--\r\n",
		"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n",
		strings.Repeat("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", 20),
		"Subject: =?x-unknown?q?=zz?=\r\n\r\n<a href=javascript:alert(1)>",
		"Content-Type: text/html\r\n\r\n<a href=\"javascript:alert('https://example.com')\">",
		"Content-Transfer-Encoding: quoted-printable\r\n\r\n=\r\n=3D=ZZ=",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		mail := devstack.Decode(raw)
		for _, text := range append(mail.Links, mail.From, mail.Subject, mail.Text, mail.HTML) {
			if !utf8.ValidString(text) {
				t.Errorf("shown: %q", text)
			}
		}
		if mail.Links == nil {
			t.Error("links are nil")
		}
		for _, link := range mail.Links {
			if !strings.HasPrefix(link, "http://") && !strings.HasPrefix(link, "https://") {
				t.Errorf("a link to %q", link)
			}
		}
	})
}
