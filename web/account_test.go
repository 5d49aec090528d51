package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/roster"
)

const otherPassword = "nine calm herons wade on"

// count reads a number from the database.
func (h *testEnv) count(query string, args ...any) (n int) {
	h.Helper()
	if err := h.store.DB().QueryRowContext(h.Context(), query, args...).Scan(&n); err != nil {
		h.Fatal(err)
	}
	return n
}

// changeOwn submits the form that changes the user's own password.
func (b *browser) changeOwn(current, password string) page {
	b.Helper()
	return b.post("/admin/account/password", "current", current, "password", password, "password_again", password)
}

func TestPasswordIsChanged(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id := h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	b, other, left := h.browser(), h.browser(), h.browser()
	for _, browser := range []*browser{b, other, left} {
		browser.signIn(userEmail, userPassword)
	}
	reset := h.signer.ResetToken(id, 0, time.Now().Add(time.Hour))
	at := b.request(http.MethodGet, "/", nil).URL
	before := b.client.Jar.Cookies(at)[0]

	b.follow(b.changeOwn(userPassword, otherPassword)).want(http.StatusOK).says("[role=status]", "Password changed. You've been signed out on all other devices.")
	for _, browser := range []*browser{other, left} {
		browser.get("/admin/account").want(http.StatusSeeOther)
	}
	if n := h.count(`SELECT count(*) FROM sessions`); n != 1 {
		t.Errorf("%d sessions are left", n)
	}
	// Confirming the password replaces the session's secret.
	h.browser().get("/admin/account", "Cookie", before.String()).want(http.StatusSeeOther)
	h.browser().get("/reset/" + reset).want(http.StatusGone)
	h.browser().post("/signin", "email", userEmail, "password", userPassword).want(http.StatusUnauthorized)
	h.browser().signIn(userEmail, otherPassword)
	if n := h.count(`SELECT count(*) FROM audit_log WHERE action = 'password.change' AND actor_id = $1 AND target_id = $1 AND address <> ''`, id); n != 1 {
		t.Errorf("%d entries in the audit log", n)
	}
}

func TestPasswordChangeIsRefused(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	b := h.browser()
	b.signIn(userEmail, userPassword)
	for name, tt := range map[string]struct{ current, password, again, says string }{
		"wrong":     {"seven loud herons walk", otherPassword, otherPassword, "The current password is incorrect. Try again."},
		"none":      {"", otherPassword, otherPassword, "The current password is incorrect. Try again."},
		"same":      {userPassword, userPassword, userPassword, "This is your current password. Choose a different one."},
		"different": {userPassword, otherPassword, userPassword, "The passwords don't match. Enter the same password in both fields."},
		"guessable": {userPassword, "Uma.User@example.com", "Uma.User@example.com", "This is little more than your own name or email address. Choose something that has nothing to do with you."},
		"empty":     {userPassword, "", "", "Choose a password."},
	} {
		p := b.post("/admin/account/password", "current", tt.current, "password", tt.password, "password_again", tt.again)
		p.want(http.StatusUnprocessableEntity)
		if got := p.text("#complaints li"); got != tt.says {
			t.Errorf("%s: %q, want %q", name, got, tt.says)
		}
		for _, secret := range []string{userPassword, otherPassword} {
			if strings.Contains(p.body, secret) {
				t.Errorf("%s: the page repeats a password", name)
			}
		}
	}
	h.browser().signIn(userEmail, userPassword)
}

// TestOwnPasswordIsNotGuessed: a session that was left open does not get around
// the limits of the sign-in.
func TestOwnPasswordIsNotGuessed(t *testing.T) {
	t.Parallel()
	for path, field := range map[string]string{"/admin/account/password": "password", "/admin/account/sessions": "session"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
			b := h.browser()
			b.signIn(userEmail, userPassword)
			for range 10 {
				b.post(path, "current", "a guess of a password", field, "others").want(http.StatusUnprocessableEntity)
			}
			p := b.post(path, "current", userPassword, field, "others").want(http.StatusTooManyRequests)
			if p.header.Get("Retry-After") == "" || !strings.Contains(p.text("[role=alert]"), "Too many incorrect passwords") {
				t.Errorf("throttled: %v, %q", p.header, p.text("[role=alert]"))
			}
			if strings.Contains(h.logged.String(), "a guess") {
				t.Error("a guess is in the log")
			}
		})
	}
}

func TestSessionsAreToldAndEnded(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id := h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	h.addUser(adminEmail, "Ada Admin", roster.RoleAdmin, adminPassword)
	stranger := h.browser()
	stranger.signIn(adminEmail, adminPassword)
	firefox := "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	safari := "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15"
	enter := func(agent string) *browser {
		b := h.browser()
		r := b.request(http.MethodPost, "/signin", strings.NewReader("email="+userEmail+"&password="+strings.ReplaceAll(userPassword, " ", "+")), "Content-Type", "application/x-www-form-urlencoded", "User-Agent", agent)
		b.do(r).want(http.StatusSeeOther)
		return b
	}
	b, one, two, odd := enter(firefox), enter(safari), enter(firefox), enter(`<script>alert(1)</script>`+strings.Repeat("x", 900))
	p := b.get("/admin/account").want(http.StatusOK)
	if got := len(p.find("tbody tr")); got != 4 {
		t.Fatalf("%d sessions are listed, want one's own 4\n%s", got, p.body)
	}
	if got := p.text("tr.this .strong") + "|" + p.text("tr.this td[data-label=IP]"); got != "Firefox on Linux|127.0.0.1" {
		t.Errorf("this session reads %q", got)
	}
	if got := p.text("tbody .strong"); !strings.Contains(got, "Safari on macOS") {
		t.Errorf("browsers: %q", got)
	}
	if n := h.count(`SELECT count(*) FROM sessions WHERE browser LIKE '%Mozilla%' OR length(browser) > 60`); n != 0 {
		t.Errorf("%d sessions keep more of the browser than its name", n)
	}
	odd.get("/admin/account").want(http.StatusOK)

	ids := p.find("tbody button")
	if len(ids) != 3 {
		t.Fatalf("%d sessions can be ended, want 3", len(ids))
	}
	var foreign string
	if err := h.store.DB().QueryRowContext(t.Context(), `SELECT id FROM sessions WHERE user_id <> $1`, id).Scan(&foreign); err != nil {
		t.Fatal(err)
	}
	b.post("/admin/account/sessions", "session", foreign, "current", userPassword).want(http.StatusSeeOther)
	stranger.get("/admin/account").want(http.StatusOK) // a user cannot end another user's session
	b.post("/admin/account/sessions", "session", attribute(ids[0], "value")).want(http.StatusUnprocessableEntity)
	b.post("/admin/account/sessions", "session", "nonsense", "current", userPassword).want(http.StatusBadRequest)
	if n := h.count(`SELECT count(*) FROM sessions WHERE user_id = $1`, id); n != 4 {
		t.Errorf("%d sessions after refusals, want 4", n)
	}
	b.follow(b.post("/admin/account/sessions", "session", attribute(ids[0], "value"), "current", userPassword)).says("[role=status]", "Session signed out.")
	if n := h.count(`SELECT count(*) FROM sessions WHERE id = $1`, attribute(ids[0], "value")); n != 0 {
		t.Error("the session is still there")
	}
	b.follow(b.post("/admin/account/sessions", "session", "others", "current", userPassword)).says("[role=status]", "You've been signed out on all other devices.")
	b.get("/admin/account").want(http.StatusOK)
	for _, gone := range []*browser{one, two, odd} {
		gone.get("/admin/account").want(http.StatusSeeOther)
	}
	stranger.get("/admin/account").want(http.StatusOK)
	if n := h.count(`SELECT count(*) FROM audit_log WHERE action = 'session.end' AND actor_id = $1`, id); n != 2 {
		t.Errorf("%d entries in the audit log, want 2", n)
	}
}

func TestAdministratorEndsSessions(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	b := h.admin()
	id := h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	user := h.browser()
	user.signIn(userEmail, userPassword)
	p := b.post("/admin/users/change", "action", "end-sessions", "user", id.String()).want(http.StatusSeeOther)
	b.follow(p).says(".toast p", "1 user: signed out everywhere.")
	user.get("/admin/account").want(http.StatusSeeOther)
	user.signIn(userEmail, userPassword)
	b.get("/admin/account").want(http.StatusOK)
	if n := h.count(`SELECT count(*) FROM audit_log WHERE action = 'session.end' AND target_id = $1 AND actor = $2`, id, adminEmail); n != 1 {
		t.Errorf("%d entries in the audit log", n)
	}
}
