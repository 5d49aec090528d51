package web_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"rollcall/auth"
	"rollcall/internal/egress"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/smtptest"
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
	b := newTestEnv(t).admin()
	const path = "/admin/settings/email"
	b.get(path).want(http.StatusOK).says(".note.warn", "No mail server is configured, here or in the server environment (SMTP_URL). Invitations stay queued until you add one.")
	b.follow(b.post(path, settings(2525)...)).want(http.StatusOK).
		says(".toast", "Settings saved. Send a test email to check that they work.")
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
		plain, err := b.sealer.Open(s.SealedPassword, storage.SMTPPasswordContext)
		if err != nil {
			t.Fatal(err)
		}
		return plain
	}
	if strings.Contains(p.body, smtptest.Password) || stored() != smtptest.Password {
		t.Error("the password is shown, or was not stored")
	}

	// Left empty, the password stays, but only for the server it was entered
	// for.
	b.post(path, settings(2525, "password", "", "rate", "0")...).want(http.StatusSeeOther)
	if stored() != smtptest.Password {
		t.Error("the password was lost")
	}
	for name, value := range map[string]string{"host": "127.0.0.1", "port": "2526", "user": "other", "security": "starttls"} {
		b.post(path, settings(2525, "password", "", name, value)...).want(http.StatusUnprocessableEntity).
			says("#problems li", "Enter the password again. The stored password is only used with the host, port, encryption and username it was saved for.")
	}
	b.get("/admin/audit?action=settings.").says("tbody td[data-label=Action] .under", "rate from 2.5 to 0|from from nothing to no-reply@example.com, host from nothing to localhost, password from nothing to set, port from nothing to 2525, rate from nothing to 2.5, security from nothing to none, user from nothing to "+smtptest.User)

	b.get(path).says(".clear p", "The server environment has no mail server (SMTP_URL), so invitations stay queued until you add one. The stored password is deleted.")
	b.follow(b.post(path+"/clear")).want(http.StatusOK).says(".toast", "Settings and password removed.")
	if s, err := b.store.EmailSettings(t.Context()); s != nil || err != nil {
		t.Errorf("stored after clearing: %+v (%v)", s, err)
	}
	if p := b.get(path); len(p.find(".clear")) != 0 {
		t.Error("there is something to remove still")
	}
}

func TestEmailSettingsAreChecked(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	for _, test := range []struct{ name, value, problem string }{
		{"host", "", "The host is missing."},
		{"host", "mail server", "The host is neither a domain name nor an IP address."},
		{"host", "mx.example.com", "Without encryption, the password could be read in transit. Choose STARTTLS or implicit TLS, or leave the username empty."},
		{"port", "70000", "The port must be a number from 1 to 65535."},
		{"port", "x", "The port must be a number from 1 to 65535."},
		{"security", "ssl", "Choose an encryption option: starttls, implicit or none."},
		{"user", "", "A password needs a user name."},
		{"from", "Us <us@example.com>", "The From address isn't a valid email address."},
		{"from", "ä@example.com", "The From address isn't a valid email address."},
		{"from", "a@[127.0.0.1]", "The From address isn't a valid email address."},
		{"rate", "-1", "Emails per second must be a number from 0 to 100,000."},
		{"rate", "NaN", "Emails per second must be a number from 0 to 100,000."},
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

// TestEmailSettingsKeepToTheirAddresses: only the addresses that the operator
// allows, whether typed or resolved from a name.
func TestEmailSettingsKeepToTheirAddresses(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, smtptest.Config{})
	b := newTestEnv(t, func(d *web.Deps) { d.Mail.Within = new(egress.Addresses) }).admin()
	b.post("/admin/settings/email", settings(25, "host", "169.254.169.254", "user", "", "password", "")...).want(http.StatusUnprocessableEntity).
		says("#problems li", "The host's address is not allowed (see ROLLCALL_SMTP_ALLOW_PRIVATE).")
	b.post("/admin/settings/email", settings(server.Port())...).want(http.StatusSeeOther) // a name is judged when it is dialed
	if said := b.post("/admin/settings/email/test", "to", "a@example.com").text("#test .note"); !strings.Contains(said, "resolves to an address that is blocked") || server.Connections() != 0 {
		t.Errorf("the page says %q, %d connections", said, server.Connections())
	}
}

// TestEmailSettingsAreEncrypted: if the operator requires it, a mail server on
// another machine is refused without TLS, and one that was stored before is not
// used.
func TestEmailSettingsAreEncrypted(t *testing.T) {
	t.Parallel()
	const said = "This server requires encryption for email (ROLLCALL_REQUIRE_TLS). Choose STARTTLS or implicit TLS."
	any, err := egress.ParseAddresses("127.0.0.0/8,::1,0.0.0.0,10.0.0.1") // 0.0.0.0 reaches this machine too, but is not a loopback address
	if err != nil {
		t.Fatal(err)
	}
	encrypted := any.OnlyEncrypted()
	server := smtptest.Start(t, smtptest.Config{})
	b := newTestEnv(t, func(d *web.Deps) { d.Mail.Within = &encrypted }).admin()
	for host, problem := range map[string]string{"10.0.0.1": said, "relay.example.com": said} {
		b.post("/admin/settings/email", settings(25, "host", host, "user", "", "password", "")...).want(http.StatusUnprocessableEntity).says("#problems li", problem)
	}
	if s, err := b.store.EmailSettings(t.Context()); s != nil || err != nil {
		t.Errorf("something was stored: %+v (%v)", s, err)
	}
	b.post("/admin/settings/email", settings(25, "host", "relay.example.com", "security", "starttls")...).want(http.StatusSeeOther)
	b.post("/admin/settings/email", settings(server.Port(), "password", smtptest.Password)...).want(http.StatusSeeOther) // on this machine

	before := storage.EmailSettings{Host: "0.0.0.0", Port: server.Port(), Security: "none", From: "no-reply@example.com"}
	if err := b.store.SetEmailSettings(t.Context(), before, storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorSystem}}); err != nil {
		t.Fatal(err)
	}
	if told := b.post("/admin/settings/email/test", "to", "a@example.com").text("#test .note"); told != "The email to a@example.com wasn't sent. "+said ||
		slices.ContainsFunc(server.Mails(), func(m smtptest.Mail) bool { return m.To == "a@example.com" }) {
		t.Errorf("the page says %q", told)
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
		"taken":            {smtptest.Config{Auth: "PLAIN"}, nil, "The mail server accepted the email to someone@example.com. Check that inbox and its spam folder."},
		"wrong password":   {smtptest.Config{Auth: "PLAIN"}, []string{"password", "wrong"}, "The server rejected the login. Check the username and password; some providers require an app password.Mail server response: 535 5.7.8"},
		"no login offered": {smtptest.Config{}, nil, "The server doesn't offer a supported login method (PLAIN or LOGIN)."},
		"no STARTTLS":      {smtptest.Config{}, []string{"security", "starttls"}, "The server doesn't offer STARTTLS, so nothing was sent."},
		"foreign TLS":      {smtptest.Config{STARTTLS: true, Auth: "PLAIN"}, []string{"security", "starttls"}, "The server's certificate isn't trusted"},
		"no TLS there":     {smtptest.Config{}, []string{"security", "implicit"}, "The server doesn't use implicit TLS on this port."},
		"no such user":     {smtptest.Config{Auth: "PLAIN", Script: refusing("RCPT", "550 5.1.1 nobody here")}, nil, "The server rejected the email permanently. Its response says why; often the recipient doesn't exist, or relaying requires a login.Mail server response: 550 5.1.1 nobody here"},
		"sender refused":   {smtptest.Config{Auth: "PLAIN", Script: refusing("MAIL", "553 5.7.1 not your address")}, nil, "The server doesn't let this account send from this From address"},
		"later":            {smtptest.Config{Auth: "PLAIN", Script: refusing("RCPT", "451 4.7.1 greylisted")}, nil, "The server asked to try again later."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := smtptest.Start(t, test.config)
			b := newTestEnv(t).admin()
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
	b := newTestEnv(t).admin()
	b.post("/admin/settings/email/test", "to", "a@example.com").
		says("#test .note", "The email to a@example.com wasn't sent. No mail server is configured. Save the mail server settings first.")

	server := smtptest.Start(t, smtptest.Config{})
	port := server.Port()
	server.Stop()
	b.post("/admin/settings/email", settings(port)...).want(http.StatusSeeOther)
	if said := b.post("/admin/settings/email/test", "to", "a@example.com").text("#test .note"); !strings.Contains(said, "refused the connection on this port") {
		t.Errorf("the page says %q", said)
	}

	other, err := auth.NewSealer(strings.Repeat("x", 32))
	if err != nil {
		t.Fatal(err)
	}
	b = newTestEnv(t, func(d *web.Deps) { d.Sealer = foreign{other, d.Sealer.(*auth.Sealer)} }).admin()
	b.post("/admin/settings/email", settings(port)...).want(http.StatusSeeOther)
	if said := b.post("/admin/settings/email/test", "to", "a@example.com").text("#test .note"); !strings.Contains(said, "ROLLCALL_SECRET has changed") {
		t.Errorf("the page says %q", said)
	}
}

// foreign seals with a secret that is unknown when it is opened.
type foreign struct{ seals, opens *auth.Sealer }

func (f foreign) Seal(plain, context string) string           { return f.seals.Seal(plain, context) }
func (f foreign) Open(sealed, context string) (string, error) { return f.opens.Open(sealed, context) }

func TestTokens(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	const path = "/admin/settings/tokens"
	b.get(path).want(http.StatusOK).says(".empty h2", "No tokens yet")
	p := b.post(path, "name", "HR sync", "scope", "imports", "expires", "30d").want(http.StatusOK).says("#made", "Token “HR sync” created")
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
	b.follow(b.post(path+"/"+token.ID.String()+"/revoke")).says(".toast", "Token revoked. Requests with this token are now rejected.").
		says("tbody .chip", "Active|Revoked").says("td[data-label=Expires] .muted", "Never")
	if _, err := b.store.TokenByHash(t.Context(), hash); err == nil {
		t.Error("a revoked token is taken")
	}
	for problem, fields := range map[string][]string{
		"Enter a name for the token.":                            {"name", " ", "scope", "imports", "expires", "30d"},
		"The name can have at most 100 characters, on one line.": {"name", strings.Repeat("n", 101), "scope", "imports", "expires", "30d"},
		"Choose the token's permissions.":                        {"name", "n", "scope", "everything", "expires", "30d"},
		"Choose an expiration.":                                  {"name", "n", "scope", "imports", "expires", "1000y"},
	} {
		b.post(path, fields...).want(http.StatusUnprocessableEntity).says("#problem", problem)
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	b.upload("a.csv", "email,name\na@example.com,A\n")
	p := b.get("/admin/audit").want(http.StatusOK).says("tbody td[data-label=Action] span", "uploaded an import|27 bytes|signed in|created a user|with the role admin")
	if links := p.find("tbody td[data-label=Action] a"); !strings.HasPrefix(attribute(links[0], "href"), "/admin/imports/") {
		t.Error("the import's line does not lead to it")
	}
	b.get("/admin/audit?actor=ADMIN%40").says("tbody td[data-label=Action] a", "uploaded an import|signed in")
	b.get("/admin/audit?action=session.").says("tbody td[data-label=Action] a", "signed in").says("td[data-label=IP]", "127.0.0.1")
	location := attribute(p.find("tbody td[data-label=Action] a")[0], "href")
	b.get(location + "/errors.csv").want(http.StatusOK)
	b.get(location + "/results.csv").want(http.StatusOK)
	b.get("/admin/audit?action=import.").says("tbody td[data-label=Action] a", "downloaded results|downloaded an error report|uploaded an import")
	b.get("/admin/audit?actor=nobody").says(".empty h2", "No matching entries")
	b.get("/admin/audit?action=nonsense&target=x&after=y").want(http.StatusOK)
	if _, err := b.store.DB().Exec(`
		INSERT INTO audit_log (id, actor_kind, actor_id, actor, action, target, target_id, detail)
		VALUES (gen_random_uuid(), 'system', gen_random_uuid(), 'update', 'user.change', 'user', gen_random_uuid(),
		        '{"import": "0199-7", "before": {"name": "A", "role": "user"}, "after": {"name": "B", "role": "user"}}')`); err != nil {
		t.Fatal(err)
	}
	b.get("/admin/audit?actor=update").says("tbody td[data-label=Action] span", "changed a user|name from A to B, by import 0199-7")
	for range 61 {
		if err := b.store.AuditExport(t.Context(), storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorSystem, Label: "test"}}); err != nil {
			t.Fatal(err)
		}
	}
	p = b.get("/admin/audit?action=user.&actor=test")
	next := p.find(".pager a[rel=next]")
	if len(next) != 1 || len(p.find("tbody tr")) != 50 || len(b.get(attribute(next[0], "href")).find("tbody tr")) < 11 {
		t.Error("the log does not page")
	}
}
