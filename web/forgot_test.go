package web_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/internal/smtptest"
	"rollcall/mail"
	"rollcall/roster"
	"rollcall/web"
)

// postOffice is an SMTP server, and a word for each mail it has taken.
type postOffice struct {
	*smtptest.Server
	taken chan struct{}
}

func newPostOffice(t *testing.T) postOffice {
	taken := make(chan struct{}, 100)
	return postOffice{smtptest.Start(t, smtptest.Config{Script: func(e *smtptest.Event) {
		if e.Verb == "QUIT" { // after one mail a connection
			taken <- struct{}{}
		}
	}}), taken}
}

// serves makes it what mail is sent by.
func (o postOffice) serves(d *web.Deps) {
	d.Mail.Server = &mail.Server{Host: smtptest.Host, Port: o.Port(), Security: mail.None}
}

// next waits for another mail and returns all there are.
func (o postOffice) next() []smtptest.Mail {
	<-o.taken
	return o.Mails()
}

// TestForgottenPassword goes the whole way: asks, opens the link of the mail,
// chooses a password, signs in with it.
func TestForgottenPassword(t *testing.T) {
	t.Parallel()
	office := newPostOffice(t)
	h := newHouse(t, office.serves)
	stale := h.admin() // signed in, and thrown out by the reset
	b := h.browser()
	if link := b.get("/signin").find("a[href=/forgot]"); len(link) != 1 {
		t.Fatal("the sign-in leads nowhere who has forgotten the password")
	}
	b.get("/forgot").want(http.StatusOK).says("h1", "Forgotten password")
	b.post("/forgot", "email", " ADMIN@example.com ").want(http.StatusOK).says("h1", "Look into your mailbox")
	b.post("/forgot", "email", adminEmail).want(http.StatusOK) // too soon for a second mail
	mails := office.next()
	link := regexp.MustCompile(`/reset/[\w-]+`).FindString(strings.ReplaceAll(mails[0].Data, "=\r\n", ""))
	if mails[0].To != adminEmail || link == "" {
		t.Fatalf("mail to %s with link %q", mails[0].To, link)
	}

	for range 2 { // looking consumes nothing
		b.get(link).want(http.StatusOK).says("h1", "Choose a new password")
	}
	b.post(link, "password", "short", "password_again", "short").want(http.StatusUnprocessableEntity)
	const fresh = "nine slow herons wade"
	p := b.post(link, "password", fresh, "password_again", fresh)
	b.follow(p).says(".note", "Your new password is set. Sign in with it.")
	stale.get("/admin/users").want(http.StatusSeeOther)
	b.post("/signin", "email", adminEmail, "password", adminPassword).want(http.StatusUnauthorized)
	b.signIn(adminEmail, fresh)

	b.get(link).want(http.StatusGone).says("h1", "This link has been used")
	b.post(link, "password", fresh, "password_again", fresh).want(http.StatusGone)
	if log := h.logged.String(); strings.Contains(log, adminEmail) || strings.Contains(log, link) {
		t.Errorf("the log tells too much:\n%s", log)
	}
}

func TestResetLinks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	id := h.id(userEmail)
	hour := time.Now().Add(time.Hour)
	b := h.browser()
	good := "/reset/" + h.signer.ResetToken(id, 0, hour)
	b.get(good).want(http.StatusOK)
	b.get("/reset/"+h.signer.ResetToken(id, 1, hour)).want(http.StatusGone).says("h1", "This link has been used")
	b.get("/reset/"+h.signer.ResetToken(id, 0, time.Now().Add(-time.Second))).want(http.StatusGone).says("h1", "This link has expired")
	b.get("/reset/"+h.signer.InvitationToken(id, 0)).want(http.StatusNotFound).says("h1", "This link is not complete")
	b.get(good + "x").want(http.StatusNotFound)
	h.exec(`UPDATE users SET status = 'disabled'`)
	b.get(good).want(http.StatusGone).says("h1", "This account cannot sign in")
}

// TestForgotTellsNothing compares what is answered for an address that is there
// and one that is not.
func TestForgotTellsNothing(t *testing.T) {
	t.Parallel()
	office := newPostOffice(t)
	h := newHouse(t, office.serves)
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
	// Asked for last, mailed last: the others have had their turn.
	if mails := office.next(); len(mails) != 1 || mails[0].To != "known@example.com" {
		t.Errorf("mails %v", mails)
	}
	b.post("/forgot", "email", "nobody").want(http.StatusUnprocessableEntity).says("[role=alert]", "That is not an e-mail address. Check it for typing errors.")
}

func TestForgotWithoutMail(t *testing.T) {
	t.Parallel()
	b := newHouse(t).browser()
	b.get("/forgot").want(http.StatusOK).says(".note.warn", "This server does not send mail at present, so there is no link to be had. Ask your administrator.")
}

func TestForgotIsBounded(t *testing.T) {
	t.Parallel()
	b := newHouse(t).browser()
	for range 10 {
		b.post("/forgot", "email", "a@example.com").want(http.StatusOK)
	}
	p := b.post("/forgot", "email", "b@example.com").want(http.StatusTooManyRequests)
	if p.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// TestGuessingIsBounded guesses an account's password, and makes sure that its
// owner still gets in.
func TestGuessingIsBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.admin()
	stranger := h.browser()
	for range 10 {
		stranger.post("/signin", "email", adminEmail, "password", "a wrong password").want(http.StatusUnauthorized)
	}
	p := stranger.post("/signin", "email", " ADMIN@Example.com", "password", adminPassword).want(http.StatusTooManyRequests)
	if p.header.Get("Retry-After") == "" || !strings.Contains(p.text("[role=alert]"), "There were too many failed tries.") {
		t.Errorf("%v %s", p.header, p.text("[role=alert]"))
	}
	stranger.post("/signin", "email", "other@example.com", "password", "x").want(http.StatusUnauthorized)
	owner.post("/signout").want(http.StatusSeeOther)
	owner.signIn(adminEmail, adminPassword)
	for range 20 { // right ones do not count
		owner.signIn(adminEmail, adminPassword)
	}
	for range 10 { // a known browser may not guess for ever either
		owner.post("/signin", "email", adminEmail, "password", "wrong").want(http.StatusUnauthorized)
	}
	owner.post("/signin", "email", adminEmail, "password", "wrong").want(http.StatusTooManyRequests)
}
