package web_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"rollcall/web"
)

// events reads the stream of an import.
type events struct {
	*testing.T
	lines *bufio.Scanner
}

func (b *browser) events(location string) (events, *http.Response) {
	b.Helper()
	res, err := b.client.Do(b.request(http.MethodGet, location+"/events", nil))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { res.Body.Close() })
	return events{b.T, bufio.NewScanner(res.Body)}, res
}

type told struct {
	Status    string
	Done, All int64
	Live      bool
	Texts     map[string]string
}

// next returns the next event; its name is "" at the end of the stream.
func (e events) next() (name string, data told) {
	e.Helper()
	for e.lines.Scan() {
		if text, ok := strings.CutPrefix(e.lines.Text(), "event: "); ok {
			name = text
		}
		if text, ok := strings.CutPrefix(e.lines.Text(), "data: "); ok {
			if err := json.Unmarshal([]byte(text), &data); err != nil {
				e.Fatal(err)
			}
			return name, data
		}
	}
	return "", told{}
}

func TestImportIsFollowed(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.worker.asleep.Store(true)
	b := h.admin()
	location := b.upload("people.csv", people(20)).header.Get("Location")
	stream, res := b.events(location)
	if got := res.Header.Get("Content-Type"); got != "text/event-stream" || res.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", res.StatusCode, got)
	}
	if name, data := stream.next(); name != "progress" || data.Status != "queued" || !data.Live {
		t.Errorf("first %s %+v", name, data)
	}
	h.exec(`UPDATE imports SET status = 'importing', started_at = now(), total = 5000, checked = 5000, valid = 5000, processed = 1234, imported = 1234`)
	if name, data := stream.next(); name != "progress" || data.Done != 1234 || data.All != 5000 || data.Texts["counted"] != "1,234 of 5,000 rows" {
		t.Errorf("then %s %+v", name, data)
	}
	h.exec(`UPDATE imports SET status = 'completed', finished_at = now(), processed = 5000, imported = 5000, invites_pending = 2`)
	if name, data := stream.next(); name != "progress" || data.Status != "completed" || !data.Live || data.Texts["pending"] != "2" {
		t.Errorf("while invitations are on their way %s %+v", name, data)
	}
	h.exec(`UPDATE imports SET invites_pending = 0, invites_sent = 2`)
	if name, data := stream.next(); name != "progress" || data.Live {
		t.Errorf("then %s %+v", name, data)
	}
	if name, data := stream.next(); name != "end" || data.Status != "completed" {
		t.Errorf("last %s %+v", name, data)
	}
	if name, _ := stream.next(); name != "" {
		t.Errorf("behind the end: %s", name)
	}

	p := b.get(location + "/progress").want(http.StatusOK)
	var once told
	if err := json.Unmarshal([]byte(p.body), &once); err != nil || once.Texts["imported"] != "5,000" {
		t.Errorf("asked once: %s (%v)", p.body, err)
	}
	b.browser().get(location + "/events").want(http.StatusSeeOther)
	b.get("/admin/imports/01920000-0000-7000-8000-000000000000/events").want(http.StatusNotFound)
}

func TestStreamEndsWithTheServer(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	h := newTestEnv(t, func(d *web.Deps) { d.Broadcaster.Stopping = stopping })
	h.worker.asleep.Store(true)
	b := h.admin()
	stream, _ := b.events(b.upload("people.csv", people(20)).header.Get("Location"))
	if name, _ := stream.next(); name != "progress" {
		t.Fatalf("first %q", name)
	}
	close(stopping)
	if name, _ := stream.next(); name != "" {
		t.Errorf("after the end of the server: %q", name)
	}
}

func TestUndo(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	location := b.upload("people.csv", people(9)).header.Get("Location")
	b.exec(`UPDATE users SET edits = 1 WHERE email = 'p3@example.com'`)
	b.get(location+"/undo").want(http.StatusOK).says(".danger", "Remove 8 users")
	b.get("/admin/users?q=person&status=invited").want(http.StatusOK)
	p := b.follow(b.post(location + "/undo"))
	if text := p.text(".state .note"); !strings.Contains(text, "8 users removed, 1 kept because this user had") {
		t.Errorf("the page says %q", text)
	}
	if len(p.find("a[href="+location+"/undo]")) != 0 {
		t.Error("an undo is offered twice")
	}
	p.says(".head .chip", "Partly undone").says(".state-completed h2", "9 users imported")
	b.get("/admin/users?q=person").says("tbody .strong", "Person 3")

	whole := b.upload("more.csv", "email,name\nx1@example.com,X\nx2@example.com,X\n").header.Get("Location")
	b.follow(b.post(whole+"/undo")).says(".head .chip", "Undone").says(".state-undone h2", "Import undone: 2 users removed")
	b.get(location + "/undo").want(http.StatusConflict)

	dry := b.upload("people.csv", people(9), "dry_run", "true").header.Get("Location")
	b.get(dry + "/undo").want(http.StatusConflict)
	b.post(dry + "/undo").want(http.StatusConflict)
}

func TestFailedRowsByReason(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	location := b.upload("bad.csv", "email,name,role\n"+strings.Repeat("x,Y,\n", 30)+"a@example.com,,\nb@example.com,B,king\n").header.Get("Location")
	b.get(location).says("#failed-rows", "Failed rows").
		says(".which a", "All 32|Invalid email 30|Invalid role 1|Missing value 1")
	b.get(location+"?reason=invalid_role").says("[aria-labelledby=failed-rows] tbody .num", "33").says("mark", "king")
	p := b.get(location + "?reason=invalid_email")
	next := p.find("a[rel=next]")
	if len(next) != 1 || !strings.Contains(attribute(next[0], "href"), "reason=invalid_email") {
		t.Fatal("paging forgets the reason")
	}
	path, _, _ := strings.Cut(attribute(next[0], "href"), "#")
	b.get(path).says("[aria-labelledby=failed-rows] tbody .num", "27|28|29|30|31")
	b.get(location+"?reason=nonsense").says(".which [aria-current=true]", "All 32")
}

func TestMailServersWords(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	location := b.upload("people.csv", people(3)).header.Get("Location")
	b.exec(`UPDATE invitations SET status = 'failed', last_error = '550 5.1.1 no such user' WHERE user_id = (SELECT id FROM users WHERE email = 'p1@example.com')`)
	b.exec(`UPDATE imports SET invites_pending = 2, invites_failed = 1`)
	b.get(location).says("[aria-labelledby=invitations] tbody .under", "p1@example.com").says("[aria-labelledby=invitations] tbody .said", "550 5.1.1 no such user").
		says("[aria-labelledby=invitations] button", "Resend 1 failed invitation")
	b.exec(`UPDATE imports SET invites_pending = 3, invites_failed = 0`)
	b.get(location).says("[aria-labelledby=invitations] button", "")
}
