package web_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"rollcall/auth"
	"rollcall/egress"
	"rollcall/internal/smtptest"
	"rollcall/jobs"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web"
)

// settings are the fields of the form of the mail settings.
func settings(port int, more ...string) []string {
	fields := map[string]string{
		"host": "localhost", "port": strconv.Itoa(port), "security": "none", "user": smtptest.User, "password": smtptest.Password,
		"from": "no-reply@example.com", "rate": "2.5",
	}
	for i := 0; i+1 < len(more); i += 2 {
		fields[more[i]] = more[i+1]
	}
	var list []string
	for name, value := range fields {
		list = append(list, name, value)
	}
	return list
}

func TestEmailSettings(t *testing.T) {
	t.Parallel()
	b := newHouse(t).admin()
	const path = "/admin/settings/email"
	b.get(path).want(http.StatusOK).says(".note.warn", "No mail server is set, here or in the environment (SMTP_URL): invitations wait until there is one.")
	b.follow(b.post(path, settings(2525)...)).want(http.StatusOK).
		says(".toast", "Saved. Mail goes out by these settings from now on; send a test mail to be sure.")
	p := b.get(path)
	for id, want := range map[string]string{"#host": "localhost", "#port": "2525", "#user": smtptest.User, "#smtp-password": "", "#rate": "2.5"} {
		if got := attribute(p.find(id)[0], "value"); got != want {
			t.Errorf("%s holds %q, want %q", id, got, want)
		}
	}
	stored := func() string {
		s, err := b.store.EmailSettings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		plain, err := b.sealer.Open(s.SealedPassword, jobs.PasswordContext)
		if err != nil {
			t.Fatal(err)
		}
		return plain
	}
	if strings.Contains(p.body, smtptest.Password) || stored() != smtptest.Password {
		t.Error("the password is shown, or was not stored")
	}

	// Left empty, the password stays; but only for the server it was typed for.
	b.post(path, settings(2525, "password", "", "rate", "0")...).want(http.StatusSeeOther)
	if stored() != smtptest.Password {
		t.Error("the password was lost")
	}
	for name, value := range map[string]string{"host": "127.0.0.1", "port": "2526", "user": "other", "security": "starttls"} {
		b.post(path, settings(2525, "password", "", name, value)...).want(http.StatusUnprocessableEntity).
			says("#problems li", "Type the password again: the stored one is kept for the server, security and user it was typed for.")
	}
	b.get("/admin/audit?action=settings.").says("tbody td[data-label=What] .under", "host localhost, port 2525, security none|host localhost, port 2525, security none")

	b.get(path).says(".clear p", "The environment of the server names no mail server (SMTP_URL): invitations then wait until there is one. The stored password is deleted.")
	b.follow(b.post(path+"/clear")).want(http.StatusOK).says(".toast", "What was set here is removed, the password too.")
	if s, err := b.store.EmailSettings(t.Context()); s != nil || err != nil {
		t.Errorf("stored after clearing: %+v (%v)", s, err)
	}
	if p := b.get(path); len(p.find(".clear")) != 0 {
		t.Error("there is something to remove still")
	}
}

func TestEmailSettingsAreChecked(t *testing.T) {
	t.Parallel()
	b := newHouse(t).admin()
	for _, test := range []struct{ name, value, problem string }{
		{"host", "", "The host is missing."},
		{"host", "mail server", "The host is neither a domain name nor an IP address."},
		{"host", "mx.example.com", "Without encryption anybody on the way could read the password. Choose STARTTLS or TLS, or leave the user empty."},
		{"port", "70000", "The port is a number from 1 to 65535."},
		{"port", "x", "The port is a number from 1 to 65535."},
		{"security", "ssl", "Choose how the connection is protected."},
		{"user", "", "A password needs a user name."},
		{"from", "Us <us@example.com>", "The From address is not an e-mail address."},
		{"rate", "-1", "The rate is a number from 0 to 100,000."},
		{"rate", "NaN", "The rate is a number from 0 to 100,000."},
	} {
		p := b.post("/admin/settings/email", settings(25, test.name, test.value)...).want(http.StatusUnprocessableEntity)
		if p.says("#problems li", test.problem); strings.Contains(p.body, smtptest.Password) {
			t.Error("the page shows the password")
		}
	}
	if s, err := b.store.EmailSettings(t.Context()); s != nil || err != nil {
		t.Errorf("something was stored: %v", err)
	}
}

// TestEmailSettingsKeepToTheirAddresses: those that whoever runs the server
// allows, whether they are typed or a name leads to them.
func TestEmailSettingsKeepToTheirAddresses(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, smtptest.Config{})
	b := newHouse(t, func(d *web.Deps) { d.Mail.Within = new(egress.Addresses) }).admin()
	b.post("/admin/settings/email", settings(25, "host", "169.254.169.254", "user", "", "password", "")...).want(http.StatusUnprocessableEntity).
		says("#problems li", "The host's address is not one that mail may be handed to from here (see ROLLCALL_SMTP_ALLOW_PRIVATE).")
	b.post("/admin/settings/email", settings(server.Port())...).want(http.StatusSeeOther) // a name is judged when it is dialed
	if said := b.post("/admin/settings/email/test", "to", "a@example.com").text("#test .note"); !strings.Contains(said, "leads to an address that mail may not be handed to") || server.Connections() != 0 {
		t.Errorf("the page says %q, %d connections", said, server.Connections())
	}
}

// TestEmailSettingsAreEncrypted: where whoever runs the server wants that, a
// mail server on another machine is refused without TLS, and one that was
// stored before is not spoken to.
func TestEmailSettingsAreEncrypted(t *testing.T) {
	t.Parallel()
	const said = "Here mail leaves the server's machine encrypted only (ROLLCALL_REQUIRE_TLS). Choose STARTTLS or TLS."
	any, err := egress.ParseAddresses("127.0.0.0/8,::1,0.0.0.0,10.0.0.1") // 0.0.0.0 leads here, too, and is no address of loopback
	if err != nil {
		t.Fatal(err)
	}
	encrypted := any.OnlyEncrypted()
	server := smtptest.Start(t, smtptest.Config{})
	b := newHouse(t, func(d *web.Deps) { d.Mail.Within = &encrypted }).admin()
	for host, problem := range map[string]string{"10.0.0.1": said, "relay.example.com": said} {
		b.post("/admin/settings/email", settings(25, "host", host, "user", "", "password", "")...).want(http.StatusUnprocessableEntity).says("#problems li", problem)
	}
	if s, err := b.store.EmailSettings(t.Context()); s != nil || err != nil {
		t.Errorf("something was stored: %+v (%v)", s, err)
	}
	b.post("/admin/settings/email", settings(25, "host", "relay.example.com", "security", "starttls")...).want(http.StatusSeeOther)
	b.post("/admin/settings/email", settings(server.Port(), "password", smtptest.Password)...).want(http.StatusSeeOther) // on this machine

	before := storage.EmailSettings{Host: "0.0.0.0", Port: server.Port(), Security: "none", From: "no-reply@example.com"}
	if err := b.store.SetEmailSettings(t.Context(), before, storage.Entry{Actor: roster.Actor{Kind: roster.ActorSystem}}); err != nil {
		t.Fatal(err)
	}
	if told := b.post("/admin/settings/email/test", "to", "a@example.com").text("#test .note"); told != "The mail for a@example.com was not sent. "+said || server.Connections() != 0 {
		t.Errorf("the page says %q, %d connections", told, server.Connections())
	}
}

func TestTestEmail(t *testing.T) {
	t.Parallel()
	refusing := func(verb, reply string) func(*smtptest.Event) {
		return func(e *smtptest.Event) {
			if e.Verb == verb {
				e.Reply = reply
			}
		}
	}
	for name, test := range map[string]struct {
		config smtptest.Config
		more   []string
		says   string
	}{
		"taken":            {smtptest.Config{Auth: "PLAIN"}, nil, "The server took the mail for someone@example.com. Look into that mailbox, also in the spam folder."},
		"wrong password":   {smtptest.Config{Auth: "PLAIN"}, []string{"password", "wrong"}, "The server refused the login. Check user and password; some providers want a password made for programs (an app password).The server said: 535 5.7.8"},
		"no login offered": {smtptest.Config{}, nil, "The server offers no way to sign in that we speak (PLAIN or LOGIN)."},
		"no STARTTLS":      {smtptest.Config{}, []string{"security", "starttls"}, "The server does not offer STARTTLS, so nothing was sent."},
		"foreign TLS":      {smtptest.Config{STARTTLS: true, Auth: "PLAIN"}, []string{"security", "starttls"}, "The certificate of the server cannot be trusted"},
		"no TLS there":     {smtptest.Config{}, []string{"security", "implicit"}, "The server does not speak TLS from the first byte on this port."},
		"no such user":     {smtptest.Config{Auth: "PLAIN", Script: refusing("RCPT", "550 5.1.1 nobody here")}, nil, "The server refused the mail for good. Its words say why; often the address to send to does not exist there, or relaying needs a login.The server said: 550 5.1.1 nobody here"},
		"sender refused":   {smtptest.Config{Auth: "PLAIN", Script: refusing("MAIL", "553 5.7.1 not your address")}, nil, "The server does not let this account send from this From address"},
		"later":            {smtptest.Config{Auth: "PLAIN", Script: refusing("RCPT", "451 4.7.1 greylisted")}, nil, "The server asked to come back later."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := smtptest.Start(t, test.config)
			b := newHouse(t).admin()
			b.post("/admin/settings/email", settings(server.Port(), test.more...)...).want(http.StatusSeeOther)
			p := b.post("/admin/settings/email/test", "to", "someone@example.com").want(http.StatusOK)
			if said := p.text("#test .note"); !strings.Contains(said, test.says) {
				t.Errorf("the page says %q, want %q", said, test.says)
			}
		})
	}
}

func TestTestEmailWithoutServer(t *testing.T) {
	t.Parallel()
	b := newHouse(t).admin()
	b.post("/admin/settings/email/test", "to", "a@example.com").
		says("#test .note", "The mail for a@example.com was not sent. There is no mail server yet. Fill in the form above and save it first.")

	server := smtptest.Start(t, smtptest.Config{})
	port := server.Port()
	server.Stop()
	b.post("/admin/settings/email", settings(port)...).want(http.StatusSeeOther)
	if said := b.post("/admin/settings/email/test", "to", "a@example.com").text("#test .note"); !strings.Contains(said, "nothing takes connections on this port") {
		t.Errorf("the page says %q", said)
	}

	other, err := auth.NewSealer(strings.Repeat("x", 32))
	if err != nil {
		t.Fatal(err)
	}
	b = newHouse(t, func(d *web.Deps) { d.Sealer = foreign{other, d.Sealer.(*auth.Sealer)} }).admin()
	b.post("/admin/settings/email", settings(port)...).want(http.StatusSeeOther)
	if said := b.post("/admin/settings/email/test", "to", "a@example.com").text("#test .note"); !strings.Contains(said, "(ROLLCALL_SECRET) has changed") {
		t.Errorf("the page says %q", said)
	}
}

// foreign seals with a secret that is gone when it opens.
type foreign struct{ seals, opens *auth.Sealer }

func (f foreign) Seal(plain, context string) string           { return f.seals.Seal(plain, context) }
func (f foreign) Open(sealed, context string) (string, error) { return f.opens.Open(sealed, context) }

func TestTokens(t *testing.T) {
	t.Parallel()
	b := newHouse(t).admin()
	const path = "/admin/settings/tokens"
	b.get(path).want(http.StatusOK).says(".empty h2", "No tokens yet")
	p := b.post(path, "name", "HR sync", "scope", "imports", "expires", "30d").want(http.StatusOK).says("#made", "The token “HR sync” is ready")
	secret := attribute(p.find("#secret")[0], "value")
	hash, err := auth.ParseToken(secret)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(p.text("pre"), `-H "Authorization: Bearer `+secret+`"`) || !strings.Contains(p.text("pre"), b.url+"/api/admin/users/import") {
		t.Errorf("the example reads %s", p.text("pre"))
	}
	token, err := b.store.TokenByHash(t.Context(), hash)
	if err != nil || token.Scopes[0] != "imports" || token.ExpiresAt == nil {
		t.Errorf("%v %v", token, err)
	}
	p = b.get(path).says("tbody .strong", "HR sync").says("tbody .chip", "Active")
	if strings.Contains(p.body, secret) {
		t.Error("the token is shown again")
	}
	b.post(path, "name", "for ever", "scope", "admin", "expires", "never").want(http.StatusOK)
	b.follow(b.post(path+"/"+token.ID.String()+"/revoke")).says(".toast", "The token is revoked. Programs that still use it are refused.").
		says("tbody .chip", "Active|Revoked").says("td[data-label=Expires] .muted", "Never")
	if _, err := b.store.TokenByHash(t.Context(), hash); err == nil {
		t.Error("a revoked token is taken")
	}
	for problem, fields := range map[string][]string{
		"Give the token a name, so that you know it again.":      {"name", " ", "scope", "imports", "expires", "30d"},
		"The name may have at most 100 characters, on one line.": {"name", strings.Repeat("n", 101), "scope", "imports", "expires", "30d"},
		"Choose what the token may do.":                          {"name", "n", "scope", "everything", "expires", "30d"},
		"Choose when the token expires.":                         {"name", "n", "scope", "imports", "expires", "1000y"},
	} {
		b.post(path, fields...).want(http.StatusUnprocessableEntity).says("#problem", problem)
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	b := newHouse(t).admin()
	b.upload("a.csv", "email,name\na@example.com,A\n")
	p := b.get("/admin/audit").want(http.StatusOK).says("tbody td[data-label=What] span", "uploaded an import|dry run false, size bytes 27|signed in|created a user|role admin")
	if links := p.find("tbody td[data-label=What] a"); !strings.HasPrefix(attribute(links[0], "href"), "/admin/imports/") {
		t.Error("the import's line does not lead to it")
	}
	b.get("/admin/audit?actor=ADMIN%40").says("tbody td[data-label=What] a", "uploaded an import|signed in")
	b.get("/admin/audit?action=session.").says("tbody td[data-label=What] a", "signed in").says("td[data-label=From]", "127.0.0.1")
	b.get("/admin/audit?actor=nobody").says(".empty h2", "Nothing matches")
	b.get("/admin/audit?action=nonsense&target=x&after=y").want(http.StatusOK)
	if _, err := b.store.DB().Exec(`
		INSERT INTO audit_log (id, actor_kind, actor_id, actor, action, target, target_id, detail)
		VALUES (gen_random_uuid(), 'system', gen_random_uuid(), 'update', 'user.change', 'user', gen_random_uuid(),
		        '{"import": "0199-7", "before": {"name": "A", "role": "user"}, "after": {"name": "B", "role": "user"}}')`); err != nil {
		t.Fatal(err)
	}
	b.get("/admin/audit?actor=update").says("tbody td[data-label=What] span", "changed a user|name from A to B, by import 0199-7")
	for range 61 {
		if err := b.store.NoteExport(t.Context(), storage.Entry{Actor: roster.Actor{Kind: roster.ActorSystem, Label: "test"}}); err != nil {
			t.Fatal(err)
		}
	}
	p = b.get("/admin/audit?action=user.&actor=test")
	next := p.find(".pager a[rel=next]")
	if len(next) != 1 || len(p.find("tbody tr")) != 50 || len(b.get(attribute(next[0], "href")).find("tbody tr")) < 11 {
		t.Error("the log does not page")
	}
}
