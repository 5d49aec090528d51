package web_test

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/roster"
)

// withFactor is a test environment with a user who has a second factor.
func withFactor(t *testing.T) (h *testEnv, secret string, codes []string) {
	t.Helper()
	h = newTestEnv(t)
	h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	b := h.browser()
	b.signIn(userEmail, userPassword)
	secret, codes = b.setUp(userPassword)
	return h, secret, codes
}

// pendingLogin is a browser in which the right password was entered.
func (h *testEnv) pendingLogin(next ...string) *browser {
	h.Helper()
	b := h.browser()
	p := b.post("/signin", append([]string{"email", userEmail, "password", userPassword}, next...)...).want(http.StatusSeeOther)
	if p.header.Get("Location") != "/signin/code" {
		h.Fatalf("leads to %s", p.header.Get("Location"))
	}
	return b
}

const late = "/signin?late=1"

func TestSignInWithACode(t *testing.T) {
	t.Parallel()
	h, secret, codes := withFactor(t)
	sessions := h.count(`SELECT count(*) FROM sessions`)
	b := h.pendingLogin("next", "/admin/account")
	b.get("/admin/account").want(http.StatusSeeOther) // it is not a session
	if n := h.count(`SELECT count(*) FROM sessions`); n != sessions {
		t.Error("a password alone makes a session")
	}
	b.get("/signin/code").want(http.StatusOK).says("h1", "Enter your verification code")
	for _, wrong := range []string{"", "000", auth.TOTP(secret, time.Now().Add(time.Hour))} {
		b.post("/signin/code", "code", wrong).want(http.StatusUnauthorized).says("#problem p", "That code is incorrect or was already used. Wait for the next code and try again.")
	}
	code := h.code(secret)
	if p := b.post("/signin/code", "code", code).want(http.StatusSeeOther); p.header.Get("Location") != "/admin/account" {
		t.Errorf("leads to %s", p.header.Get("Location"))
	}
	b.get("/admin/account").want(http.StatusOK)
	h.pendingLogin().post("/signin/code", "code", code).want(http.StatusUnauthorized) // it is valid once
	for range 2 {
		p := h.pendingLogin().post("/signin/code", "code", strings.ToUpper(codes[3]))
		if p.status == http.StatusSeeOther {
			codes[0] = "" // the first time
			continue
		}
		p.want(http.StatusUnauthorized)
	}
	if codes[0] != "" || h.count(`SELECT count(*) FROM recovery_codes`) != auth.RecoveryCodes-1 {
		t.Error("a recovery code does not work once")
	}
	for _, secret := range []string{code, codes[3], userEmail, secret} {
		if strings.Contains(h.logged.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
	if !strings.Contains(h.logged.String(), `msg="code refused" client=127.0.0.1 route=/signin/code`) {
		t.Errorf("the log lacks the refusals:\n%s", h.logged)
	}
}

// TestClocksDiffer: clocks may differ by one step either way, and no more.
func TestClocksDiffer(t *testing.T) {
	t.Parallel()
	h, secret, _ := withFactor(t)
	for away, want := range map[time.Duration]int{-95: 401, -30: 303, 0: 303, 30: 303, 95: 401} {
		h.exec(`UPDATE second_factors SET last_step = 0`)
		// In the middle of a step, so that the next one does not begin during
		// the test.
		now := time.Now()
		if now.Unix()%30 > 25 {
			now = now.Add(-2 * time.Second)
		}
		h.pendingLogin().post("/signin/code", "code", auth.TOTP(secret, now.Add(away*time.Second))).want(want)
	}
}

// TestPendingLoginIsNoSession: the cookie is bound to the browser, the time, the
// entered password and the user.
func TestPendingLoginIsNoSession(t *testing.T) {
	t.Parallel()
	h, secret, _ := withFactor(t)
	stranger := h.browser()
	if p := stranger.post("/signin/code", "code", h.code(secret)).want(http.StatusSeeOther); p.header.Get("Location") != late {
		t.Errorf("without a password: %s", p.header.Get("Location"))
	}
	stranger.get("/signin/code").want(http.StatusSeeOther)
	for name, change := range map[string]string{
		"another password": `UPDATE users SET password_hash = '$argon2id$other'`,
		"disabled":         `UPDATE users SET status = 'disabled'`,
		"removed":          `DELETE FROM second_factors`,
		"erased":           `DELETE FROM users`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, secret, _ := withFactor(t)
			b := h.pendingLogin()
			code := h.code(secret)
			h.exec(change)
			for _, p := range []page{b.post("/signin/code", "code", code), b.get("/signin/code")} {
				if p.want(http.StatusSeeOther).header.Get("Location") != late {
					t.Errorf("leads to %s", p.header.Get("Location"))
				}
			}
		})
	}
	b := h.pendingLogin()
	at, err := url.Parse(h.url)
	if err != nil {
		t.Fatal(err)
	}
	cookie := b.client.Jar.Cookies(at)[0]
	if cookie.Name != "rollcall_session_halfway" {
		t.Fatalf("cookie %s", cookie.Name)
	}
	// It is not accepted as a session, or with other content.
	h.browser().get("/admin/account", "Cookie", "rollcall_session="+cookie.Value).want(http.StatusSeeOther)
	other := "-"
	if cookie.Value[9] == '-' {
		other = "_"
	}
	for _, forged := range []string{cookie.Value[1:], cookie.Value[:9] + other + cookie.Value[10:], ""} {
		p := h.browser().get("/signin/code", "Cookie", cookie.Name+"="+forged).want(http.StatusSeeOther)
		if p.header.Get("Location") != late {
			t.Errorf("forged: %s", p.header.Get("Location"))
		}
	}
	b.post("/signout").want(http.StatusSeeOther)
	b.get("/signin/code").want(http.StatusSeeOther)
	p := h.pendingLogin().get("/signin/code").want(http.StatusOK)
	if p.header.Get("Cache-Control") != "no-store" || strings.Contains(p.body, userPassword) {
		t.Error("the page keeps or repeats too much")
	}
}

// pendingCookie is the cookie of a browser in which the right password was
// entered.
func pendingCookie(signer *auth.Signer, user uuid.UUID, passwordHash string, expires time.Time) string {
	password := sha256.Sum256([]byte(passwordHash))
	body := binary.BigEndian.AppendUint64(append(user[:], password[:]...), uint64(expires.Unix()))
	return "rollcall_session_halfway=" + signer.Sign("halfway signed in", body)
}

// TestPendingLoginExpires: it expires.
func TestPendingLoginExpires(t *testing.T) {
	t.Parallel()
	h, secret, _ := withFactor(t)
	id := h.id(userEmail)
	known, err := h.store.CredentialsOf(t.Context(), userEmail)
	if err != nil {
		t.Fatal(err)
	}
	b := h.browser()
	for life, want := range map[time.Duration]string{-time.Second: late, time.Minute: "/admin/users"} {
		cookie := pendingCookie(h.signer, id, known.PasswordHash, time.Now().Add(life))
		r := b.request(http.MethodPost, "/signin/code", strings.NewReader("code="+h.code(secret)), "Content-Type", "application/x-www-form-urlencoded", "Cookie", cookie)
		if p := b.do(r).want(http.StatusSeeOther); p.header.Get("Location") != want {
			t.Errorf("%v: %s", life, p.header.Get("Location"))
		}
	}
}

// TestCodesAreNotGuessed: guessing is limited, but does not lock the owner out
// of browsers they have signed in with before.
func TestCodesAreNotGuessed(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	owner := h.browser()
	owner.signIn(userEmail, userPassword)
	secret, codes := owner.setUp(userPassword)
	owner.post("/signout")
	thief := h.pendingLogin()
	for range 10 {
		thief.post("/signin/code", "code", "000").want(http.StatusUnauthorized)
	}
	p := thief.post("/signin/code", "code", h.code(secret)).want(http.StatusTooManyRequests)
	if p.header.Get("Retry-After") == "" || !strings.Contains(p.text("[role=alert]"), "Too many incorrect codes") {
		t.Errorf("throttled: %v, %q", p.header, p.text("[role=alert]"))
	}
	h.pendingLogin().post("/signin/code", "code", codes[0]).want(http.StatusSeeOther)              // the recovery code works in a new browser
	h.pendingLogin().post("/signin/code", "code", h.code(secret)).want(http.StatusTooManyRequests) // limited by account, not by cookie
	owner.post("/signin", "email", userEmail, "password", userPassword).want(http.StatusSeeOther)
	owner.post("/signin/code", "code", h.code(secret)).want(http.StatusSeeOther)
	for range 10 {
		owner.post(factorPath+"/remove", "current", userPassword, "code", "000").want(http.StatusUnprocessableEntity)
	}
	owner.post(factorPath+"/remove", "current", userPassword, "code", h.code(secret)).want(http.StatusTooManyRequests)
}

// TestResetKeepsTheSecondFactor: access to the mailbox alone is not enough to
// sign in.
func TestResetKeepsTheSecondFactor(t *testing.T) {
	t.Parallel()
	h, secret, _ := withFactor(t)
	link := "/reset/" + h.signer.ResetToken(h.id(userEmail), 0, time.Now().Add(time.Hour))
	b := h.browser()
	b.post(link, "password", otherPassword, "password_again", otherPassword).want(http.StatusSeeOther)
	p := b.post("/signin", "email", userEmail, "password", otherPassword).want(http.StatusSeeOther)
	if p.header.Get("Location") != "/signin/code" {
		t.Errorf("leads to %s", p.header.Get("Location"))
	}
	b.get("/admin/account").want(http.StatusSeeOther)
	b.post("/signin/code", "code", h.code(secret)).want(http.StatusSeeOther)
	b.get("/admin/account").want(http.StatusOK)
}

// TestWrongPasswordTellsNoSecondFactor: only the right password leads to the
// second page.
func TestWrongPasswordTellsNoSecondFactor(t *testing.T) {
	t.Parallel()
	h, _, _ := withFactor(t)
	b := h.browser()
	known := b.post("/signin", "email", userEmail, "password", "wrong").want(http.StatusUnauthorized)
	other := b.post("/signin", "email", "else@example.com", "password", "wrong").want(http.StatusUnauthorized)
	if strings.ReplaceAll(known.body, userEmail, "else@example.com") != other.body || known.header.Get("Set-Cookie") != "" {
		t.Errorf("the answers differ:\n%s\n%s", known.body, other.body)
	}
}
