package web_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/mail"
	"rollcall/roster"
	"rollcall/test/smtptest"
	"rollcall/web"
)

// mailSink is an SMTP server with a notification for each mail it has
// accepted.
type mailSink struct {
	*smtptest.Server
	taken chan struct{}
}

func newMailSink(t *testing.T) mailSink {
	taken := make(chan struct{}, 100)
	return mailSink{smtptest.Start(t, smtptest.Config{Script: func(e *smtptest.Event) {
		if e.Verb == "QUIT" { // after one mail a connection
			taken <- struct{}{}
		}
	}}), taken}
}

// serves makes it the configured mail server.
func (o mailSink) serves(d *web.Deps) {
	d.Mail.Server = &mail.Server{Host: smtptest.Host, Port: o.Port(), Security: mail.None}
}

// next waits for another mail and returns all mails.
func (o mailSink) next() []smtptest.Mail {
	<-o.taken
	return o.Mails()
}

// TestForgottenPassword requests a link, opens it from the mail, sets a
// password and signs in with it.
func TestForgottenPassword(t *testing.T) {
	t.Parallel()
	office := newMailSink(t)
	h := newTestEnv(t, office.serves)
	stale := h.admin() // signed in, and signed out by the reset
	b := h.browser()
	if link := b.get("/signin").find("a[href=/forgot]"); len(link) != 1 {
		t.Fatal("the sign-in leads nowhere who has forgotten the password")
	}
	b.get("/forgot").want(http.StatusOK).says("h1", "Forgot password")
	b.post("/forgot", "email", " ADMIN@example.com ").want(http.StatusOK).says("h1", "Check your email")
	b.post("/forgot", "email", adminEmail).want(http.StatusOK) // too soon for a second mail
	mails := office.next()
	link := regexp.MustCompile(`/reset/[\w-]+`).FindString(strings.ReplaceAll(mails[0].Data, "=\r\n", ""))
	if mails[0].To != adminEmail || link == "" {
		t.Fatalf("mail to %s with link %q", mails[0].To, link)
	}

	for range 2 { // opening the page does not use up the link
		b.get(link).want(http.StatusOK).says("h1", "Choose a new password")
	}
	b.post(link, "password", "short", "password_again", "short").want(http.StatusUnprocessableEntity)
	const fresh = "nine slow herons wade"
	p := b.post(link, "password", fresh, "password_again", fresh)
	b.follow(p).says(".note", "Your password was changed. Sign in with the new one.")
	stale.get("/admin/users").want(http.StatusSeeOther)
	b.post("/signin", "email", adminEmail, "password", adminPassword).want(http.StatusUnauthorized)
	b.signIn(adminEmail, fresh)

	b.get(link).want(http.StatusGone).says("h1", "This link has already been used")
	b.post(link, "password", fresh, "password_again", fresh).want(http.StatusGone)
	for _, action := range []string{"password.reset_link", "password.reset"} {
		if n := h.count(`SELECT count(*) FROM audit_log WHERE action = '` + action + `'`); n != 1 {
			t.Errorf("%s is in the audit log %d times", action, n)
		}
	}
	if log := h.logged.String(); strings.Contains(log, adminEmail) || strings.Contains(log, link) {
		t.Errorf("the log tells too much:\n%s", log)
	}
}

func TestResetLinks(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	id := h.id(userEmail)
	hour := time.Now().Add(time.Hour)
	b := h.browser()
	good := "/reset/" + h.signer.ResetToken(id, 0, hour)
	b.get(good).want(http.StatusOK)
	b.get("/reset/"+h.signer.ResetToken(id, 1, hour)).want(http.StatusGone).says("h1", "This link has already been used")
	b.get("/reset/"+h.signer.ResetToken(id, 0, time.Now().Add(-time.Second))).want(http.StatusGone).says("h1", "This link has expired")
	b.get("/reset/"+h.signer.InvitationToken(id, 0)).want(http.StatusNotFound).says("h1", "This link doesn't work")
	b.get(good + "x").want(http.StatusNotFound)
	h.exec(`UPDATE users SET status = 'disabled'`)
	b.get(good).want(http.StatusGone).says("h1", "This account can't sign in")
}

// TestForgotTellsNothing compares the responses for an address that exists and
// one that does not.
func TestForgotTellsNothing(t *testing.T) {
	t.Parallel()
	office := newMailSink(t)
	h := newTestEnv(t, office.serves)
	h.addUser("known@example.com", "Kim Known", roster.RoleUser, userPassword)
	h.addUser("guest@example.com", "Ina Invited", roster.RoleUser, "")
	b := h.browser()
	other := b.post("/forgot", "email", "other@example.com").want(http.StatusOK)
	guest := b.post("/forgot", "email", "guest@example.com").want(http.StatusOK)
	known := b.post("/forgot", "email", "known@example.com").want(http.StatusOK)
	for _, p := range []page{guest, other} {
		if strings.ReplaceAll(strings.ReplaceAll(p.body, "guest@", "known@"), "other@", "known@") != known.body {
			t.Error("the answers differ")
		}
	}
	// Requested last, sent last: the others have been processed.
	if mails := office.next(); len(mails) != 1 || mails[0].To != "known@example.com" {
		t.Errorf("mails %v", mails)
	}
	b.post("/forgot", "email", "nobody").want(http.StatusUnprocessableEntity).says("[role=alert]", "That's not a valid email address. Check it for typos.")
}

func TestForgotWithoutMail(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).browser()
	b.get("/forgot").want(http.StatusOK).says(".note.warn", "Email isn't set up on this server, so we can't send a link. Contact your administrator.")
}

func TestForgotIsBounded(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).browser()
	for range 10 {
		b.post("/forgot", "email", "a@example.com").want(http.StatusOK)
	}
	p := b.post("/forgot", "email", "b@example.com").want(http.StatusTooManyRequests)
	if p.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// TestGuessingIsBounded guesses an account's password; its owner can still sign
// in.
func TestGuessingIsBounded(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	owner := h.admin()
	stranger := h.browser()
	for range 10 {
		stranger.post("/signin", "email", adminEmail, "password", "a wrong password").want(http.StatusUnauthorized)
	}
	p := stranger.post("/signin", "email", " ADMIN@Example.com", "password", adminPassword).want(http.StatusTooManyRequests)
	if p.header.Get("Retry-After") == "" || !strings.Contains(p.text("[role=alert]"), "Too many failed attempts.") {
		t.Errorf("%v %s", p.header, p.text("[role=alert]"))
	}
	stranger.post("/signin", "email", "other@example.com", "password", "x").want(http.StatusUnauthorized)
	owner.post("/signout").want(http.StatusSeeOther)
	owner.signIn(adminEmail, adminPassword)
	for range 20 { // right ones do not count
		owner.signIn(adminEmail, adminPassword)
	}
	for range 10 { // a known browser may not guess forever either
		owner.post("/signin", "email", adminEmail, "password", "wrong").want(http.StatusUnauthorized)
	}
	owner.post("/signin", "email", adminEmail, "password", "wrong").want(http.StatusTooManyRequests)
}
