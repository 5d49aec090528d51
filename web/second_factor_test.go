package web_test

import (
	"errors"
	"image"
	"image/color"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	go_qr "github.com/piglig/go-qr"

	"rollcall/auth"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web"
)

const factorPath = "/admin/account/second-factor"

// code is the code that an authenticator app shows now, even if it was used.
func (h *testEnv) code(secret string) string {
	h.Helper()
	h.exec(`UPDATE second_factors SET last_step = 0`)
	return auth.TOTP(secret, time.Now())
}

// secret is the secret of a user's second factor.
func (h *testEnv) secret(user uuid.UUID) string {
	h.Helper()
	f, err := h.store.SecondFactorOf(h.Context(), user)
	if err != nil {
		h.Fatal(err)
	}
	secret, err := h.sealer.Open(f.Secret, auth.TOTPContext(user))
	if err != nil {
		h.Fatal(err)
	}
	return secret
}

// setUp sets a second factor up and returns its secret and recovery codes.
func (b *browser) setUp(password string) (secret string, codes []string) {
	b.Helper()
	p := b.post(factorPath, "current", password).want(http.StatusOK)
	secret = strings.ReplaceAll(p.text(".secret code"), " ", "")
	p = b.post(factorPath+"/confirm", "code", b.code(secret)).want(http.StatusOK)
	return secret, strings.Split(p.text(".recovery code"), "|")
}

// scan reads the QR code that a page shows.
func (p page) scan() string {
	p.Helper()
	side, err := strconv.Atoi(attribute(p.find("svg.qr rect")[0], "width"))
	if err != nil {
		p.Fatal(err)
	}
	const scale = 6
	picture := image.NewGray(image.Rect(0, 0, side*scale, side*scale))
	for i := range picture.Pix {
		picture.Pix[i] = 0xff
	}
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h1v1h-1z`).FindAllStringSubmatch(attribute(p.find("svg.qr path")[0], "d"), -1) {
		x, _ := strconv.Atoi(m[1])
		y, _ := strconv.Atoi(m[2])
		for dy := range scale {
			for dx := range scale {
				picture.SetGray(x*scale+dx, y*scale+dy, color.Gray{})
			}
		}
	}
	text, err := go_qr.Decode(picture)
	if err != nil {
		p.Fatal(err)
	}
	return text
}

func TestSecondFactorIsSetUp(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id := h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	b, other := h.browser(), h.browser()
	b.signIn(userEmail, userPassword)
	other.signIn(userEmail, userPassword)
	before := b.client.Jar.Cookies(b.request(http.MethodGet, "/", nil).URL)

	b.get("/admin/account").want(http.StatusOK).says("#factor", "Two-factor authentication")
	b.post(factorPath, "current", "a wrong password of length").want(http.StatusUnprocessableEntity).says("#problem p", "The current password is incorrect. Try again.")
	b.post(factorPath).want(http.StatusUnprocessableEntity)
	if n := h.count(`SELECT count(*) FROM second_factors`); n != 0 {
		t.Error("begun without the password")
	}
	p := b.post(factorPath, "current", userPassword).want(http.StatusOK)
	secret := h.secret(id)
	link := attribute(p.find(".scan a")[0], "href")
	if got := strings.ReplaceAll(p.text(".secret code"), " ", ""); got != secret || link != auth.TOTPLink(secret, "SecureAI", userEmail) || p.scan() != link {
		t.Errorf("the page shows %q, %q and a picture of %q", got, link, p.scan())
	}
	b.get(factorPath).want(http.StatusOK)
	for _, wrong := range []string{"", "000", auth.TOTP(secret, time.Now().Add(time.Hour)), "aaaa-bbbb-cccc-dddd-eeee-ffff"} {
		p := b.post(factorPath+"/confirm", "code", wrong).want(http.StatusUnprocessableEntity)
		if strings.Contains(p.body, secret[:4]) || len(p.find("svg.qr")) != 0 {
			t.Error("a wrong code shows the secret to who need not know the password")
		}
	}
	other.get("/admin/account").want(http.StatusOK)
	p = b.post(factorPath+"/confirm", "code", h.code(secret)).want(http.StatusOK).says("h1", "Two-factor authentication is on")
	if codes := p.find(".recovery code"); len(codes) != auth.RecoveryCodes {
		t.Errorf("%d recovery codes", len(codes))
	}
	other.get("/admin/account").want(http.StatusSeeOther)
	for _, cookie := range before {
		h.browser().get("/admin/account", "Cookie", cookie.String()).want(http.StatusSeeOther)
	}
	b.get("/admin/account").want(http.StatusOK)
	b.get(factorPath).want(http.StatusOK)
	for _, path := range []string{factorPath, factorPath + "/confirm"} {
		p := b.post(path, "current", userPassword, "code", h.code(secret)).want(http.StatusSeeOther)
		if p.header.Get("Location") != factorPath || h.secret(id) != secret {
			t.Errorf("%s: a second one is set up", path)
		}
	}
	if n := h.count(`SELECT count(*) FROM audit_log WHERE action = 'second_factor.set' AND target_id = $1 AND actor_id = $1 AND address <> ''`, id); n != 1 {
		t.Errorf("%d entries in the audit log", n)
	}
	if n := h.count(`SELECT count(*) FROM second_factors WHERE position($1 in secret) > 0`, secret); n != 0 || strings.Contains(h.logged.String(), secret) {
		t.Error("the secret is stored or logged as it is")
	}
}

func TestSecondFactorIsTooLate(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id := h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	b := h.browser()
	b.signIn(userEmail, userPassword)
	b.post(factorPath, "current", userPassword).want(http.StatusOK)
	secret := h.secret(id)
	h.exec(`UPDATE second_factors SET created_at = now() - interval '15 minutes'`)
	b.post(factorPath+"/confirm", "code", h.code(secret)).want(http.StatusSeeOther)
	b.post("/signout")
	b.signIn(userEmail, userPassword)
	b.get("/admin/account").want(http.StatusOK)
}

func TestSecondFactorIsChangedWithPasswordAndCode(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id := h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	b := h.browser()
	b.signIn(userEmail, userPassword)
	secret, codes := b.setUp(userPassword)
	for _, path := range []string{factorPath + "/codes", factorPath + "/remove"} {
		b.post(path, "current", "a wrong password of length", "code", h.code(secret)).want(http.StatusUnprocessableEntity).
			says("#problem p", "The current password is incorrect. Try again.")
		for _, code := range []string{"", "000", "aaaa-bbbb-cccc-dddd-eeee-ffff", auth.TOTP(secret, time.Now().Add(time.Hour))} {
			b.post(path, "current", userPassword, "code", code).want(http.StatusUnprocessableEntity).
				says("#problem p", "That code is incorrect or was already used. Wait for the next code and try again.")
		}
	}
	other := h.browser()
	other.post("/signin", "email", userEmail, "password", userPassword)
	other.post("/signin/code", "code", codes[0]).want(http.StatusSeeOther)
	b.get("/admin/account").want(http.StatusOK)
	if !strings.Contains(b.get("/admin/account").body, "9 recovery codes") {
		t.Error("the used recovery code is counted")
	}
	p := b.post(factorPath+"/codes", "current", userPassword, "code", h.code(secret)).want(http.StatusOK).says("h1", "New recovery codes")
	fresh := strings.Split(p.text(".recovery code"), "|")
	other.get("/admin/account").want(http.StatusSeeOther)
	b.post(factorPath+"/remove", "current", userPassword, "code", codes[1]).want(http.StatusUnprocessableEntity)
	b.follow(b.post(factorPath+"/remove", "current", userPassword, "code", fresh[0])).says("[role=status]", "Two-factor authentication is off. You've been signed out on all other devices.")
	h.browser().signIn(userEmail, userPassword)
	b.get("/admin/account").want(http.StatusOK)
	if _, err := h.store.SecondFactorOf(t.Context(), id); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("it is still there: %v", err)
	}
	for _, path := range []string{"/codes", "/remove"} {
		b.post(factorPath+path, "current", userPassword, "code", fresh[1]).want(http.StatusSeeOther)
	}
	if n := h.count(`SELECT count(*) FROM audit_log WHERE target_id = $1 AND action IN ('second_factor.codes', 'second_factor.remove')`, id); n != 2 {
		t.Errorf("%d entries in the audit log", n)
	}
}

// TestAdministratorsNeedASecondFactor: until it is set up, all other pages are
// locked for them.
func TestAdministratorsNeedASecondFactor(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *web.Deps) { d.AdminsNeedFactor = true })
	b := h.admin()
	h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	user := h.browser()
	user.signIn(userEmail, userPassword)
	user.get("/admin/account").want(http.StatusOK) // other users do not need one
	for path, method := range map[string]string{
		"/admin/users": "GET", "/admin/account": "GET", "/admin/imports": "GET", "/admin/users/export.csv": "GET", "/admin/settings/tokens": "POST",
		"/admin/account/password": "POST", "/admin/users/import": "POST", factorPath + "/codes": "POST", factorPath + "/remove": "POST",
	} {
		if p := b.do(b.request(method, path, nil)).want(http.StatusSeeOther); p.header.Get("Location") != factorPath {
			t.Errorf("%s %s leads to %s", method, path, p.header.Get("Location"))
		}
	}
	p := b.get(factorPath).want(http.StatusOK)
	if len(p.find("nav a")) != 0 || len(p.find("form[action=/signout] button")) != 1 || len(p.find("a[href=/admin/account]")) != 0 {
		t.Errorf("the page leads elsewhere, or not out:\n%s", p.body)
	}
	b.post("/signout").want(http.StatusSeeOther)
	b.signIn(adminEmail, adminPassword)
	secret, codes := b.setUp(adminPassword)
	b.get("/admin/users").want(http.StatusOK)
	b.post(factorPath+"/remove", "current", adminPassword, "code", h.code(secret)).want(http.StatusSeeOther)
	if p := b.get("/admin/users").want(http.StatusSeeOther); p.header.Get("Location") != factorPath {
		t.Errorf("without one again: %s", p.header.Get("Location"))
	}
	b.post(factorPath+"/confirm", "code", codes[0]).want(http.StatusSeeOther)
	b.get("/admin/users").want(http.StatusSeeOther)
}

// TestAdministratorCannotRemoveAnothers: whatever is submitted, the panel only
// changes the user's own second factor.
func TestAdministratorCannotRemoveAnothers(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id := h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	user := h.browser()
	user.signIn(userEmail, userPassword)
	user.setUp(userPassword)
	b := h.admin()
	own, _ := b.setUp(adminPassword)
	for _, action := range []string{"remove-second-factor", "second-factor", "reset-second-factor"} {
		if p := b.post("/admin/users/change", "action", action, "user", id.String()); p.status < 400 {
			t.Errorf("%s: %d", action, p.status)
		}
	}
	b.post("/admin/users/change", "action", "end-sessions", "user", id.String()).want(http.StatusSeeOther)
	b.post(factorPath+"/remove", "current", adminPassword, "code", h.code(own), "user", id.String(), "id", id.String()).want(http.StatusSeeOther)
	if n := h.count(`SELECT count(*) FROM second_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL`, id); n != 1 {
		t.Error("another user's second factor is gone")
	}
	if n := h.count(`SELECT count(*) FROM second_factors`); n != 1 {
		t.Error("the own one is not")
	}
}
