package web_test

import (
	"net/http"
	"strconv"
	"testing"

	"rollcall/test/browsertest"
)

// onboarded imports people of three departments, who have come differently far.
func onboarded(h *testEnv, b *browser) (id string) {
	h.Helper()
	b.importsAs("joiners.csv", "email,name,department\n"+
		"a@example.com,Ann,Sales\nb@example.com,Bea,sales\nc@example.com,Cem,Sales\nd@example.com,Dan,Parts & Counter\ne@example.com,Eve,\nf@example.com,Fay,\n")
	if err := h.store.DB().QueryRowContext(h.Context(), `SELECT id FROM imports`).Scan(&id); err != nil {
		h.Fatal(err)
	}
	for status, who := range map[string]string{
		"status = 'sent', sent_at = now() - interval '2 hours', expires_at = now() + interval '1 day'":    "('Ann', 'Bea')",
		"status = 'accepted', sent_at = now(), accepted_at = '2026-03-01 12:00Z'":                         "('Cem')",
		"status = 'failed', bounced_generation = generation, last_error = '550 5.1.1 no such user'":       "('Dan')",
		"status = 'sent', sent_at = now() - interval '2 hours', expires_at = now() - interval '1 minute'": "('Eve')",
		"status = 'failed', sent_at = NULL, last_error = '550 5.7.1 refused', due_at = now()":             "('Fay')",
	} {
		h.exec(`UPDATE invitations i SET ` + status + ` FROM users u WHERE u.id = i.user_id AND u.name IN ` + who)
	}
	h.exec(`UPDATE users SET status = 'active', password_hash = 'x' WHERE name = 'Cem'`)
	h.exec(`UPDATE imports SET invites_pending = 0, invites_sent = 3, invites_failed = 2, invites_accepted = 1`)
	return id
}

func TestOnboarding(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	b := h.admin()
	b.get("/admin/onboarding").want(http.StatusOK).says(".empty h2", "No one is invited yet")
	id := onboarded(h, b)
	all := b.get("/admin/onboarding?import=" + id).want(http.StatusOK)
	all.says(".sub a", "joiners.csv|Show everyone").
		says(".chart th[scope=row]", "Invited|Sent|Accepted|Waiting for a reply|Expired|Bounced|Not sent").
		says(".chart .count", "6|5|1|2|1|1|1").
		says(".chart .share", "100%|83%|17%|33%|17%|17%|17%").
		says(".departments th[scope=row]", "Sales|No department|Parts & Counter").
		says(".departments td[data-label=Invited]", "3|2|1").
		says(".departments td[data-label=Accepted]", "1 33%|0|0").
		says("details th[scope=row]", "Mar 1, 2026")

	// Each bar leads to the people behind it.
	numbers := all.find(".chart .count")
	for i, link := range all.find(".chart th a") {
		list := b.get(attribute(link, "href"))
		if got, want := len(list.find("tbody tr")), nodeText(numbers[i]); want != strconv.Itoa(got) {
			t.Errorf("%s leads to %d people, the chart says %s", attribute(link, "href"), got, want)
		}
	}
	for _, link := range all.find("details th a") {
		b.get(attribute(link, "href")).says("tbody .main-cell", "Cem").says("p.note", "Showing only users created by one import. Show all users|Showing only users who accepted their invitation on Mar 1, 2026 (UTC). Show all users")
	}
	b.get("/admin/onboarding?import="+id+"&department=SALES").says(".sub bdi", "joiners.csv|SALES").says(".chart .count", "3|3|1|2|0|0|0")
	b.get("/admin/onboarding?import="+id+"&no_department=1").says(".chart .count", "2|1|0|0|1|0|1")
	b.get("/admin/users?no_department=1&import="+id).says("tbody .main-cell", "Fay|Eve")
	b.get("/admin/onboarding?import=01920000-0000-7000-8000-000000000000").want(http.StatusNotFound)
}

// TestAcceptedOverTime: columns are days, weeks or four weeks, as many as fit.
func TestAcceptedOverTime(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	b := h.admin()
	b.importsAs("joiners.csv", "email,name,department\n"+
		"a@example.com,Ann,Days\nb@example.com,Bea,Days\nc@example.com,Cem,Weeks\nd@example.com,Dan,Weeks\ne@example.com,Eve,Years\nf@example.com,Fay,Years\n")
	for name, day := range map[string]string{
		"Ann": "2026-03-01", "Bea": "2026-03-03", "Cem": "2026-01-01", "Dan": "2026-04-01", "Eve": "2020-01-01", "Fay": "2026-01-01",
	} {
		h.exec(`UPDATE invitations i SET status = 'accepted', sent_at = now(), accepted_at = $2::date FROM users u WHERE u.id = i.user_id AND u.name = $1`, name, day)
	}
	for department, want := range map[string]struct{ each, when, sums string }{
		"Days":  {"Accepted per day", "Mar 1, 2026|Mar 3, 2026", "1|2"},
		"Weeks": {"Accepted per week", "Jan 1 – Jan 7, 2026|Mar 26 – Apr 1, 2026", "1|2"},
		"Years": {"Accepted per period of four weeks", "Earlier|Dec 5 – Jan 1, 2026", "1|2"},
	} {
		b.get("/admin/onboarding?department="+department).says("#accepted", want.each).
			says("details th[scope=row]", want.when).says("details .sum", want.sums)
	}
}

// TestRemind: those whose link works are reminded, once, with a confirmation.
func TestRemind(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	b := h.admin()
	id := onboarded(h, b)
	all := "/admin/users?import=" + id
	b.get("/admin/users").says(".head-actions a", "Export as CSV|Import Users")
	b.get(all+"&invitation=expired").says(".head-actions a", "Export as CSV|Import Users")
	b.get(all).says(".head-actions a", "Send reminders…|Export as CSV|Import Users")
	b.get("/admin/users/remind?import="+id).want(http.StatusOK).says("h1", "Remind 2 people?").says("button.primary", "Send reminders")
	b.follow(b.post("/admin/users/remind?import="+id)).want(http.StatusOK).says(".toast", "2 reminders queued.")
	if n := h.count(`SELECT count(*) FROM reminders r JOIN users u ON u.id = r.user_id WHERE requested AND u.name IN ('Ann', 'Bea')`); n != 2 {
		t.Errorf("%d reminders are queued", n)
	}
	b.get("/admin/users/remind?import="+id).says("h1", "No one to remind")
	b.follow(b.post("/admin/users/remind?import="+id)).says(".toast", "No reminders queued: no one here has a link that works, or all were reminded within the last hour.")
	b.get("/admin/audit").mentions("tbody", "sent reminders").mentions("tbody", "2 reminders")
	b.get("/admin/onboarding?import="+id).says(".live", "Reminders are going out. This page updates itself.")
}

// TestOnboardingInChromium goes from a bar to the people behind it, and reminds them;
// with and without scripts.
func TestOnboardingInChromium(t *testing.T) {
	t.Parallel()
	for name, scripts := range map[string]bool{"scripts": true, "none": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			id := onboarded(h, h.admin())
			c := browsertest.NewTab(t, h.url, scripts)
			c.Open("/signin")
			c.Enter("#email", adminEmail)
			c.Enter("#password", adminPassword)
			c.Press("button.primary", "table.list")
			c.Press("nav a[href='/admin/onboarding']", ".chart")
			c.CheckPage("onboarding")
			c.Press(".departments tbody tr:first-child th a", ".chart")
			c.CheckPage("onboarding-department")
			c.Press(".chart .stage-waiting th a", ".people")
			c.CheckPage("onboarding-people")
			c.Press(".head-actions a[href^='/admin/users/remind']", ".page-user-reminders form")
			c.CheckPage("remind")
			c.Press(".page-user-reminders button.primary", ".toast")
			c.CheckPage("reminded")
			c.Open("/admin/users/remind?invitation=sent")
			c.CheckPage("remind-nobody")
			c.Open("/admin/onboarding?import=" + id)
			if !scripts {
				return
			}
			c.Reads("#onboarding .live", "Reminders are going out. This page updates itself.")
			h.exec(`DELETE FROM reminders`)
			h.exec(`UPDATE invitations i SET status = 'accepted', accepted_at = now() FROM users u WHERE u.id = i.user_id AND u.name = 'Ann'`)
			c.Awaits(".chart .stage-accepted .count", "2")
			c.CheckPage("onboarding-updated")
		})
	}
}
