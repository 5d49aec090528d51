package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgtest"
	"rollcall/web"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.addUser(adminEmail, "Ada Admin", roster.RoleAdmin, adminPassword)
	h.addUser("invited@example.com", "Ina Invited", roster.RoleAdmin, "")
	h.addUser("disabled@example.com", "Dan Disabled", roster.RoleAdmin, adminPassword)
	h.exec(`UPDATE users SET status = 'disabled' WHERE email_key = 'disabled@example.com'`)

	tests := map[string]struct {
		email, password string
		status          int
	}{
		"right":                {adminEmail, adminPassword, http.StatusSeeOther},
		"address in upper":     {" ADMIN@example.COM ", adminPassword, http.StatusSeeOther},
		"wrong password":       {adminEmail, "three quiet herons walk", http.StatusUnauthorized},
		"no password":          {adminEmail, "", http.StatusUnauthorized},
		"unknown address":      {"nobody@example.com", adminPassword, http.StatusUnauthorized},
		"not an address":       {"nobody", adminPassword, http.StatusUnauthorized},
		"nothing":              {"", "", http.StatusUnauthorized},
		"invited, no password": {"invited@example.com", "", http.StatusUnauthorized},
		"invited":              {"invited@example.com", adminPassword, http.StatusUnauthorized},
		"disabled":             {"disabled@example.com", adminPassword, http.StatusUnauthorized},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := *h
			h.T = t
			b := h.browser()
			p := b.post("/signin", "email", test.email, "password", test.password).want(test.status)
			if test.status == http.StatusSeeOther {
				b.follow(p).want(http.StatusOK).says(".who-name", adminEmail)
				return
			}
			p.says("[role=alert]", "Incorrect email or password. Check both and try again.")
			if p.header.Get("Set-Cookie") != "" {
				t.Error("a refused sign-in sets a cookie")
			}
			b.get("/admin/users").want(http.StatusSeeOther)
		})
	}
}

// TestSignInTellsNothing compares the complete responses for an address that
// exists and one that does not.
func TestSignInTellsNothing(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.addUser("known@example.com", "Kim Known", roster.RoleUser, userPassword)
	b := h.browser()
	known := b.post("/signin", "email", "known@example.com", "password", "wrong")
	other := b.post("/signin", "email", "other@example.com", "password", "wrong")
	if known.status != other.status || strings.ReplaceAll(known.body, "known@", "other@") != other.body {
		t.Errorf("the answers differ:\n%s\n%s", known.body, other.body)
	}
}

func TestSignInLeadsBack(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.addUser(adminEmail, "Ada Admin", roster.RoleAdmin, adminPassword)
	for next, want := range map[string]string{
		"/admin/imports":               "/admin/imports",
		"/admin/users?q=a%26b&after=1": "/admin/users?q=a%26b&after=1",
		"":                             "/admin/users",
		"https://evil.example/admin/":  "/admin/users",
		"//evil.example/admin/":        "/admin/users",
		`/\evil.example/admin/`:        "/admin/users",
		`/admin/\evil.example`:         "/admin/users",
		"javascript:alert(1)":          "/admin/users",
		"/invite/abc":                  "/admin/users",
		"/admin/users\r\nX: y":         "/admin/users",
	} {
		b := h.browser()
		p := b.post("/signin", "email", adminEmail, "password", adminPassword, "next", next).want(http.StatusSeeOther)
		if got := p.header.Get("Location"); got != want {
			t.Errorf("next %q leads to %q, want %q", next, got, want)
		}
	}
	b := h.browser()
	p := b.get("/admin/imports?after=x").want(http.StatusSeeOther)
	form := b.follow(p).find("input[name=next]")
	if len(form) != 1 || attribute(form[0], "value") != "/admin/imports?after=x" {
		t.Errorf("the sign-in does not lead back: %v", p.header)
	}
}

func TestSessionCookie(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.addUser(adminEmail, "Ada Admin", roster.RoleAdmin, adminPassword)
	const rest = "; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax"
	b := h.browser()
	cookie := b.post("/signin", "email", adminEmail, "password", adminPassword).header.Get("Set-Cookie")
	if name, _, _ := strings.Cut(cookie, "="); name != "rollcall_session" || !strings.HasSuffix(cookie, rest) {
		t.Errorf("cookie over http: %q", cookie)
	}

	secure := newTestEnv(t, func(d *web.Deps) { d.PublicURL = "https://app.example.com" })
	secure.addUser(adminEmail, "Ada Admin", roster.RoleAdmin, adminPassword)
	p := secure.browser().post("/signin", "email", adminEmail, "password", adminPassword)
	cookie = p.header.Get("Set-Cookie")
	if name, _, _ := strings.Cut(cookie, "="); name != "__Host-rollcall" || !strings.HasSuffix(cookie, "; Path=/; Max-Age=86400; HttpOnly; Secure; SameSite=Lax") {
		t.Errorf("cookie over https: %q", cookie)
	}
}

func TestSessionEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(b *browser){
		"signed out":       func(b *browser) { b.post("/signout").want(http.StatusSeeOther) },
		"life is over":     func(b *browser) { b.exec(`UPDATE sessions SET expires_at = now()`) },
		"idle for 8 hours": func(b *browser) { b.exec(`UPDATE sessions SET last_seen_at = now() - interval '8 hours'`) },
		"user disabled":    func(b *browser) { b.exec(`UPDATE users SET status = 'disabled'`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newTestEnv(t).admin()
			secret := b.client.Jar.Cookies(b.request(http.MethodGet, "/", nil).URL)[0]
			b.get("/admin/users").want(http.StatusOK)
			end(b)
			// Send the old cookie: only the server's state counts.
			r := b.request(http.MethodGet, "/admin/users", nil)
			r.Header.Set("Cookie", secret.String())
			b.client.Jar = nil
			b.do(r).want(http.StatusSeeOther)
		})
	}
}

// TestSignInRotatesTheSession: a cookie that was planted or copied before is
// worthless after a sign-in.
func TestSignInRotatesTheSession(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	at := b.request(http.MethodGet, "/", nil).URL
	before := b.client.Jar.Cookies(at)[0]
	b.signIn(adminEmail, adminPassword)
	if after := b.client.Jar.Cookies(at)[0]; after.Value == before.Value {
		t.Error("the session kept its secret")
	}
	b.get("/admin/users").want(http.StatusOK)
	r := b.request(http.MethodGet, "/admin/users", nil, "Cookie", before.String())
	b.client.Jar = nil
	b.do(r).want(http.StatusSeeOther)
}

// TestSignInRenewsTheHash signs in with a password hashed with other cost
// parameters.
func TestSignInRenewsTheHash(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.addUser(adminEmail, "Ada Admin", roster.RoleAdmin, adminPassword)
	// argon2id, m=8, t=1, p=1, of "three quiet herons wade".
	const cheap = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$gr3ALVaDmrAGv2nvJGV0kvUxO8Qu5ojQW/1MxXjWGZo"
	h.exec(`UPDATE users SET password_hash = $1`, cheap)
	h.browser().signIn(adminEmail, adminPassword)
	var hash string
	if err := h.store.DB().QueryRowContext(t.Context(), `SELECT password_hash FROM users`).Scan(&hash); err != nil {
		t.Fatal(err)
	}
	if h.hasher.NeedsRehash(hash) {
		t.Errorf("the hash is still %s", hash)
	}
	h.browser().signIn(adminEmail, adminPassword)
}

// TestWhoMaySee requests every page as every kind of user.
func TestWhoMaySee(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	nobody, user, admin := h.browser(), h.browser(), h.admin()
	user.signIn(userEmail, userPassword)
	loc := admin.upload("a.csv", "email,name\na@example.com,A\n", "dry_run", "true").want(http.StatusSeeOther).header.Get("Location")
	tests := []struct {
		method, path string
		status       int // for administrators
	}{
		{"GET", "/admin/users/export.csv", 200}, {"GET", "/admin/users/change", 303}, {"POST", "/admin/users/change", 400},
		{"GET", "/admin/settings/email", 200}, {"POST", "/admin/settings/email", 422}, {"POST", "/admin/settings/email/test", 200},
		{"GET", "/admin/settings/tokens", 200}, {"POST", "/admin/settings/tokens", 422},
		{"POST", "/admin/settings/tokens/01920000-0000-7000-8000-000000000000/revoke", 404}, {"GET", "/admin/audit", 200},
		{"GET", "/admin/users/import", 200}, {"GET", "/admin/users/import/template.csv", 200}, {"GET", "/admin/users/import/template.xlsx", 200},
		{"GET", "/admin/imports", 200}, {"GET", loc, 200}, {"GET", loc + "/errors.csv", 200}, {"GET", loc + "/errors.xlsx", 200}, {"GET", loc + "/results.csv", 200},
		{"POST", loc + "/confirm", 303}, {"POST", loc + "/resend", 303}, {"POST", loc + "/cancel", 409},
		{"POST", "/admin/users/import", 415},
	}
	for _, test := range tests {
		nobody.do(nobody.request(test.method, test.path, nil)).want(http.StatusSeeOther)
		if test.method == "GET" {
			nobody.do(nobody.request("HEAD", test.path, nil)).want(http.StatusSeeOther)
		}
		user.do(user.request(test.method, test.path, nil)).want(http.StatusNotFound).says("h1", "Page not found")
	}
	for _, test := range tests {
		admin.do(admin.request(test.method, test.path, nil)).want(test.status)
		if test.method == "GET" {
			admin.do(admin.request("HEAD", test.path, nil)).want(test.status)
		}
	}
}

// TestOtherSitesChangeNothing sends what a browser sends on behalf of another
// site.
func TestOtherSitesChangeNothing(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"},
	} {
		for _, path := range []string{"/signout", "/signin", "/admin/users/import"} {
			b.do(b.request(http.MethodPost, path, nil, header...)).want(http.StatusForbidden).
				says("h1", "Request blocked")
		}
	}
	b.get("/admin/users", "Sec-Fetch-Site", "cross-site").want(http.StatusOK) // a link is fine
	b.do(b.request(http.MethodPost, "/signout", nil, "Origin", b.url)).want(http.StatusSeeOther)
}

// TestPublicOriginIsOurs posts through a proxy that changes the Host header.
func TestPublicOriginIsOurs(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *web.Deps) { d.PublicURL = "https://app.example.com" })
	b := h.browser()
	b.do(b.request(http.MethodPost, "/signout", nil, "Origin", "https://app.example.com")).want(http.StatusSeeOther)
}

func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	store, err := storage.Open("postgres://127.0.0.1:1/nothing", storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	h := newTestEnv(t, func(d *web.Deps) { d.Store = store })
	token := h.signer.InvitationToken(h.addUser("a@example.com", "A", roster.RoleUser, ""), 1)
	b := h.browser()
	for _, p := range []page{
		b.get("/invite/" + token),
		b.post("/invite/"+token, "password", "three quiet herons wade"),
		b.post("/signin", "email", adminEmail, "password", adminPassword),
	} {
		p.want(http.StatusServiceUnavailable).says("h1", "Temporarily unavailable")
		if p.header.Get("Retry-After") == "" || p.text("code") != p.header.Get("X-Request-Id") {
			t.Errorf("no Retry-After, or not the request's id: %v", p.header)
		}
	}
	log := h.logged.String()
	if !strings.Contains(log, "route=/invite/:token") || strings.Contains(log, token) || strings.Contains(log, adminEmail) {
		t.Errorf("the log names a token or an address, or no route:\n%s", log)
	}
}

// TestFaultShowsNothingOfItself causes a database error that is not in the
// error table.
func TestFaultShowsNothingOfItself(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	pgtest.AsOwner(t, b.database, `ALTER TABLE imports RENAME TO gone`)
	p := b.get("/admin/imports").want(http.StatusInternalServerError).says("h1", "Something went wrong")
	if strings.Contains(p.body, "pq:") || strings.Contains(p.body, "relation") {
		t.Errorf("the page tells of the fault:\n%s", p.body)
	}
	if id := p.text("code"); id == "" || !strings.Contains(b.logged.String(), "request_id="+id) {
		t.Errorf("the log does not have request %q", id)
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	for _, path := range []string{
		"/nothing", "/admin/nothing", "/admin/imports/x", "/admin/imports/01920000-0000-7000-8000-000000000000",
		"/admin/imports/01920000-0000-7000-8000-000000000000/errors.csv", "/dev/mail", "/assets/site.css",
	} {
		p := b.get(path).want(http.StatusNotFound).says("h1", "Page not found")
		if got := p.header.Get("Content-Type"); got != "text/html; charset=utf-8" {
			t.Errorf("%s is %s", path, got)
		}
	}
}

// TestAdminLeadsIn: short URLs lead to the first page a user may see.
func TestAdminLeadsIn(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	for _, path := range []string{"/", "/admin"} {
		if p := b.get(path).want(http.StatusSeeOther); p.header.Get("Location") != "/admin/users" {
			t.Errorf("%s leads to %s", path, p.header.Get("Location"))
		}
	}
}

func TestEveryPageIsHardened(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	for _, path := range []string{"/signin", "/invite/x", "/admin/users", "/nothing", "/"} {
		p := b.get(path)
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
			"X-Content-Type-Options":  "nosniff",
			"Cache-Control":           "no-store",
		} {
			if got := p.header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if p.header.Get("X-Request-Id") == "" {
			t.Errorf("%s: %v", path, p.header)
		}
		if strings.Trim(p.text("script"), "|") != "" || strings.Contains(p.body, "style=") || strings.Contains(p.body, "onclick") {
			t.Errorf("%s has inline script or style", path)
		}
	}
}

func TestStylesheetIsForever(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).browser()
	for _, link := range b.get("/signin").find("link") {
		p := b.get(attribute(link, "href")).want(http.StatusOK)
		if got := p.header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s: Cache-Control %q", attribute(link, "href"), got)
		}
		if got := p.header.Get("Content-Type"); got != "text/css; charset=utf-8" && got != "image/svg+xml" {
			t.Errorf("%s: Content-Type %q", attribute(link, "href"), got)
		}
	}
}

// TestRequestIDOfTheServerAround: an existing request id is kept.
func TestRequestIDOfTheServerAround(t *testing.T) {
	t.Parallel()
	site, err := web.New(web.Deps{Brand: "SecureAI", PublicURL: "http://localhost:8080"})
	if err != nil {
		t.Fatal(err)
	}
	router := gin.New()
	router.Use(func(c *gin.Context) { c.Header("X-Request-Id", "mine") })
	site.Register(router)
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/signin", nil))
	if got := w.Header().Values("X-Request-Id"); len(got) != 1 || got[0] != "mine" {
		t.Errorf("X-Request-Id is %q", got)
	}
}

func TestNewRefusesAPublicURLWithoutAHost(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "/path", "http://", "%"} {
		if _, err := web.New(web.Deps{PublicURL: url, InvitationTTL: time.Hour}); err == nil {
			t.Errorf("%q is accepted", url)
		}
	}
}
