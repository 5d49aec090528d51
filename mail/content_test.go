package mail_test

import (
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"testing"

	"rollcall/mail"
	"rollcall/test/smtptest"
)

// TestContentArrivesAsItWas: whatever its lines begin and end with, and however
// long it is; so does the next mail on the same connection.
func TestContentArrivesAsItWas(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, smtptest.Config{})
	pool := newPool(t, plain(server), mail.PoolConfig{Size: 1})
	texts := map[string]string{
		"plain":                "Hello.\n",
		"a dot alone":          "one\n.\ntwo\n",
		"lines with dots":      ".one\n..two\n...\n",
		"a dot at the start":   ".\n",
		"a dot at the end":     "one\n.",
		"no line end":          "one",
		"empty lines":          "\n\n\none\n\n",
		"more than a buffer":   strings.Repeat("abcdefghijklmnopqrstuvwxyz\n", 5000),
		"dots beyond a buffer": strings.Repeat("abcdefghijklmnopqrstuvwxyz\n.\n", 5000),
	}
	for name, text := range texts {
		m := message()
		m.Text, m.HTML = text, ""
		if err := pool.Send(t.Context(), m); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		mails := server.Mails()
		if got := bodyOf(t, mails[len(mails)-1].Data); got != text && got != text+"\n" {
			t.Errorf("%s: %d bytes arrived as %d: %.80q", name, len(text), len(got), got)
		}
	}
	if mails := server.Mails(); len(mails) != len(texts) || mails[len(mails)-1].Connection != 1 {
		t.Errorf("%d mails for %d texts", len(mails), len(texts))
	}
}

// bodyOf returns the text of a mail, with LF line ends.
func bodyOf(t *testing.T, data string) string {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	body := io.Reader(m.Body)
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	encoding := m.Header.Get("Content-Transfer-Encoding")
	if strings.HasPrefix(kind, "multipart/") {
		part, err := multipart.NewReader(body, params["boundary"]).NextPart() // undoes quoted-printable
		if err != nil {
			t.Fatal(err)
		}
		body = part
	} else if strings.EqualFold(encoding, "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}
