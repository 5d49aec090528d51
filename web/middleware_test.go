package web_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/auth"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web"
)

// TestHostHeaderIsNotBelieved requests links in mail like an attacker who wants
// them to lead to another server (password reset poisoning).
func TestHostHeaderIsNotBelieved(t *testing.T) {
	t.Parallel()
	office := newMailSink(t)
	h := newTestEnv(t, office.serves)
	h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	b := h.browser()
	r := b.request(http.MethodPost, "/forgot", strings.NewReader("email="+userEmail), "Content-Type", "application/x-www-form-urlencoded",
		"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "Forwarded", "host=evil.example")
	r.Host = "evil.example"
	if p := b.do(r).want(http.StatusOK); strings.Contains(p.body, "evil.example") {
		t.Error("the page repeats the host")
	}
	mails := office.next()
	text := strings.ReplaceAll(mails[0].Data, "=\r\n", "")
	if len(mails) != 1 || !strings.Contains(text, h.url+"/reset/") || strings.Contains(text, "evil.example") {
		t.Errorf("mail:\n%s", text)
	}
	r = b.request(http.MethodGet, "/admin/audit", nil)
	r.Host = "evil.example"
	if location := b.do(r).want(http.StatusSeeOther).header.Get("Location"); !strings.HasPrefix(location, "/signin") {
		t.Errorf("leads to %s", location)
	}
}

// TestLookingAtAResetConsumesNothing: mail scanners follow links.
func TestLookingAtAResetConsumesNothing(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id := h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	b := h.browser()
	link := "/reset/" + h.signer.ResetToken(id, 0, time.Now().Add(time.Hour))
	for range 3 {
		b.get(link).want(http.StatusOK)
		b.do(b.request(http.MethodHead, link, nil)).want(http.StatusOK)
	}
	p := b.post(link, "password", "nine loud herons wade").want(http.StatusSeeOther)
	if got := p.header.Get("Referrer-Policy"); got != "no-referrer" {
		t.Errorf("Referrer-Policy %q", got)
	}
	b.get(link).want(http.StatusGone)
	if strings.Contains(h.logged.String(), strings.TrimPrefix(link, "/reset/")) {
		t.Error("the token is in the log")
	}
}

func TestSignOutClearsTheBrowser(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	if got := b.post("/signout").want(http.StatusSeeOther).header.Get("Clear-Site-Data"); got != `"cache", "storage"` {
		t.Errorf("Clear-Site-Data %s", got)
	}
}

// TestRefusalsAreLogged: denied requests are logged, without what was typed.
func TestRefusalsAreLogged(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	b := h.browser()
	b.post("/signin", "email", userEmail, "password", "a wrong password of length")
	for range 12 {
		b.post("/signin", "email", "other@example.com", "password", "x")
	}
	b.do(b.request(http.MethodPost, "/signout", nil, "Origin", "https://evil.example")).want(http.StatusForbidden)
	b.signIn(userEmail, userPassword)
	b.get("/admin/audit").want(http.StatusNotFound)
	log := h.logged.String()
	for _, want := range []string{`msg="sign-in refused" client=127.0.0.1 route=/signin request_id=`, `msg="sign-in throttled" client=127.0.0.1 route=/signin`, `msg="page access denied" reason="request from another origin" client=127.0.0.1 route=/signout`, `msg="page access denied" reason="not allowed for the signed-in user" client=127.0.0.1 route=/admin/audit`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
	for _, secret := range []string{userEmail, "other@", "wrong password", "evil.example"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// TestSignInTakesAsLong measures refused sign-ins, in turns, for an address
// that exists, one that does not, and one that is only invited. The hash takes
// nearly all of the time: without it for one of them the medians would differ
// by a large factor.
//
// On a busy machine single times are unreliable, so the test counts in how many
// turns the known address took longer: by chance, it is at least all but one of
// 16 once in 4,000 runs, and it is a failure only if the medians also differ
// greatly.
func TestSignInTakesAsLong(t *testing.T) {
	t.Parallel()
	const turns = 16 // with three attempts each, within the limit of a network address
	asCostlyAsItIs := func(d *web.Deps) { d.Hasher = auth.NewHasher(auth.HasherConfig{}) }
	h := newTestEnv(t, asCostlyAsItIs)
	hash, err := h.hasher.Hash(t.Context(), userPassword)
	if err != nil {
		t.Fatal(err)
	}
	by := storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorSystem, Label: "test"}}
	for i := range turns {
		for kind, hash := range map[string]string{"known": hash, "guest": ""} {
			email := fmt.Sprintf("%s%d@example.com", kind, i)
			if _, err := h.store.CreateUser(t.Context(), storage.NewUser{Email: email, EmailKey: email, Name: "A", Role: roster.RoleUser, PasswordHash: hash}, time.Hour, by); err != nil {
				t.Fatal(err)
			}
		}
	}
	b := h.browser()
	times := map[string][]time.Duration{}
	for i := range turns {
		kinds := []string{"known", "nobody", "guest"}
		for k := range kinds { // in a changing order
			kind := kinds[(k+i)%len(kinds)]
			began := time.Now()
			b.post("/signin", "email", fmt.Sprintf("%s%d@example.com", kind, i), "password", "a wrong password of length").want(http.StatusUnauthorized)
			times[kind] = append(times[kind], time.Since(began))
		}
	}
	for _, other := range []string{"nobody", "guest"} {
		longer := 0
		for i := range turns {
			if times["known"][i] > times[other][i] {
				longer++
			}
		}
		known, unknown := median(times["known"]), median(times[other])
		t.Logf("known %v, %s %v; known longer in %d of %d", known, other, unknown, longer, turns)
		if ratio := float64(known) / float64(unknown); (longer < 2 || longer > turns-2) && (ratio < 0.6 || ratio > 1.6) {
			t.Errorf("a known address takes %v, %s %v", known, other, unknown)
		}
	}
}

func median(d []time.Duration) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[len(d)/2]
}

// TestPasswordFields: they are masked, and support password managers.
func TestPasswordFields(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id := h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	guest := h.addUser("guest@example.com", "Ina Invited", roster.RoleUser, "")
	b, other := h.browser(), h.browser()
	b.signIn(userEmail, userPassword)
	other.signIn(userEmail, userPassword) // a session to end, which requires the password
	for _, path := range []string{"/signin", "/admin/account", "/invite/" + h.signer.InvitationToken(guest, 1), "/reset/" + h.signer.ResetToken(id, 0, time.Now().Add(time.Hour))} {
		p := b.get(path).want(http.StatusOK)
		fields := slices.Concat(p.find("input[name=password]"), p.find("input[name=password_again]"), p.find("input[name=current]"))
		if len(fields) == 0 {
			t.Errorf("%s asks for no password", path[:8])
		}
		for _, f := range fields {
			if attribute(f, "type") != "password" || !strings.HasSuffix(attribute(f, "autocomplete"), "-password") || attribute(f, "onpaste") != "" {
				t.Errorf("%s: %+v", path[:8], f.Attr)
			}
		}
	}
}

// TestSignOutIsOnEveryPage: every page for signed-in users has a sign-out
// button.
func TestSignOutIsOnEveryPage(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	for _, path := range []string{"/admin/users", "/admin/imports", "/admin/users/import", "/admin/settings/email", "/admin/settings/tokens", "/admin/audit", "/admin/account"} {
		if len(b.get(path).want(http.StatusOK).find("form[action=/signout] button")) != 1 {
			t.Errorf("%s has no way out", path)
		}
	}
}
