package attack_test

import (
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/auth"
	"rollcall/test/programtest"
)

// TestSecondFactorIsNotGuessed: an attacker who knows the password has few
// guesses at the code, from any number of browsers.
func TestSecondFactorIsNotGuessed(t *testing.T) {
	t.Parallel()
	h := install(t)
	owner := h.administrator("owner@example.com")
	known := map[string]string{} // for a browser that signed in before there was a second factor
	for name, value := range owner.cookie {
		if name != "rollcall_session" {
			known[name] = value
		}
	}
	page := owner.form("/admin/account/second-factor", "current", password)
	secret := regexp.MustCompile(`<code>([A-Z2-7 ]+)</code>`).FindStringSubmatch(page.body)
	if secret == nil {
		t.Fatalf("no key on the page: %d", page.status)
	}
	code := auth.TOTP(strings.ReplaceAll(secret[1], " ", ""), time.Now())
	if a := owner.form("/admin/account/second-factor/confirm", "code", code); a.status >= 400 {
		t.Fatalf("the setup answered %d", a.status)
	}
	judged := 0
	for k := range 60 {
		b := h.browser()
		if k%2 == 0 {
			maps.Copy(b.cookie, known)
		}
		if a := b.signIn("owner@example.com"); a.status == http.StatusTooManyRequests {
			break
		}
		for guess := range 3 {
			if a := b.form("/signin/code", "code", fmt.Sprintf("%06d", 3*k+guess)); a.status == http.StatusUnauthorized {
				judged++
			}
		}
	}
	if judged == 0 || judged > 30 {
		t.Errorf("%d of 180 guesses were judged", judged)
	}
}

var csrf = []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}

// TestOtherSitesChangeNothing: forms of another site are rejected even with an
// administrator's cookies, and the API ignores cookies.
func TestOtherSitesChangeNothing(t *testing.T) {
	t.Parallel()
	h := install(t)
	b := h.administrator("boss@example.com")
	for _, path := range []string{"/admin/users/change", "/admin/settings/tokens", "/admin/settings/email", "/admin/account/password", "/signout", "/signin", "/admin/users/import"} {
		if a := b.do("POST", path, map[string][]string{}, append([]string{"Content-Type", "application/x-www-form-urlencoded"}, csrf...)...); a.status != http.StatusForbidden {
			t.Errorf("POST %s from another site answered %d", path, a.status)
		}
	}
	if a := b.do("GET", "/api/admin/users", nil); a.status != http.StatusUnauthorized {
		t.Errorf("the API took a cookie: %d", a.status)
	}
	if a := b.do("GET", "/admin/users", nil, csrf...); a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a look answered %d, CORS %q", a.status, a.header.Get("Access-Control-Allow-Origin"))
	}
}

// TestSessionsEnd: the session cookie is HttpOnly and SameSite, stops working
// at sign-out, and cannot be made up.
func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	h := install(t)
	b := h.administrator("boss@example.com")
	stolen := h.browser()
	for name, value := range b.cookie {
		stolen.cookie[name] = value
	}
	if a := stolen.do("GET", "/admin/audit", nil); a.status != 200 {
		t.Fatalf("the session answered %d to begin with", a.status)
	}
	for _, line := range h.browser().signIn("boss@example.com").header.Values("Set-Cookie") {
		if !strings.Contains(line, "HttpOnly") || !strings.Contains(line, "SameSite=Lax") && !strings.Contains(line, "SameSite=Strict") {
			t.Errorf("a cookie: %s", regexp.MustCompile(`=[^;]+`).ReplaceAllString(line, "=…"))
		}
	}
	b.form("/signout")
	if a := stolen.do("GET", "/admin/audit", nil); a.status == 200 {
		t.Error("the session outlives the sign-out")
	}
	forged := h.browser()
	for name, value := range stolen.cookie {
		forged.cookie[name] = strings.Repeat("A", len(value))
	}
	if a := forged.do("GET", "/admin/audit", nil); a.status == 200 {
		t.Error("a forged session is taken")
	}
}

// TestDigitsInLinesAreNoPassword: whether the line end is kept or dropped.
func TestDigitsInLinesAreNoPassword(t *testing.T) {
	t.Parallel()
	h := install(t)
	link := h.rollcall("user", "create-admin", "--email", "boss@example.com", "--name", "Jane Admin")
	for _, weak := range []string{"123456\n789012345", "123456\r\n789012345", "123456789012345", strings.Repeat("123456\n789012345", 3), strings.Repeat("123456789012345", 3)} {
		a := h.browser().form(inviteLink.FindString(link), "password", weak, "password_again", weak)
		if a.status < 400 {
			t.Errorf("%q is taken: %d", weak, a.status)
		}
	}
	if n := query[int](h, `SELECT count(*) FROM users WHERE password_hash IS NOT NULL`); n != 0 {
		t.Error("one was set")
	}
}

// TestDevStaysOnThisMachine: rollcall dev listens for other machines only if
// asked twice.
func TestDevStaysOnThisMachine(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:8080"} {
		began := time.Now()
		out, code := programtest.Run(t, filepath.Join(binaries, "rollcall"), []string{"PATH=/usr/bin:/bin", "HOME=" + t.TempDir(), "ROLLCALL_DATA_DIR=" + t.TempDir(), "ROLLCALL_LISTEN=" + address}, "dev")
		if code != 1 || !strings.Contains(out, "--expose") || time.Since(began) > 10*time.Second {
			t.Errorf("%s: exit code %d, %.300s", address, code, out)
		}
	}
}
