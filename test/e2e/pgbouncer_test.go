//go:build unix

package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/test/pgbouncertest"
)

// TestPgBouncer: an installation behind a PgBouncer in transaction mode imports,
// mails and reports, with and without a way past it for notifications.
func TestPgBouncer(t *testing.T) {
	for name, past := range map[string]bool{"alone": false, "listening past it": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t, smallRedis(t))
			direct := h.variable("DATABASE_URL")
			h.env = append(h.env, "DATABASE_URL="+pgbouncertest.Start(t, direct, "transaction"))
			if out, code := h.rollcallCode("migrate"); code != 1 || !strings.Contains(out, "set DATABASE_LISTEN_URL") {
				t.Errorf("migrate through the pooler: exit code %d\n%s", code, out)
			}
			if past {
				h.env = append(h.env, "DATABASE_LISTEN_URL="+direct)
				h.rollcall("migrate")
			}
			h.startAPI()
			h.startWorker()
			h.startWorker()
			const rows = 3000
			var file bytes.Buffer
			file.WriteString("email,name,role,department\n")
			for i := range rows {
				fmt.Fprintf(&file, "person%d@example.com,Person %d,user,Sales\n", i, i)
			}
			file.WriteString("nobody,Person,user,Sales\n")
			a := h.post(file.String(), nil)
			var i imported
			a.read(&i)
			for end := time.Now().Add(time.Minute); i.Invitations.Sent < rows; time.Sleep(100 * time.Millisecond) {
				a = h.ask(http.MethodGet, "/api/admin/users/imports/"+i.ID, nil, "Prefer", "wait=1")
				if a.read(&i); time.Now().After(end) {
					t.Fatalf("after a minute: %s", a.body)
				}
			}
			if i.Status != "completed" || i.Imported != rows || i.Failed != 1 {
				t.Errorf("%s", a.body)
			}
			for _, report := range []string{"errors.csv", "results.csv", "file"} {
				if a := h.ask(http.MethodGet, "/api/admin/users/imports/"+i.ID+"/"+report, nil); a.status != 200 {
					t.Errorf("%s: %d %s", report, a.status, a.body)
				}
			}
		})
	}
}
