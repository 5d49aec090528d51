package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestEmailMeWhenItIsDone: the tick of the wizard names the address of the one who
// confirms, is on for large files only, and is remembered with the import.
func TestEmailMeWhenItIsDone(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	b := h.admin()
	told := func(location string) (n int) {
		t.Helper()
		id := location[strings.LastIndex(location, "/")+1:]
		if err := h.store.DB().QueryRow(`SELECT (SELECT count(*) FROM notices WHERE kind = 'import_ended' AND email = $2) + (SELECT count(*) FROM imports WHERE id = $1 AND $2 = ANY (notify))`, id, adminEmail).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for n, tick := range []string{"", "true"} {
		location := b.upload("people.csv", fmt.Sprintf("email,name\nzoe%d@example.com,Zoe\n", n), "dry_run", "true").header.Get("Location")
		p := b.get(location).want(http.StatusOK).mentions("#confirm", "Email me when it's done").mentions("#confirm", adminEmail)
		if ticked(p) {
			t.Error("ticked for one row")
		}
		h.exec(`UPDATE imports SET valid = 300001, total = 300001, checked = 300001 WHERE status = 'ready'`)
		if !ticked(b.get(location)) {
			t.Error("not ticked for many rows")
		}
		h.exec(`UPDATE imports SET valid = 1, total = 1, checked = 1 WHERE status = 'ready'`)
		b.follow(b.post(location+"/confirm", "notify", tick))
		if got := told(location); got != n {
			t.Errorf("tick %q: told %d times", tick, got)
		}
	}
}

// ticked reports whether the box is.
func ticked(p page) bool {
	for _, n := range p.find("input[name=notify]") {
		for _, a := range n.Attr {
			if a.Key == "checked" {
				return true
			}
		}
	}
	return false
}

// TestRemindersAreShown with the user and the import.
func TestRemindersAreShown(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	b := h.admin()
	location := b.upload("people.csv", "email,name\nzoe@example.com,Zoe\n", "dry_run", "true").header.Get("Location")
	b.follow(b.post(location + "/confirm"))
	h.exec(`UPDATE invitations SET status = 'sent', sent_at = now() - interval '2 days', expires_at = now() + interval '1 day', reminders = 2, reminded_at = now() - interval '3 hours'`)
	h.exec(`UPDATE imports SET invites_reminders = 1234`)
	b.get(location).want(http.StatusOK).mentions("[aria-labelledby=invitations]", "Reminders sent").says("[data-live=reminders]", "1,234")
	b.get("/admin/users/change?user="+h.id("zoe@example.com").String()).mentions("dl.facts", "2 reminders sent, the last")
}

// TestTokenNotices: who is told about the imports of a token, and when one is overdue.
func TestTokenNotices(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	b := h.admin()
	form := []string{"name", "nightly", "scope", "imports", "expires", "never", "notify_failures", "true", "expected", "daily", "notify"}
	b.post("/admin/settings/tokens", append(form, "hr@example.com, it@")...).want(http.StatusUnprocessableEntity).mentions("[role=alert]", "address 2 is not valid")
	b.post("/admin/settings/tokens", append(form, "hr@example.com, IT@example.com")...).want(http.StatusOK)
	b.get("/admin/settings/tokens").mentions("td[data-label=Permissions]", "notifies hr@example.com, it@example.com").
		mentions("td[data-label=Permissions]", "import expected every 26 hours").says("td[data-label=Status]", "Active")
	tokens, err := h.store.Tokens(t.Context())
	if err != nil || len(tokens) != 1 || !tokens[0].FailuresOnly || tokens[0].Every != 26*time.Hour {
		t.Fatalf("%+v, %v", tokens, err)
	}
	h.exec(`UPDATE api_tokens SET expected_from = now() - interval '27 hours'`)
	b.get("/admin/settings/tokens").mentions("td[data-label=Status]", "Import overdue")
}
