package attack_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rollcall/test/programtest"
)

// TestFileWithoutHeaderNamesNobody: the first row of such a file is a person,
// whose data must not be in any message or event.
func TestFileWithoutHeaderNamesNobody(t *testing.T) {
	t.Parallel()
	events := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		events <- string(body)
	}))
	defer receiver.Close()
	h := install(t, "ROLLCALL_WEBHOOK_ALLOW_PRIVATE=127.0.0.0/8")
	a := h.upload(programtest.Token, "Jane Roe,jane.roe@example.com,Sales\nx,y,z\n", "webhook_url", receiver.URL)
	if a.status != 422 || !strings.Contains(a.body, "missing_column") || names(a.body) {
		t.Errorf("%d %s", a.status, a.body)
	}
	var problem struct {
		ImportID string `json:"import_id"`
	}
	a.read(t, &problem)
	for _, path := range []string{"", "/errors", "/errors.csv", "/errors.xlsx", "/events"} {
		if a := h.call(programtest.Token, "GET", importPath+"s/"+problem.ImportID+path, nil); names(a.body) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	select {
	case event := <-events:
		if !strings.Contains(event, "import.failed") || names(event) || strings.Contains(event, "users.csv") {
			t.Errorf("the event: %s", event)
		}
	case <-time.After(20 * time.Second):
		t.Error("no event came")
	}
	if row := query[string](h, `SELECT failure::text || warnings::text || COALESCE(header::text, '') FROM imports WHERE id = $1`, problem.ImportID); names(row) {
		t.Errorf("the database: %s", row)
	}
	if log := h.api.Output() + h.worker.Output(); names(log) {
		t.Errorf("a log names the person")
	}
}

func names(text string) bool { return strings.Contains(strings.ToLower(text), "roe") }

// TestMailboxIsNotBombed: an import, its undo and the import again mail one
// address at most three times, and a name that is a sentence is not in the
// greeting.
func TestMailboxIsNotBombed(t *testing.T) {
	t.Parallel()
	h := install(t)
	token := h.token("imports")
	sentence := "you have won a car, call us at once and tell us your password"
	for k := range 5 {
		i := h.imported(h.upload(token, "email,name\nvictim@example.com,"+fmt.Sprintf("%q", sentence)+"\n"))
		if k < 3 {
			h.eventually("a mail arrives", func() bool { return h.mailbox.Len() == k+1 })
		} else {
			time.Sleep(1500 * time.Millisecond)
		}
		if a := h.call(token, "POST", i.Links.Self+"/undo", nil); a.status != 200 && a.status != 202 {
			t.Fatalf("the undo answered %d: %s", a.status, a.body)
		}
		h.eventually("the undo removes the user", func() bool { return h.role("victim@example.com") == "" })
	}
	mails, err := h.mailbox.List(0)
	if err != nil || len(mails) != 3 {
		t.Errorf("%d mails (%v), want 3", len(mails), err)
	}
	for _, m := range mails {
		if strings.Contains(m.Text, "won a car") || strings.Contains(m.HTML, "won a car") {
			t.Error("the mail carries the sentence")
		}
	}
}

// TestFormulasAreEscaped: in every report, in cells and after delimiters in
// them.
func TestFormulasAreEscaped(t *testing.T) {
	t.Parallel()
	h := install(t)
	file := "email,name,department\n" +
		"bad-one,\"x;=cmd|'/C calc'!A0\",=1+1\n" +
		"bad-two,\"x\t+1|-1\",\"a\n@SUM(A1)\"\n" +
		"\"=HYPERLINK(1)\",Name,Sales\n"
	i := h.imported(h.upload(programtest.Token, file))
	for _, report := range []string{"/errors.csv", "/results.csv"} {
		text := h.call(programtest.Token, "GET", i.Links.Self+report, nil).body
		for _, split := range []string{",", ";", "\t", "|"} {
			for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
				for cell := range strings.SplitSeq(strings.TrimRight(line, "\r\n"), split) {
					if cell = strings.TrimLeft(cell, "\" "); cell != "" && strings.ContainsAny(cell[:1], "=+-@") {
						t.Errorf("%s, split at %q: %q", report, split, cell)
					}
				}
			}
		}
	}
}

// TestErasureLeavesOthers: erasing a person removes no rows of anyone else, not
// even of a person whose address contains theirs, and finds both forms of a
// domain.
func TestErasureLeavesOthers(t *testing.T) {
	t.Parallel()
	h := install(t)
	file := "email,name\nann@b\u00fccher.example,Ann Bee\njoann@b\u00fccher.example,Jo Ann\nann@b\u00fccher.example.org,Ann Org\nbroken@,Broken Row\n"
	i := h.imported(h.upload(programtest.Token, file, "send_invitations", "false"))
	if a := h.call(programtest.Token, "DELETE", "/api/admin/users/"+h.userID("ann@xn--bcher-kva.example"), nil); a.status != 200 {
		t.Fatalf("the erasure answered %d: %s", a.status, a.body)
	}
	left := h.call(programtest.Token, "GET", i.Links.Self+"/file", nil)
	if want := "email,name\n*******************,*** ***\n" + file[strings.Index(file, "joann"):]; left.body != want {
		t.Errorf("the file is %q, want %q", left.body, want)
	}
	if a := h.call(programtest.Token, "GET", i.Links.Self+"/errors", nil); !strings.Contains(a.body, "broken@") {
		t.Errorf("the errors of others: %s", a.body)
	}
	if h.userID("joann@b\u00fccher.example") == "" || h.userID("ann@b\u00fccher.example.org") == "" {
		t.Error("another person was erased")
	}
}

// TestMailTestScansNoPorts: a test of mail settings reveals neither by its text
// nor by its timing whether a port is closed or open for something else.
func TestMailTestScansNoPorts(t *testing.T) {
	t.Parallel()
	h := install(t)
	listen := func(banner string) int {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, banner)
				t.Cleanup(func() { conn.Close() })
			}
		}()
		return listener.Addr().(*net.TCPAddr).Port
	}
	type outcome struct {
		name, body string
		took       time.Duration
	}
	ports := map[string]int{"closed": 1, "silent": listen(""), "SSH": listen("SSH-2.0-OpenSSH_9.9\r\n")}
	outcomes := make(chan outcome, len(ports))
	for name, port := range ports {
		go func() {
			began := time.Now()
			a := h.call(programtest.Token, "POST", "/api/admin/settings/email/test", map[string]any{"to": "a@example.com", "settings": map[string]any{
				"host": "127.0.0.1", "port": port, "security": "none", "from": "a@example.com"}})
			outcomes <- outcome{name, fmt.Sprint(a.status, " ", a.body), time.Since(began)}
		}()
	}
	first := <-outcomes
	if !strings.HasPrefix(first.body, "200") {
		t.Errorf("%+v", first)
	}
	for range len(ports) - 1 {
		if o := <-outcomes; o.body != first.body || (o.took-first.took).Abs() > 2*time.Second {
			t.Errorf("%+v, but %+v", o, first)
		}
	}
}
