package web_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/auth"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web"
)

// TestOtherCookiesAreWorthNoGuess: browsers with cookies from before the second
// factor was set up, of an earlier factor, or of a password reset, all count as
// unknown.
func TestOtherCookiesAreWorthNoGuess(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id := h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	owner := h.browser()
	before := []*browser{h.browser(), h.browser(), h.browser()}
	for _, b := range append(before, owner) {
		b.signIn(userEmail, userPassword)
	}
	owner.setUp(userPassword)
	earlier := h.browser() // has used a code of the factor that is replaced
	earlier.post("/signin", "email", userEmail, "password", userPassword).want(http.StatusSeeOther)
	earlier.post("/signin/code", "code", h.code(h.secret(id))).want(http.StatusSeeOther)
	owner.post(factorPath+"/remove", "current", userPassword, "code", h.code(h.secret(id))).want(http.StatusSeeOther)
	secret, _ := owner.setUp(userPassword)

	reset := h.browser()
	link := "/reset/" + h.signer.ResetToken(id, 0, time.Now().Add(time.Hour))
	p := reset.post(link, "password", otherPassword, "password_again", otherPassword).want(http.StatusSeeOther)
	if cookie := p.header.Get("Set-Cookie"); cookie != "" {
		t.Errorf("a reset hands out %q", cookie)
	}
	guesses := 0
	for _, b := range append(before, earlier, reset) {
		b.post("/signin", "email", userEmail, "password", otherPassword).want(http.StatusSeeOther)
		for range 10 {
			if b.post("/signin/code", "code", "000").status == http.StatusUnauthorized {
				guesses++
			}
		}
	}
	if guesses != 10 {
		t.Errorf("%d guesses, want 10", guesses)
	}
	owner.post("/signin", "email", userEmail, "password", otherPassword).want(http.StatusSeeOther)
	owner.post("/signin/code", "code", h.code(secret)).want(http.StatusSeeOther) // has a cookie of this factor
}

// TestCodesEndAtTheCap: then only a recovery code is accepted, in every
// browser.
func TestCodesEndAtTheCap(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	owner := h.browser()
	owner.signIn(userEmail, userPassword)
	secret, codes := owner.setUp(userPassword)
	h.exec(`UPDATE second_factors SET failed_codes = $1`, storage.MaxFailedCodes-1)
	owner.post("/signout")
	owner.post("/signin", "email", userEmail, "password", userPassword).want(http.StatusSeeOther)
	owner.post("/signin/code", "code", "000").want(http.StatusUnauthorized)
	for _, b := range []*browser{owner, h.pendingLogin()} {
		p := b.post("/signin/code", "code", h.code(secret)).want(http.StatusForbidden)
		if got := p.text("#problem p"); !strings.Contains(got, "Use a recovery code") {
			t.Errorf("at the cap: %q", got)
		}
	}
	owner.post("/signin/code", "code", codes[0]).want(http.StatusSeeOther)
	h.pendingLogin().post("/signin/code", "code", h.code(secret)).want(http.StatusSeeOther) // the count starts again
}

// TestOnePersonBlocksNoSignIns: a signed-in, and so known, user has passwords
// checked as fast as possible; all other users can still sign in.
func TestOnePersonBlocksNoSignIns(t *testing.T) {
	t.Parallel()
	hasher := auth.NewHasher(auth.HasherConfig{Concurrency: 1, Queue: 4, MemoryKiB: 16 << 10})
	h := newTestEnv(t, func(d *web.Deps) { d.Hasher = hasher })
	h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	h.addUser("else@example.com", "Elsa Else", roster.RoleUser, userPassword)
	attacker := h.browser()
	attacker.signIn(userEmail, userPassword)
	var flood sync.WaitGroup
	stop, flooding := make(chan struct{}), make(chan struct{}, 1000)
	for range 12 {
		flood.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				attacker.post("/signin", "email", userEmail, "password", userPassword)
				select {
				case flooding <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 20 {
		<-flooding
	}
	for range 5 {
		if p := h.browser().post("/signin", "email", "else@example.com", "password", userPassword); p.status != http.StatusSeeOther {
			t.Errorf("another user: %d", p.status)
		}
	}
	close(stop)
	flood.Wait()
	if n := h.count(`SELECT count(*) FROM sessions s JOIN users u ON u.id = s.user_id WHERE email = '` + userEmail + `'`); n > storage.MaxSessions+2 {
		t.Errorf("%d sessions of one account", n)
	}
}

// TestSecondFactorIsTold: administrators are notified by mail, and the list of
// users shows the change.
func TestSecondFactorIsTold(t *testing.T) {
	t.Parallel()
	office := newMailSink(t)
	h := newTestEnv(t, office.serves)
	admin := h.admin()
	h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	user := h.browser()
	user.signIn(userEmail, userPassword)
	admin.get("/admin/users?q=uma").want(http.StatusOK).says("td[data-label=Status]", "Active")
	user.setUp(userPassword)
	admin.get("/admin/users?q=uma").want(http.StatusOK).says("td[data-label=Status] .under", "Two-factor authentication on")
	office.next()
	told := map[string]string{}
	for _, m := range office.next() {
		told[m.To] = strings.ReplaceAll(m.Data, "=\r\n", "")
	}
	if len(told) != 2 || !strings.Contains(told[adminEmail], userEmail) || !strings.Contains(told[adminEmail], "turned on") || !strings.Contains(told[userEmail], "If this wasn't you") {
		t.Errorf("mails: %v", told)
	}
}
