package attack_test

import (
	"strings"
	"testing"

	"rollcall/test/programtest"
)

// TestImportsTokenMakesNoAdministrators: a token with the scope imports neither
// creates nor demotes administrators with a file.
func TestImportsTokenMakesNoAdministrators(t *testing.T) {
	t.Parallel()
	h := install(t)
	h.administrator("boss@example.com")
	h.administrator("second@example.com")
	token := h.token("imports")
	h.upload(token, "email,name,role\nevil@x.example,Eve,admin\nfine@x.example,Fine,user\n")
	if got := h.role("evil@x.example"); got == "admin" {
		t.Error("the scope imports made an administrator")
	}
	if h.role("fine@x.example") != "user" {
		t.Error("the other row is not in")
	}
	h.upload(token, "email,name,role\nboss@example.com,Boss,user\nsecond@example.com,Second,user\nfine@x.example,Fine,admin\n", "on_duplicate", "update")
	if h.role("boss@example.com") != "admin" || h.role("second@example.com") != "admin" || h.role("fine@x.example") == "admin" {
		t.Error("the scope imports changed the role of existing users")
	}
	h.upload(programtest.Token, "email,name,role\nright@x.example,Right,admin\n")
	if h.role("right@x.example") != "admin" {
		t.Error("the scope admin makes no administrator")
	}
}

// TestDemotionNeedsTheScopeAdmin: changing the role of an administrator needs
// it too, even if ROLLCALL_IMPORT_ADMINS lets the scope imports create new
// ones.
func TestDemotionNeedsTheScopeAdmin(t *testing.T) {
	t.Parallel()
	h := install(t, "ROLLCALL_IMPORT_ADMINS=imports")
	h.administrator("boss@example.com")
	h.administrator("second@example.com")
	h.upload(h.token("imports"), "email,name,role\nboss@example.com,Boss,user\nsecond@example.com,Second,user\n", "on_duplicate", "update")
	if h.role("boss@example.com") != "admin" || h.role("second@example.com") != "admin" {
		t.Error("the scope imports demoted an administrator")
	}
}

// TestOpenSessionIsNotEnough: a browser left signed in cannot change the mail
// server, create tokens or administrators, erase or export.
func TestOpenSessionIsNotEnough(t *testing.T) {
	t.Parallel()
	h := install(t)
	found := h.administrator("boss@example.com")
	h.upload(programtest.Token, people(2), "send_invitations", "false")
	id := h.userID("p0@example.com")
	h.leftOpen()

	found.form("/admin/settings/email", "host", "evil.example", "port", "25", "security", "none", "from", "a@example.com")
	if n := query[int](h, `SELECT count(*) FROM settings WHERE value::text LIKE '%evil%'`); n != 0 {
		t.Error("the mail server was changed")
	}
	found.form("/admin/settings/tokens", "name", "stolen", "scope", "admin", "scopes", "admin", "expires", "90d")
	if n := query[int](h, `SELECT count(*) FROM api_tokens`); n != 0 {
		t.Error("a token was made")
	}
	for _, action := range []string{"promote", "admin", "make-admin", "erase"} {
		found.form("/admin/users/change", "action", action, "ids", id, "id", id, "user", id, "sure", "1", "confirm", "1", "confirmed", "yes")
	}
	if h.role("p0@example.com") != "user" {
		t.Errorf("the user was promoted or erased: %q", h.role("p0@example.com"))
	}
	if a := found.do("GET", "/admin/users/export.csv", nil); strings.Contains(a.body, "p1@example.com") {
		t.Error("all users were exported")
	}
}

// TestTokensEndWithTheirMaker: the tokens of an administrator who is demoted or
// disabled stop working.
func TestTokensEndWithTheirMaker(t *testing.T) {
	t.Parallel()
	h := install(t)
	h.administrator("boss@example.com")
	maker := h.administrator("maker@example.com")
	page := maker.form("/admin/settings/tokens", "name", "mine", "scope", "admin", "scopes", "admin", "expires", "90d")
	token := ""
	for _, word := range strings.FieldsFunc(page.body, func(r rune) bool { return strings.ContainsRune("<>\"' \n", r) }) {
		if strings.HasPrefix(word, "rc_") || strings.HasPrefix(word, "rollcall_") {
			token = word
		}
	}
	if token == "" {
		t.Fatalf("no token on the page: %d", page.status)
	}
	if a := h.call(token, "GET", "/api/admin/users", nil); a.status != 200 {
		t.Fatalf("the token answered %d to begin with", a.status)
	}
	for what, change := range map[string][2]string{
		"demoted":  {`UPDATE users SET role = 'user' WHERE email_key = 'maker@example.com'`, `UPDATE users SET role = 'admin' WHERE email_key = 'maker@example.com'`},
		"disabled": {`UPDATE users SET status = 'disabled' WHERE email_key = 'maker@example.com'`, `UPDATE users SET status = 'active' WHERE email_key = 'maker@example.com'`},
	} {
		if _, err := h.db.Exec(change[0]); err != nil {
			t.Fatal(err)
		}
		h.eventually("the token of a maker who is "+what+" is refused", func() bool {
			return h.call(token, "GET", "/api/admin/users", nil).status == 401
		})
		if _, err := h.db.Exec(change[1]); err != nil {
			t.Fatal(err)
		}
	}
}
