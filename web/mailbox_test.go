package web_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/smtp"
	"net/url"
	"strings"
	"testing"

	"rollcall/internal/devstack"
	"rollcall/web"
)

// newMailHouse is a test environment with a captured mailbox; send adds a mail
// to it.
func newMailHouse(t *testing.T) (b *browser, send func(to, subject, html string)) {
	t.Helper()
	box, err := devstack.StartMailbox(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Stop(); err != nil {
			t.Error(err)
		}
	})
	at, err := url.Parse(box.SMTPURL())
	if err != nil {
		t.Fatal(err)
	}
	b = newTestEnv(t, func(d *web.Deps) { d.Mailbox = mails{box} }).browser()
	return b, func(to, subject, html string) {
		t.Helper()
		text := "Subject: " + subject + "\r\nFrom: SecureAI <no-reply@example.com>\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n" +
			"--b\r\nContent-Type: text/plain\r\n\r\nGo to http://localhost/invite/abc.\r\n" +
			"--b\r\nContent-Type: text/html\r\n\r\n" + html + "\r\n--b--\r\n"
		if err := smtp.SendMail(at.Host, nil, "no-reply@example.com", []string{to}, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMailboxAsJSON(t *testing.T) {
	t.Parallel()
	b, send := newMailHouse(t)
	list := func(path string) (mails []map[string]any) {
		t.Helper()
		p := b.get(path, "Accept", "application/json").want(http.StatusOK)
		if got := p.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
			t.Errorf("Content-Type %q", got)
		}
		if err := json.Unmarshal([]byte(p.body), &mails); err != nil || mails == nil {
			t.Fatalf("not an array: %v\n%s", err, p.body)
		}
		return mails
	}
	if mails := list("/dev/mail"); len(mails) != 0 {
		t.Errorf("mails before any: %v", mails)
	}
	for i := range 60 {
		send(fmt.Sprintf("p%d@example.com", i), fmt.Sprintf("Mail %d", i), `<a href="http://localhost/invite/def">Set</a>`)
	}
	mails := list("/dev/mail")
	if len(mails) != 60 {
		t.Fatalf("%d mails", len(mails))
	}
	newest := mails[0]
	delete(newest, "received_at")
	delete(newest, "id")
	want := map[string]any{
		"to": "p59@example.com", "from": "SecureAI <no-reply@example.com>", "subject": "Mail 59",
		"text": "Go to http://localhost/invite/abc.", "html": `<a href="http://localhost/invite/def">Set</a>`,
		"links": []any{"http://localhost/invite/abc", "http://localhost/invite/def"},
	}
	if fmt.Sprint(newest) != fmt.Sprint(want) {
		t.Errorf("the newest mail is\n%v, want\n%v", newest, want)
	}
	if mails := list("/dev/mail?to=P7%40example.com"); len(mails) != 1 || mails[0]["subject"] != "Mail 7" {
		t.Errorf("to one recipient: %v", mails)
	}
	if mails := list("/dev/mail?limit=2"); len(mails) != 2 || mails[1]["subject"] != "Mail 58" {
		t.Errorf("two mails: %v", mails)
	}
	var one map[string]any
	p := b.get("/dev/mail/1", "Accept", "application/json").want(http.StatusOK)
	if err := json.Unmarshal([]byte(p.body), &one); err != nil || one["subject"] != "Mail 0" {
		t.Errorf("one mail: %v %v", err, one)
	}
}

func TestMailboxAsPages(t *testing.T) {
	t.Parallel()
	b, send := newMailHouse(t)
	b.get("/dev/mail").want(http.StatusOK).says(".empty h2", "No emails yet")
	for i := range 60 {
		send(fmt.Sprintf("p%d@example.com", i), fmt.Sprintf("Mail %d", i), "<p>Hello")
	}
	p := b.get("/dev/mail", "Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	if subjects := strings.Split(p.text(".mail-subject"), "|"); len(subjects) != 50 || subjects[0] != "Mail 59" {
		t.Errorf("the list begins %v", subjects)
	}
	p = b.get(attribute(p.find(".pager a")[0], "href"))
	if subjects := strings.Split(p.text(".mail-subject"), "|"); len(subjects) != 10 || subjects[0] != "Mail 9" {
		t.Errorf("the second page begins %v", subjects)
	}
	b.get("/dev/mail?to=p7%40").says(".mail-to", "p7@example.com")
	b.get("/dev/mail?to=zebra").says(".empty h2", "No emails to “zebra”")
	b.get("/dev/mail/61").want(http.StatusNotFound).says("h1", "Email not found")
	b.get("/dev/mail/x").want(http.StatusNotFound)
}

// TestMailIsCaged shows a malicious mail.
func TestMailIsCaged(t *testing.T) {
	t.Parallel()
	b, send := newMailHouse(t)
	send("a@example.com", "<script>alert(1)</script>", `<!doctype html><base href="https://evil.example/"><script>alert(2)</script><a href="http://localhost/invite/def">Set</a><a target="_top" href="/signin">x</a>`)
	p := b.get("/dev/mail/1").want(http.StatusOK).says("h1", "<script>alert(1)</script>").
		says(".links a", "http://localhost/invite/abc|http://localhost/invite/def")
	pageMeta := p.find("iframe")
	if len(pageMeta) != 1 || attribute(pageMeta[0], "sandbox") != "allow-popups allow-popups-to-escape-sandbox" {
		t.Fatal("the mail is in no sandbox")
	}
	p = b.get(attribute(pageMeta[0], "src")).want(http.StatusOK)
	policy := p.header.Get("Content-Security-Policy")
	for _, part := range []string{"sandbox allow-popups allow-popups-to-escape-sandbox;", "default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'self'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("the policy has no %q: %s", part, policy)
		}
	}
	if strings.Contains(policy, "script") {
		t.Errorf("the policy allows script: %s", policy)
	}
	for _, link := range p.find("a") {
		if target := attribute(link, "target"); target != "_blank" {
			t.Errorf("a link opens in %q", target)
		}
	}
}

// TestMailKeepsItsStyles: the mail keeps its look, although the page's policy
// allows only the styles that it names by their hashes.
func TestMailKeepsItsStyles(t *testing.T) {
	t.Parallel()
	b, send := newMailHouse(t)
	send("a@example.com", "Styles", "<head><style>.a { color: red }\r\n</style></head><p class=a style=\"margin:0\">1</p><p style=margin:0>2"+
		`<p style="x}</style><script>alert(1)</script>">3`)
	p := b.get("/dev/mail/1/html").want(http.StatusOK)
	policy := p.header.Get("Content-Security-Policy")
	styles := p.find("style")
	if len(styles) != 2 || strings.Contains(p.body, "style=") || strings.Contains(p.body, "<script") || strings.Contains(policy, "unsafe") {
		t.Fatalf("%s\n%s", policy, p.body)
	}
	for _, style := range styles {
		sum := sha256.Sum256([]byte(style.FirstChild.Data))
		if hash := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, hash) {
			t.Errorf("%s does not name the style %q", policy, style.FirstChild.Data)
		}
	}
	if got := styles[1].FirstChild.Data; got != ".moved-0.moved-0{margin:0}\n" {
		t.Errorf("moved styles %q", got)
	}
	if p.find(".moved-0")[0].FirstChild.Data != "1" || len(p.find(".moved-0")) != 2 || len(p.find("p.a.moved-0")) != 1 {
		t.Errorf("the classes are wrong:\n%s", p.body)
	}
}

// TestMailboxHost: host names that another party may point at this server are
// rejected.
func TestMailboxHost(t *testing.T) {
	t.Parallel()
	b, send := newMailHouse(t)
	send("a@example.com", "Hello", "<p>Hello")
	for host, status := range map[string]int{
		"localhost:8080": 200, "LOCALHOST": 200, "app.localhost": 200, "127.0.0.1": 200, "[::1]:8080": 200, "192.168.1.7:8080": 200,
		"evil.example": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example:80": 403, "": 200,
	} {
		r := b.request(http.MethodGet, "/dev/mail", nil, "Accept", "application/json")
		r.Host = host
		if p := b.do(r); p.status != status {
			t.Errorf("host %q: %d", host, p.status)
		}
	}
}
