package web_test

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"rollcall/roster"
)

// TestUsersWithoutTheRole opens the users page as a user who may not see the
// others.
func TestUsersWithoutTheRole(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.admin()
	h.addUser(userEmail, "Uma User", roster.RoleUser, userPassword)
	b := h.browser()
	b.signIn(userEmail, userPassword)
	p := b.get("/admin/users?q=ada").want(http.StatusOK).says("button.primary[disabled]", "Import Users").
		says("#why", "You need the admin role to import users. Ask an administrator for access.").says("nav a", "Users")
	if strings.Contains(p.body, "Ada Admin") || strings.Contains(p.body, adminEmail) || len(p.find("a[href=/admin/users/import]")) != 0 {
		t.Errorf("the page shows what it may not:\n%s", p.body)
	}
}

func TestUsersFilters(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	b.upload("a.csv", "email,name,role,department\nzoe@example.com,Zoe,admin,Research\nbob@example.com,bob,,Sales & More\nCarl@Example.com,Carl,,Research\n",
		"send_invitations", "false")
	b.exec(`UPDATE invitations SET status = 'failed', last_error = '550 no such user' WHERE user_id = (SELECT id FROM users WHERE email_key = 'bob@example.com')`)
	for query, want := range map[string]string{
		"":                             "Carl|bob|Zoe|Ada Admin",
		"?sort=-added":                 "Ada Admin|Zoe|bob|Carl",
		"?sort=name":                   "Ada Admin|bob|Carl|Zoe",
		"?sort=-name":                  "Zoe|Carl|bob|Ada Admin",
		"?sort=email":                  "Ada Admin|bob|Carl|Zoe",
		"?sort=nonsense":               "Carl|bob|Zoe|Ada Admin",
		"?role=admin":                  "Zoe|Ada Admin",
		"?role=admin&status=invited":   "Zoe",
		"?department=Research":         "Carl|Zoe",
		"?department=Sales+%26+More":   "bob",
		"?department=research":         "Carl|Zoe",
		"?department=Sales":            "",
		"?invitation=failed":           "bob",
		"?invitation=held&sort=-email": "Zoe|Carl",
		"?invitation=nonsense":         "Carl|bob|Zoe|Ada Admin",
	} {
		b.get("/admin/users"+query).want(http.StatusOK).says("tbody .strong", want)
	}
	b.get("/admin/users?role=admin").says(".head .sub", "2 users match")
	b.get("/admin/users").says(".head .sub", "4 users").says(".said", "550 no such user")
	offered := b.get("/admin/users").find("#departments option")
	if len(offered) != 2 || attribute(offered[0], "value") != "Research" || attribute(offered[1], "value") != "Sales & More" {
		t.Errorf("%d departments are offered, want 2, the larger one first", len(offered))
	}
	p := b.get("/admin/users?department=Research&sort=-name")
	if th := p.find("th[aria-sort=descending] a"); len(th) != 1 || attribute(th[0], "href") != "/admin/users?department=Research&sort=name" {
		t.Errorf("the heading does not turn the order round: %s", p.text("th[aria-sort]"))
	}
}

// TestUsersSortedPages walks the pages of every order: no user is repeated or
// missing, even if many share a value.
func TestUsersSortedPages(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	b.imports(people(130))
	for _, order := range []string{"", "-added", "name", "-name", "email", "-department", "role", "-status"} {
		var all []string
		for path := "/admin/users?sort=" + order; path != ""; {
			p := b.get(path).want(http.StatusOK)
			all = append(all, strings.Split(p.text("tbody .mail-cell"), "|")...)
			path = ""
			if next := p.find(".pager a[rel=next]"); len(next) == 1 {
				path = attribute(next[0], "href")
			}
		}
		slices.Sort(all)
		if len(all) != 118 || len(slices.Compact(all)) != 118 {
			t.Errorf("order %q shows %d users, %d different ones", order, len(all), len(slices.Compact(all)))
		}
	}
}

func TestUsersExport(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	b.upload("a.csv", "email,name,role,department\nzoe@example.com,=1+1,admin,Research\nbob@example.com,\"Bob, \"\"B\"\"\",,Sales\n")
	p := b.get("/admin/users/export.csv?department=Research").want(http.StatusOK)
	if got := p.header.Get("Content-Disposition"); got != "attachment; filename=users.csv" {
		t.Errorf("Content-Disposition %q", got)
	}
	body, marked := strings.CutPrefix(p.body, "\ufeff")
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || !marked || len(rows) != 2 {
		t.Fatalf("%v %q", err, p.body)
	}
	if got := rows[1][:6]; !slices.Equal(got, []string{"zoe@example.com", "'=1+1", "admin", "Research", "invited", "pending"}) {
		t.Errorf("row %q", got)
	}
	b.get("/admin/audit?action=user.").says("tbody td[data-label=Action] span", "exported users|created a user|with the role admin")
}

// id finds a user's id by address.
func (h *testEnv) id(email string) uuid.UUID {
	h.Helper()
	var id uuid.UUID
	if err := h.store.DB().QueryRowContext(h.Context(), `SELECT id FROM users WHERE email_key = $1`, email).Scan(&id); err != nil {
		h.Fatal(err)
	}
	return id
}

func TestUserChanges(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	b.addUser("zoe@example.com", "Zoe", roster.RoleUser, "")
	b.addUser("bob@example.com", "Bob", roster.RoleUser, userPassword)
	zoe, bob := b.id("zoe@example.com").String(), b.id("bob@example.com").String()
	steps := []struct {
		action, user string
		question     string // of the page that asks
		done         string // on the list
		state        string // of the user's row
	}{
		{"revoke", zoe, "Revoke invitation?", "1 user: invitation revoked. Resend invitation…", "Invited Invitation revoked"},
		{"resend", zoe, "Resend invitation?", "1 user: invitation queued.", "Invited Invitation queued"},
		{"disable", zoe, "Disable user?", "1 user disabled. Enable…", "Disabled Invitation revoked"},
		{"enable", zoe, "Enable user?", "1 user enabled. Disable…", "Invited Invitation revoked"},
		{"make-admin", bob, "Make administrator?", "1 user: made administrator. Remove admin role…", "Active"},
		{"make-user", bob, "Remove admin role?", "1 user: admin role removed. Make administrator…", "Active"},
		{"disable", bob, "Disable user?", "1 user disabled. Enable…", "Disabled"},
		{"enable", bob, "Enable user?", "1 user enabled. Disable…", "Active"},
	}
	for _, step := range steps {
		q := url.Values{"user": {step.user}, "action": {step.action}, "back": {"/admin/users?sort=name"}}
		b.get("/admin/users/change?"+q.Encode()).want(http.StatusOK).says("h1", step.question)
		p := b.post("/admin/users/change", "action", step.action, "user", step.user, "back", "/admin/users?sort=name").want(http.StatusSeeOther)
		b.follow(p).want(http.StatusOK).says(".toast", step.done).says("tbody .main-cell", "Ada Admin|Bob|Zoe")
		name := map[string]string{zoe: "zoe", bob: "bob"}[step.user]
		row := b.get("/admin/users?q=" + name + "%40").text("td[data-label=Status]")
		if row, _, _ = strings.Cut(row, ","); row != step.state {
			t.Errorf("after %s of %s: %q, want %q", step.action, name, row, step.state)
		}
	}
	b.get("/admin/audit?target="+bob).
		says("tbody td[data-label=Action] .under", "status from disabled to active|status from active to disabled|role from admin to user|role from user to admin|with the role user")
}

func TestUserChangesOfMany(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	b.imports(people(20))
	b.get("/admin/users/change").want(http.StatusSeeOther)
	b.follow(b.get("/admin/users/change?back=/admin/users?q=person")).says(".toast", "Select one or more users first.").says(".head .sub", "18 users match")
	p := b.get("/admin/users?q=person")
	query := url.Values{}
	for _, box := range p.find("input[name=user]") {
		query.Add("user", attribute(box, "value"))
	}
	query.Add("user", b.id(adminEmail).String())
	b.get("/admin/users/change?"+query.Encode()).want(http.StatusOK).says("h1", "19 users").
		says(".actions a", "Resend invitation|Revoke invitation|Make administrator|Remove admin role|Sign out everywhere|Disable")
	query.Set("action", "make-admin")
	p = b.get("/admin/users/change?"+query.Encode()).says(".actions button", "Make administrator: 18 users").
		says("p.note", "No change needed for: Ada Admin.")
	query.Set("action", "disable")
	b.get("/admin/users/change?"+query.Encode()).says("h1", "Disable 19 users?").says(".actions button", "Disable 19 users")
	fields := []string{"action", "make-admin"}
	for _, user := range p.find("form[action=/admin/users/change] input[name=user]") {
		fields = append(fields, "user", attribute(user, "value"))
	}
	b.follow(b.post("/admin/users/change", fields...)).says(".toast", "18 users: made administrator. Remove admin role…")
	b.get("/admin/users?role=admin").says(".head .sub", "19 users match")
}

// TestUserIsErased: erasing asks first and leaves no data behind.
func TestUserIsErased(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	b.addUser("zoe@example.com", "Zoe", roster.RoleUser, "")
	zoe, me := b.id("zoe@example.com").String(), b.id(adminEmail).String()
	b.get("/admin/users/change?action=erase&user="+zoe).want(http.StatusOK).says("h1", "Erase user?")
	b.post("/admin/users/change", "action", "erase", "user", me, "user", zoe).want(http.StatusBadRequest) // one at a time
	b.post("/admin/users/change", "action", "erase", "user", me).want(http.StatusConflict).
		says("[role=alert] li", "Ada Admin: This is the last active administrator. Make another user an administrator first.")
	busy := b.upload("a.csv", "email,name\nzoe@example.com,Zoe\n", "dry_run", "true").want(http.StatusSeeOther).header.Get("Location")
	b.post("/admin/users/change", "action", "erase", "user", zoe).want(http.StatusConflict).
		says("[role=alert] li", "Zoe: An unfinished import contains this person and would create them again. Wait for it to finish, or cancel it.")
	b.post(busy + "/cancel").want(http.StatusSeeOther)
	b.follow(b.post("/admin/users/change", "action", "erase", "user", zoe)).says(".toast", "1 user erased.")
	b.get("/admin/users?q=zoe").says("tbody .main-cell", "")
	b.get("/admin/audit?target=" + zoe).want(http.StatusOK)
}

// TestLastAdminStays: the last administrator cannot be removed.
func TestLastAdminStays(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	b.addUser("zoe@example.com", "Zoe", roster.RoleAdmin, "") // has no password yet, so she does not count
	me, zoe := b.id(adminEmail).String(), b.id("zoe@example.com").String()
	const reason = "This is the last active administrator. Make another user an administrator first."
	b.get("/admin/users/change?user="+me).says(".actions button[disabled]", "Remove admin role|Disable|Erase").says("#blocked", reason)
	if p := b.get("/admin/users/change?action=disable&user="+me).says("p.note.warn", reason); len(p.find("form[action='/admin/users/change']")) > 0 {
		t.Error("the last administrator can be asked to be disabled")
	}
	b.get("/admin/users/change?user="+zoe).says(".actions button[disabled]", "")
	b.get("/admin/users/change?action=disable&user="+me+"&user="+zoe).says("p.note.warn", "This includes your own account.")
	for _, action := range []string{"disable", "make-user"} {
		b.post("/admin/users/change", "action", action, "user", me, "user", zoe).want(http.StatusConflict).
			says("[role=alert] li", "Ada Admin: "+reason)
	}
	b.get("/admin/users?q=ada").want(http.StatusOK).says("tbody td[data-label=Status]", "Active").says("tbody .chip-admin", "Admin")
	b.get("/admin/users?q=zoe").says("tbody td[data-label=Role]", "User")
	b.post("/admin/users/change", "action", "explode", "user", zoe).want(http.StatusBadRequest)
	b.post("/admin/users/change", "action", "resend", "user", me).want(http.StatusConflict).
		says("[role=alert] li", "Ada Admin: This user has changed since the page was loaded. Reload the list and try again.")
}
