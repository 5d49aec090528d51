package web_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestHeldImport goes from the upload of a file that is too short over the page
// that says why it is held, and the mail about it, to the approval.
func TestHeldImport(t *testing.T) {
	t.Parallel()
	office := newMailSink(t)
	h := newTestEnv(t, office.serves)
	b := h.admin()
	b.follow(b.upload("all.csv", "email,name\na@example.com,A\nb@example.com,B\nc@example.com,C\n", "send_invitations", "false")).
		says(".state h2", "3 users imported")
	const short = "email,name\na@example.com,Renamed\n"
	at := b.upload("short.csv", short, "on_duplicate", "update", "missing", "disable", "send_invitations", "false").want(http.StatusSeeOther)
	location := at.header.Get("Location")
	b.follow(at).says(".state h2", "This import is held").
		says(".tiles dt", "Rows in file|New users|To be updated|Unchanged|To be disabled|Failed rows").says(".tiles dd", "1|0|1|0|2|0").
		says("[aria-labelledby=rows] .strong", "B|C").says("#rows", "Users who will be disabled").
		says(".which a", "All rows 1|To be updated 1|To be disabled 2|Failed rows 0").says(".which [aria-current]", "To be disabled 2")
	b.get(location+"?show=update").says(".preview tbody .num", "2").says("#rows", "Rows")
	if disabled := h.count(`SELECT count(*) FROM users WHERE status = 'disabled' OR name = 'Renamed'`); disabled != 0 {
		t.Errorf("%d users changed while the import is held", disabled)
	}
	mails := office.next()
	if m := mails[0]; m.To != adminEmail || !strings.Contains(strings.ReplaceAll(m.Data, "=\r\n", ""), location) {
		t.Errorf("mail to %s: %s", m.To, m.Data)
	}
	b.post(location+"/confirm", "allow_disable", "1").want(http.StatusUnprocessableEntity).
		says("[role=alert]", "Nothing was imported. To approve, enter the number of users who will be disabled: 2.")
	b.follow(b.post(location+"/confirm", "allow_disable", "2")).says(".state h2", "0 users imported, 1 updated, 2 disabled")
	b.follow(b.post(location + "/undo"))
	if restored := h.count(`SELECT count(*) FROM users WHERE status = 'invited' AND name IN ('A', 'B', 'C')`); restored != 3 {
		t.Errorf("%d users are as before", restored)
	}
}
