package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/test/programtest"
)

const people = "email,name,role,department\n" +
	"jsmith@example.com,John Smith,user,Engineering\n" +
	"bwilson@example.com,Barbara Wilson,admin,Operations\n" +
	"not-an-address,Nobody,user,\n" +
	"JSMITH@example.com,John Again,user,\n" +
	"mgarcia@example.com,Maria Garcia,user,Marketing\n"

// TestDocumentedCall is an ordinary import from start to end: the documented
// curl, its response, the mails, and each link used once.
func TestDocumentedCall(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, smallRedis(t))
	h.startAPI()
	h.startWorker()
	i := h.documentedCall()
	if i.Status != "completed" || i.Imported != 3 || i.Failed != 2 || len(i.Errors) != 2 {
		t.Fatalf("%+v", i)
	}
	if e := i.Errors[0]; e.Row != 4 || e.Reason != "invalid_email" || e.Email != "not-an-address" {
		t.Errorf("first error %+v", e)
	}
	if e := i.Errors[1]; e.Row != 5 || e.Reason != "duplicate_email" || !strings.Contains(e.Message, "row 2") {
		t.Errorf("second error %+v", e)
	}
	i = h.until(i.ID, 20*time.Second, mailed)
	if i.Invitations.Sent != 3 {
		t.Fatalf("%+v", i.Invitations)
	}
	h.acceptAll(3)
	if i = h.until(i.ID, 5*time.Second, mailed); i.Invitations.Accepted != 3 || i.Invitations.Sent != 0 {
		t.Errorf("after everybody accepted: %+v", i.Invitations)
	}
	var users struct {
		Items []struct{ Email, Status string }
	}
	h.ask("GET", "/api/admin/users?status=active", nil).read(&users)
	if len(users.Items) != 3 {
		t.Errorf("%d active users, want 3", len(users.Items))
	}
}

// documentedCall runs the curl command of the documentation; without curl, it
// sends the same request.
func (h *testEnv) documentedCall() (i imported) {
	h.Helper()
	if _, err := exec.LookPath("curl"); err != nil && os.Getenv("ROLLCALL_REQUIRE_ALL") != "1" {
		a := h.post(people, nil)
		if a.status != 200 {
			h.Fatalf("the documented call answered %d\n%s", a.status, a.body)
		}
		a.read(&i)
		return i
	}
	file := h.TempDir() + "/users.csv"
	if err := os.WriteFile(file, []byte(people), 0o600); err != nil {
		h.Fatal(err)
	}
	curl := exec.Command("curl", "-sS", "-w", "\n%{http_code}", "-X", "POST", h.url+"/api/admin/users/import",
		"-H", "Authorization: Bearer "+programtest.Token, "-H", "Content-Type: multipart/form-data", "-F", "file=@"+file)
	out, err := curl.CombinedOutput()
	if err != nil {
		h.Fatalf("%v\n%s", err, out)
	}
	text := strings.TrimSpace(string(out))
	cut := strings.LastIndexByte(text, '\n')
	if code := text[cut+1:]; code != "200" {
		h.Fatalf("the documented call answered %s\n%s", code, text[:cut])
	}
	answer{body: []byte(text[:cut])}.read(&i)
	return i
}

var invitePath = regexp.MustCompile(`/invite/[^\s"]+`)

// acceptAll opens every captured invitation and sets a password, twenty times
// at once: only one succeeds.
func (h *testEnv) acceptAll(n int) {
	h.Helper()
	mails, err := h.mailbox.List(0)
	if err != nil || len(mails) != n {
		h.Fatalf("%d mails (%v), want %d", len(mails), err, n)
	}
	for _, m := range mails {
		path := invitePath.FindString(m.Text)
		for range 3 { // viewing the page does not use up the link
			if a := h.ask("GET", path, nil); a.status != 200 {
				h.Fatalf("GET of a fresh link answered %d", a.status)
			}
		}
		var won, lost sync.Map
		var all sync.WaitGroup
		for k := range 20 {
			all.Go(func() {
				form := url.Values{"password": {fmt.Sprintf("a long and quiet evening %d", k)}}
				a, err := h.tryAsk("POST", path, strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded")
				switch {
				case err != nil:
					h.Error(err)
				case a.status == http.StatusOK || a.status == http.StatusSeeOther:
					won.Store(k, a)
				default:
					lost.Store(k, a)
				}
			})
		}
		all.Wait()
		if winners := size(&won); winners != 1 {
			lost.Range(func(k, a any) bool { h.Logf("%v: %d", k, a.(answer).status); return true })
			h.Errorf("%d of 20 simultaneous uses of one link set a password, want 1", winners)
		}
	}
}

func size(m *sync.Map) (n int) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}

// TestAsyncAndManyRows posts 100,000 rows, polls them to the end and looks at
// the worker's peak memory.
func TestAsyncAndManyRows(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, smallRedis(t))
	h.startAPI()
	worker := h.startWorker()
	const n = 100_000
	var file bytes.Buffer
	file.WriteString("email,name,role,department\n")
	for i := range n {
		switch {
		case i%1000 == 7:
			fmt.Fprintf(&file, "broken%d,Person %d,user,Sales\n", i, i)
		default:
			fmt.Fprintf(&file, "person%d@example.com,Person %d,user,Sales\n", i, i)
		}
	}
	a := h.post(file.String(), []string{"Prefer", "respond-async"}, "send_invitations", "false")
	if a.status != 202 || a.header.Get("Location") == "" || a.header.Get("Retry-After") == "" || a.header.Get("Preference-Applied") != "respond-async" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	var before imported
	a.read(&before)
	i := h.until(before.ID, 2*time.Minute, func(i imported) bool {
		if i.Checked < before.Checked || i.Valid < before.Valid || i.Processed < before.Processed || i.Imported < before.Imported || i.Failed < before.Failed {
			t.Errorf("a count went back: %+v after %+v", i, before)
		}
		before = i
		return ended(i)
	})
	if *i.Total != n || i.Imported != n-100 || i.Failed != 100 || i.Processed != n || i.Invitations.Held != n-100 {
		t.Fatalf("%+v", i)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", worker.Process.Pid))
	if err != nil {
		t.Logf("peak memory not measured: %v", err) // not Linux
		return
	}
	var peak int
	fmt.Sscanf(regexp.MustCompile(`VmHWM:\s+(\d+)`).FindStringSubmatch(string(status))[1], "%d", &peak)
	if peak > 100_000 {
		t.Errorf("the worker's memory peaked at %d kB, want under 100 MB", peak)
	}
	t.Logf("worker peak %d kB", peak)
}

// TestCorrectedReportGoesIn: the error report is corrected cell by cell and
// uploaded again.
func TestCorrectedReportGoesIn(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, smallRedis(t))
	h.startAPI()
	h.startWorker()
	var first, second imported
	h.post(people, nil).read(&first)
	report := h.ask("GET", "/api/admin/users/imports/"+first.ID+"/errors.csv", nil)
	corrected := strings.NewReplacer("not-an-address", "nobody@example.com", "JSMITH@example.com", "john.again@example.com").Replace(string(report.body))
	h.post(corrected, nil).read(&second)
	if second.Imported != 2 || second.Failed != 0 || second.Status != "completed" {
		t.Fatalf("%+v\n%s", second, corrected)
	}
	var again imported
	h.post(people, nil).read(&again)
	if again.Imported != 0 || again.Failed != 5 {
		t.Fatalf("the same file again: %+v", again)
	}
}

// TestDryRunConfirm: a dry run writes nothing, and confirming it imports
// exactly what was checked.
func TestDryRunConfirm(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, smallRedis(t))
	h.startAPI()
	h.startWorker()
	var dry imported
	if a := h.post(people, nil, "dry_run", "true"); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	} else {
		a.read(&dry)
	}
	if dry.Status != "ready" || !dry.DryRun || dry.Valid != 3 || dry.Failed != 2 || *dry.Total != 5 || dry.Checked != 5 || dry.Processed != 0 {
		t.Fatalf("%+v", dry)
	}
	if users := h.ask("GET", "/api/admin/users", nil); !bytes.Contains(users.body, []byte(`"items":[]`)) {
		t.Fatalf("a dry run wrote users: %s", users.body)
	}
	if a := h.ask("POST", "/api/admin/users/imports/"+dry.ID+"/confirm", nil); a.status/100 != 2 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	i := h.until(dry.ID, 20*time.Second, ended)
	if i.Imported != 3 || i.Failed != 2 || i.DryRun {
		t.Fatalf("%+v", i)
	}
	if a := h.ask("POST", "/api/admin/users/imports/"+dry.ID+"/confirm", nil); a.status != 409 {
		t.Errorf("confirming twice answered %d", a.status)
	}
}
