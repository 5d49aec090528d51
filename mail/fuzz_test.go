package mail_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	rollcall "rollcall/mail"
)

// FuzzAnswers lets a server answer anything at all. Sending ends, and what is
// shown of the answer is one printable line.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		"", "220 hello\r\n250 hello\r\n250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 taken\r\n221 bye\r\n",
		"220-a\r\n220 b\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n250 ok\r\n550-5.1.1 no\r\n550 5.1.1 one\r\n354 go\r\n",
		"220 x\r\n250 x\r\n421 4.3.2 closing\r\n", "554 go away\r\n", "220 \x00\x1b[2J\u202e\r\n500 \xff\r\n", "999 x\r\n", "-1 x\r\n", "220", "HTTP/1.1 400 Bad Request\r\n\r\n",
		"220 x\r\n250 x\r\n250 ok\r\n550 5.999.1000 " + strings.Repeat("long ", 200) + "\r\n250 ok\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, answers []byte) {
		dial := func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go io.Copy(io.Discard, server)
			go func() {
				_, _ = server.Write(answers)
				time.Sleep(time.Millisecond) // the last answer is read before the end
				server.Close()
			}()
			return client, nil
		}
		pool, err := rollcall.NewPool(rollcall.Server{Host: "localhost", Security: rollcall.None}, rollcall.PoolConfig{
			Size: 1, Dial: dial, ConnectTimeout: time.Second, CommandTimeout: time.Second, DataTimeout: time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		m := message()
		m.Accepted = func(code int, reply string) { shown(t, reply) }
		if err := pool.Send(t.Context(), m); err != nil {
			failure := failureOf(t, err)
			shown(t, failure.Reply)
			if failure.Class < rollcall.Temporary || failure.Class > rollcall.Canceled || failure.Advice() == "" {
				t.Errorf("%+v", failure)
			}
		}
	})
}

func shown(t *testing.T, line string) {
	t.Helper()
	if len(line) > 300 || !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		t.Errorf("shown: %q", line)
	}
}

// FuzzHeaders: whatever a name, a brand or an address contains, the mail has
// the expected headers, each once, and goes to one recipient.
func FuzzHeaders(f *testing.F) {
	for _, seed := range [][3]string{
		{"Ada", "SecureAI", "ada@example.com"}, {"Ada\r\nBcc: eve@evil.example", "Brand\nX: y", "ada@example.com\r\nRCPT TO:<eve@evil.example>"},
		{"=?utf-8?q?=0d=0aBcc:_eve?=", "=?utf-8?b?DQpYOiB5?=", `"a@b> ORCPT=x"@example.com`}, {"\u202eadA <b>https://evil.example</b>", "\u2028", "a@b> ORCPT=rfc822;x@c"},
		{strings.Repeat("n", 1000), strings.Repeat("ß", 500), strings.Repeat("a", 65) + "@example.com"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, name, brand, to string) {
		m, err := rollcall.RenderInvitation(rollcall.Invitation{
			Brand: brand, From: "no-reply@example.com", To: to, Name: name, Link: "https://app.example.com/invite/x", ExpiresAt: time.Unix(2e9, 0),
		})
		if err != nil {
			t.Fatal(err)
		}
		wire, ok := rollcall.Wire(m)
		if !ok {
			return // rejected before connecting
		}
		if strings.ContainsFunc(wire.To, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`<>"(),;:\[]`, r) }) {
			t.Fatalf("recipient %q", wire.To)
		}
		parsed, err := mail.ReadMessage(bytes.NewReader(wire.Content))
		if err != nil {
			t.Fatalf("%v\n%s", err, wire.Content)
		}
		for header, values := range parsed.Header {
			switch header {
			case "From", "To", "Subject", "Date", "Message-Id", "Auto-Submitted", "X-Auto-Response-Suppress", "Mime-Version", "Content-Type":
				if len(values) != 1 {
					t.Errorf("%s: %q", header, values)
				}
			default:
				t.Errorf("a header of its own: %s: %q", header, values)
			}
		}
		if list, err := parsed.Header.AddressList("To"); err != nil || len(list) != 1 || list[0].Address != wire.To {
			t.Errorf("To is read as %v, %v", list, err)
		}
		if strings.Contains(m.HTML, "<b>") || strings.Contains(m.Text, "evil.example") {
			t.Errorf("the mail says\n%s\n%s", m.Text, m.HTML)
		}
	})
}

// FuzzParseURL: an accepted URL can be used and is never shown with its
// password; an error never repeats a rejected URL.
func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{"smtp://user:p%40ss@mx.example.com:587?tls=starttls", "smtps://[::1]:465", "smtp://localhost?tls=none", "smtp://u:secretsecret@h?tls=none", "smtp://h:0", "smtp://h/%00", "://", "smtp://a b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		s, err := rollcall.ParseURL(raw)
		if err != nil {
			return
		}
		if s.Validate() != nil || s.Port < 1 || s.Port > 65535 || strings.ContainsAny(s.Host, " \r\n<>") {
			t.Errorf("%q is taken as %s", raw, s)
		}
		if masked := s.String(); len(s.Password) > 8 && !strings.Contains(s.User+s.Host, s.Password) && strings.Contains(masked, s.Password) {
			t.Errorf("%q is shown as %s", raw, masked)
		}
	})
}
