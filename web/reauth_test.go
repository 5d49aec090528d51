package web_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/test/smtptest"
)

// leaveOpen makes all sessions look as if the password was entered a while ago.
func (h *testEnv) leaveOpen() {
	h.Helper()
	h.exec(`UPDATE sessions SET authenticated_at = now() - interval '6 minutes'`)
}

// enterAgain submits the form that asks for the password.
func (b *browser) enterAgain(p page, password, code string) page {
	b.Helper()
	fields := []string{"confirm_password", password, "confirm_code", code}
	for _, input := range p.find("form[method=post] input[type=hidden]") {
		fields = append(fields, attribute(input, "name"), attribute(input, "value"))
	}
	var action string
	for _, form := range p.find("main form[method=post]") {
		action = attribute(form, "action")
	}
	return b.post(action, fields...)
}

// TestOpenSessionIsNotEnough: in a session whose password was entered a while
// ago, actions that could take over the account, or all accounts, ask for it
// again.
func TestOpenSessionIsNotEnough(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	b := h.admin()
	h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	gone := h.addUser("gone@example.com", "Gone", roster.RoleUser, userPassword)
	b.follow(b.upload("boss.csv", "email,name,role\nboss@example.com,Boss,admin\n", "dry_run", "true"))
	var imported uuid.UUID
	if err := h.store.DB().QueryRow(`SELECT id FROM imports`).Scan(&imported); err != nil {
		t.Fatal(err)
	}
	there := func(query string, args ...any) bool {
		t.Helper()
		var found bool
		if err := h.store.DB().QueryRow(`SELECT EXISTS (`+query+`)`, args...).Scan(&found); err != nil {
			t.Fatal(err)
		}
		return found
	}
	for _, test := range []struct {
		name   string
		path   string
		fields []string
		done   func(page) bool
	}{
		{"mail server", "/admin/settings/email", settings(2525), func(page) bool { return there(`SELECT FROM settings WHERE value->>'host' = 'localhost'`) }},
		{"no mail server", "/admin/settings/email/clear", nil, func(page) bool { return !there(`SELECT FROM settings`) }},
		{"token", "/admin/settings/tokens", []string{"name", "HR “sync” <b>", "scope", "admin", "expires", "never"},
			func(page) bool {
				return there(`SELECT FROM api_tokens WHERE name = 'HR “sync” <b>' AND 'admin' = ANY (scopes)`)
			}},
		{"administrator", "/admin/users/change", []string{"action", "make-admin", "user", h.id(userEmail).String()},
			func(page) bool { return there(`SELECT FROM users WHERE email = $1 AND role = 'admin'`, userEmail) }},
		{"demotion", "/admin/users/change", []string{"action", "make-user", "user", h.id(userEmail).String()},
			func(page) bool { return there(`SELECT FROM users WHERE email = $1 AND role = 'user'`, userEmail) }},
		{"erasure", "/admin/users/change", []string{"action", "erase", "user", gone.String()},
			func(page) bool { return !there(`SELECT FROM users WHERE id = $1`, gone) }},
		{"export", "/admin/users/export.csv?q=uma", nil, func(p page) bool { return strings.Contains(p.body, userEmail) }},
		{"import of administrators", "/admin/imports/" + imported.String() + "/confirm", []string{"admins", "1", "send_invitations", "false"},
			func(page) bool { return there(`SELECT FROM imports WHERE status <> 'ready' AND NOT send_invitations`) }},
	} {
		h.leaveOpen()
		p := b.post(test.path, test.fields...)
		if test.name == "export" {
			p = b.get(test.path)
		}
		p.want(http.StatusForbidden).says("h1", "Confirm it's you")
		if p.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: what was typed may be kept by the browser", test.name)
		}
		if test.done(p) {
			t.Errorf("%s: done without the password", test.name)
		}
		p = b.enterAgain(p, "not the password", "").want(http.StatusUnprocessableEntity).says("#problem", "The current password is incorrect. Try again.")
		if test.done(p) {
			t.Errorf("%s: done with a wrong password", test.name)
		}
		if p = b.enterAgain(p, adminPassword, ""); p.status != http.StatusOK && p.status != http.StatusSeeOther || !test.done(p) {
			t.Errorf("%s: not done with the password: %d\n%s", test.name, p.status, p.body)
		}
	}
	// Once entered, it counts for a while, in this session only.
	other := h.browser()
	other.signIn(adminEmail, adminPassword)
	h.leaveOpen()
	b.enterAgain(b.post("/admin/settings/email", settings(2525)...), adminPassword, "").want(http.StatusSeeOther)
	b.post("/admin/settings/email/clear").want(http.StatusSeeOther)
	other.post("/admin/settings/email/clear").want(http.StatusForbidden)
}

// TestOpenSessionNeedsTheCode: with a second factor the password alone is not
// enough.
func TestOpenSessionNeedsTheCode(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	b := h.admin()
	secret, codes := b.setUp(adminPassword)
	h.leaveOpen()
	p := b.post("/admin/settings/tokens", "name", "mine", "scope", "admin", "expires", "never").want(http.StatusForbidden)
	p = b.enterAgain(p, adminPassword, "").want(http.StatusUnprocessableEntity)
	p = b.enterAgain(p, adminPassword, "000000").want(http.StatusUnprocessableEntity)
	p = b.enterAgain(p, "not the password", h.code(secret)).want(http.StatusUnprocessableEntity)
	if tokens, err := h.store.Tokens(t.Context()); err != nil || len(tokens) != 0 {
		t.Fatalf("%v %v", tokens, err)
	}
	b.enterAgain(p, adminPassword, h.code(secret)).want(http.StatusOK).says("#made", "Token “mine” created")
	h.leaveOpen()
	p = b.post("/admin/settings/tokens", "name", "mine", "scope", "admin", "expires", "never").want(http.StatusForbidden)
	b.enterAgain(p, adminPassword, codes[0]).want(http.StatusOK)
	h.leaveOpen()
	p = b.post("/admin/settings/tokens", "name", "mine", "scope", "admin", "expires", "never").want(http.StatusForbidden)
	b.enterAgain(p, adminPassword, codes[0]).want(http.StatusUnprocessableEntity) // used
}

// TestMailServerChangeIsTold: all administrators are notified through the
// previous server, or through the new one if that is gone.
func TestMailServerChangeIsTold(t *testing.T) {
	t.Parallel()
	office := newMailSink(t)
	h := newTestEnv(t, office.serves)
	b := h.admin()
	h.addUser("second@example.com", "Second", roster.RoleAdmin, userPassword)
	h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	theirs := smtptest.Start(t, smtptest.Config{Auth: "PLAIN"})
	b.post("/admin/settings/email", settings(theirs.Port())...).want(http.StatusSeeOther)
	office.next()
	told := office.next()
	var to []string
	for _, mail := range told {
		to = append(to, mail.To)
		if text := strings.ReplaceAll(mail.Data, "=\r\n", ""); !strings.Contains(text, "Mail server now: localhost") || !strings.Contains(text, "by "+adminEmail) {
			t.Errorf("the mail reads\n%s", text)
		}
	}
	if slices.Sort(to); !slices.Equal(to, []string{adminEmail, "second@example.com"}) || theirs.Connections() != 0 {
		t.Errorf("told %v, and %d connections to the new server", to, theirs.Connections())
	}
	b.post("/admin/settings/email", settings(theirs.Port(), "rate", "7")...).want(http.StatusSeeOther) // the mail server stays the same
	office.Stop()
	b.post("/admin/settings/email/clear").want(http.StatusSeeOther)
	for end := time.Now().Add(20 * time.Second); len(theirs.Mails()) < 2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("removal is not told by the server from before: %d mails", len(theirs.Mails()))
		}
	}
	port := strconv.Itoa(theirs.Port())
	b.get("/admin/audit?action=settings.").says("tbody td[data-label=Action] .under",
		"from from no-reply@example.com to nothing, host from localhost to nothing, password from set to nothing, port from "+port+" to nothing, rate from 7 to nothing, security from none to nothing, user from "+smtptest.User+" to nothing|"+
			"rate from 2.5 to 7|"+
			"from from nothing to no-reply@example.com, host from nothing to localhost, password from nothing to set, port from nothing to "+port+", rate from nothing to 2.5, security from nothing to none, user from nothing to "+smtptest.User)
}

// TestTokenOfAnother: a token stops working with its owner, and works again for
// the administrator who takes it over.
func TestTokenOfAnother(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	b := h.admin()
	second := h.addUser("second@example.com", "Second", roster.RoleAdmin, userPassword)
	theirs := h.browser()
	theirs.signIn("second@example.com", userPassword)
	theirs.post("/admin/settings/tokens", "name", "theirs", "scope", "imports", "expires", "never").want(http.StatusOK)
	const path = "/admin/settings/tokens"
	b.get(path).says("tbody .owner", "Owner: second@example.com").says("tbody .chip", "Active")
	b.post("/admin/users/change", "action", "make-user", "user", second.String()).want(http.StatusSeeOther)
	p := b.get(path).says("tbody .owner", "Owner: second@example.com").says("tbody .chip", "No active owner")
	forms := p.find("tbody form")
	if len(forms) != 2 || !strings.HasSuffix(attribute(forms[0], "action"), "/transfer") {
		t.Fatalf("%d forms", len(forms))
	}
	h.leaveOpen()
	p = b.post(attribute(forms[0], "action")).want(http.StatusForbidden)
	b.follow(b.enterAgain(p, adminPassword, "")).says(".toast", "You now own this token. It works as long as you are an administrator.").
		says("tbody .owner", "Owner: "+adminEmail).says("tbody .chip", "Active")
	b.get("/admin/audit?action=token.").says("tbody td[data-label=Action] a", "took over an API token|created an API token")
}

// TestNewAdministratorsAreNamed: new administrators are listed next to the
// checkbox that approves them, with the punycode domain if it has non-ASCII
// letters.
func TestNewAdministratorsAreNamed(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	p := b.follow(b.upload("a.csv", "email,name,role\nada@example.com,Ada,admin\nplain@example.com,Plain,user\nbob@\u0435xample.com,Bob,admin\n", "dry_run", "true"))
	p.says(".new-admins li", "ada@example.com Ada, row 2|bob@\u0435xample.com (domain: xn--xample-2of.com) Bob, row 4")
	if code := p.find(".new-admins code"); len(code) != 1 {
		t.Errorf("%d domains", len(code))
	}
}

// TestTestMailsAreAudited: the audit log has the server and the domain of a
// test mail, but not its recipient.
func TestTestMailsAreAudited(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, smtptest.Config{Auth: "PLAIN"})
	b := newTestEnv(t).admin()
	b.post("/admin/settings/email", settings(server.Port())...).want(http.StatusSeeOther)
	b.post("/admin/settings/email/test", "to", "someone@elsewhere.example").want(http.StatusOK)
	p := b.get("/admin/audit?action=settings.").want(http.StatusOK)
	if told := p.text("tbody td[data-label=Action] .under"); !strings.HasPrefix(told, "accepted by localhost:"+strconv.Itoa(server.Port())+", to elsewhere.example|") {
		t.Errorf("the log says %q", told)
	}
	if strings.Contains(p.body, "someone@") {
		t.Error("the log tells the recipient")
	}
}
