package mail_test

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"rollcall/mail"
	"rollcall/test/smtptest"
)

// transmit sends m to a real server and returns what arrived.
func transmit(t *testing.T, m mail.Message) (smtptest.Mail, *netmail.Message) {
	t.Helper()
	server := smtptest.Start(t, smtptest.Config{})
	pool := newPool(t, plain(server), mail.PoolConfig{})
	if err := pool.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	arrived := server.Mails()[0]
	parsed, err := netmail.ReadMessage(strings.NewReader(arrived.Data))
	if err != nil {
		t.Fatal(err)
	}
	return arrived, parsed
}

func decoded(t *testing.T, value string) string {
	t.Helper()
	text, err := new(mime.WordDecoder).DecodeHeader(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestMessageOnTheWire(t *testing.T) {
	t.Parallel()
	m := message()
	m.To = "Ada.O'Neil+x@bücher.example"
	m.MessageID = "fixed@bücher.example"
	m.Subject = "Grüße 👋 an alle"
	m.Text = "Zeile eins\n.\n..zwei\nhttps://example.com/invite/" + strings.Repeat("x", 100) + "?a=b\nGrüße\n"
	arrived, parsed := transmit(t, m)

	if arrived.From != "no-reply@example.com" || arrived.To != "Ada.O'Neil+x@xn--bcher-kva.example" {
		t.Errorf("envelope %q, %q", arrived.From, arrived.To)
	}
	for name, want := range map[string]string{
		"From":           `"SecureAI" <no-reply@example.com>`,
		"To":             "<Ada.O'Neil+x@xn--bcher-kva.example>",
		"Date":           "Fri, 02 Jan 2026 03:04:05 +0000",
		"Message-Id":     "<fixed@xn--bcher-kva.example>",
		"Auto-Submitted": "auto-generated",
		"Mime-Version":   "1.0",
		"User-Agent":     "",
		"X-Mailer":       "",
		// All but NDR, without which a failure is never reported; see MS-OXCMAIL.
		"X-Auto-Response-Suppress": "DR, RN, NRN, OOF, AutoReply",
	} {
		if got := parsed.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := decoded(t, parsed.Header.Get("Subject")); got != m.Subject {
		t.Errorf("Subject %q, want %q", got, m.Subject)
	}
	for line := range strings.SplitSeq(arrived.Data, "\r\n") {
		if len(line) > 78 || strings.ContainsAny(line, "\r\n") || strings.IndexFunc(line, func(r rune) bool { return r >= 0x80 }) >= 0 {
			t.Errorf("not a short 7-bit line: %q", line)
		}
	}

	mediaType, params, err := mime.ParseMediaType(parsed.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/alternative" {
		t.Fatalf("Content-Type %q, %v", mediaType, err)
	}
	parts := multipart.NewReader(parsed.Body, params["boundary"])
	for _, want := range []struct{ mediaType, body string }{{"text/plain", m.Text}, {"text/html", m.HTML}} {
		part, err := parts.NextPart() // undoes quoted-printable
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(string(body), "\r\n", "\n"); strings.TrimRight(got, "\n") != strings.TrimRight(want.body, "\n") {
			t.Errorf("%s: %q, want %q", want.mediaType, got, want.body)
		}
		if !strings.HasPrefix(part.Header.Get("Content-Type"), want.mediaType) {
			t.Errorf("Content-Type %q, want %s", part.Header.Get("Content-Type"), want.mediaType)
		}
	}
}

func TestHeadersCannotBeForged(t *testing.T) {
	t.Parallel()
	for _, hostile := range []string{
		"x\r\nBcc: eve@example.com", "x\nBcc: eve@example.com", "x\r\n\r\nbody", "x\u2028Bcc: eve@example.com",
		`x" <eve@example.com>, "y`, "x\x00\x1b[31m", "\u202egro.elpmaxe\u202c", "x\xff\xfe",
		strings.Repeat("long ", 5000), strings.Repeat("ü", 5000),
		"=?utf-8?q?=0D=0ABcc:_eve@example.com?=",
	} {
		m := message()
		m.FromName, m.Subject = hostile, hostile
		arrived, parsed := transmit(t, m)
		if parsed.Header.Get("Bcc") != "" || len(parsed.Header["From"]) != 1 {
			t.Errorf("%q forged a header:\n%s", hostile, arrived.Data)
		}
		from, err := netmail.ParseAddress(parsed.Header.Get("From"))
		if err != nil || from.Address != m.From || len(from.Name) > 200 {
			t.Errorf("%q: From is %v, %v", hostile, from, err)
			continue
		}
		for _, shown := range []string{from.Name, decoded(t, parsed.Header.Get("Subject"))} {
			if strings.ContainsAny(shown, "\r\n\x00\x1b\u202e\u202c\u2028") || !utf8.ValidString(shown) {
				t.Errorf("%q is shown as %q", hostile, shown)
			}
		}
		for line := range strings.SplitSeq(arrived.Data, "\r\n") {
			if len(line) > 998 { // RFC 5322, section 2.1.1
				t.Errorf("a line of %d bytes", len(line))
			}
		}
	}
}

func TestMessageRefused(t *testing.T) {
	t.Parallel()
	pool := newPool(t, mail.Server{Host: "mail.invalid"}, mail.PoolConfig{})
	for name, spoil := range map[string]func(*mail.Message){
		"Message-ID with a line break": func(m *mail.Message) { m.MessageID = "a@b\r\nBcc: x" },
		"Message-ID without a domain":  func(m *mail.Message) { m.MessageID = "a" },
		"no text":                      func(m *mail.Message) { m.Text = "" },
	} {
		m := message()
		spoil(&m)
		if failure := failureOf(t, pool.Send(t.Context(), m)); failure.Class != mail.Permanent || failure.Stage != mail.StageCompose {
			t.Errorf("%s: %+v", name, failure)
		}
	}
}

func TestMessageDefaults(t *testing.T) {
	t.Parallel()
	m := message()
	m.FromName, m.HTML, m.MessageID, m.Date = "", "", "", time.Time{}
	before := time.Now().Truncate(time.Second)
	_, parsed := transmit(t, m)
	if date, err := parsed.Header.Date(); err != nil || date.Before(before) || date.After(time.Now()) {
		t.Errorf("Date %v, %v", date, err)
	}
	if id := parsed.Header.Get("Message-Id"); !strings.HasSuffix(id, "@example.com>") {
		t.Errorf("Message-ID %q", id)
	}
	if got := parsed.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/plain; charset=UTF-8") {
		t.Errorf("Content-Type %q", got)
	}
}

func TestNewMessageID(t *testing.T) {
	t.Parallel()
	a, b := mail.NewMessageID("no-reply@bücher.example"), mail.NewMessageID("no-reply@bücher.example")
	if a == b || !strings.HasSuffix(a, "@xn--bcher-kva.example") {
		t.Errorf("%q, %q", a, b)
	}
	if id := mail.NewMessageID("not an address"); !strings.HasSuffix(id, "@localhost") {
		t.Errorf("%q", id)
	}
}

// TestEnvelopeSender: what comes back goes to the envelope sender, and people answer
// to From.
func TestEnvelopeSender(t *testing.T) {
	t.Parallel()
	m := message()
	m.Sender, m.Header = "bounces+abc@mail.example.com", map[string]string{"X-Rollcall-Token": "abc"}
	arrived, parsed := transmit(t, m)
	if arrived.From != m.Sender || parsed.Header.Get("From") != `"SecureAI" <no-reply@example.com>` || parsed.Header.Get("X-Rollcall-Token") != "abc" || parsed.Header.Get("Sender") != "" {
		t.Errorf("envelope sender %s, headers %v", arrived.From, parsed.Header)
	}
	m.Sender = "bounces@mail.example.com> SIZE=1\r\nRSET"
	server := smtptest.Start(t, smtptest.Config{})
	var failure *mail.Failure
	if err := newPool(t, plain(server), mail.PoolConfig{}).Send(t.Context(), m); !errors.As(err, &failure) || failure.Class != mail.ServerDown || server.Connections() > 0 {
		t.Errorf("a broken one: %v", err)
	}
}
