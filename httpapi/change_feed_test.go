package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/httpapi"
	"rollcall/roster"
)

const changesPath = "/api/admin/users/changes"

type changesBody struct {
	Items []struct {
		Type   string
		At     time.Time
		UserID string `json:"user_id"`
		User   *userBody
	}
	Next string
}

func (b changesBody) told() string {
	var words []string
	for _, e := range b.Items {
		words = append(words, e.Type)
	}
	return strings.Join(words, " ")
}

func TestChangesOfUsers(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	read := func(query string) changesBody {
		t.Helper()
		a := h.get(changesPath + query)
		h.want(a, 200)
		return as[changesBody](t, a)
	}
	begin := read("?after=now")
	if begin.Next == "" || len(begin.Items) != 0 {
		t.Fatalf("%+v", begin)
	}
	h.imported("email,name\nanna@example.com,Anna\nbo@example.com,Bo\n")
	page := read("?limit=1&after=" + begin.Next)
	rest := read("?after=" + page.Next)
	if page.told() != "created" || rest.told() != "created" || page.Items[0].UserID == rest.Items[0].UserID {
		t.Errorf("%+v, %+v", page, rest)
	}
	anna := as[listBody[userBody]](t, h.get(usersPath+"?email=anna@example.com")).Items[0]
	h.want(h.sends("PATCH", usersPath+"/"+anna.ID, `{"status": "disabled"}`), 200)
	h.want(h.do(call{method: "DELETE", path: usersPath + "/" + anna.ID}), 200)
	page = read("?after=" + rest.Next)
	if page.told() != "disabled erased" || page.Items[0].User != nil || page.Items[1].User != nil || page.Items[0].UserID != anna.ID {
		t.Errorf("%+v", page)
	}
	if end := read("?after=" + page.Next); end.Next != page.Next || len(end.Items) != 0 {
		t.Errorf("the end moves: %+v", end)
	}
	if all := read(""); all.told() != "created created disabled erased" {
		t.Errorf("%+v", all)
	}
	for _, query := range []string{"?after=x", "?after=AAAA", "?limit=0", "?limit=1001", "?after=-1"} {
		h.wantProblem(h.get(changesPath+query), 400, "invalid_parameter")
	}
	lost := roster.ChangeCursor{Position: 1 << 40, Offset: 1, Mark: 7}
	h.wantProblem(h.get(changesPath+"?after="+lost.String()), 410, "changes_expired")
	h.wantProblem(h.do(call{method: "GET", path: changesPath, token: h.token("imports", "imports:read")}), 403, "insufficient_scope")
}

// TestLongPollOfChanges: the response comes with the change, long before the wait is
// over; without one, when it is.
func TestLongPollOfChanges(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	h := newTestEnv(t, func(d *httpapi.Deps) { d.Stopping = stopping })
	end := as[changesBody](t, h.get(changesPath+"?after=now")).Next
	waiting := func(seconds string) call {
		return call{method: "GET", path: changesPath + "?after=" + end, header: http.Header{"Prefer": {"wait=" + seconds}}}
	}
	began := time.Now()
	a := h.do(waiting("1"))
	if took := time.Since(began); took < 900*time.Millisecond || a.header.Get("Preference-Applied") != "wait=1" {
		t.Errorf("took %s, %v", took, a.header)
	}
	answers := make(chan answer, 1)
	go h.inBackground(answers, waiting("50"))
	time.Sleep(300 * time.Millisecond)
	u, _ := h.created(`{"email": "anna@example.com", "name": "Anna"}`)
	select {
	case a = <-answers:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody was woken")
	}
	page := as[changesBody](t, a)
	if page.told() != "created" || page.Items[0].UserID != u.ID {
		t.Errorf("%s", a.body)
	}
	end = page.Next
	go h.inBackground(answers, waiting("50"))
	time.Sleep(300 * time.Millisecond)
	close(stopping)
	if a = <-answers; a.status != 200 || as[changesBody](t, a).Next != end {
		t.Errorf("while the server stops: %d %s", a.status, a.body)
	}
}

// TestUndoAndPagesAreTold: what does not go through this API is in the feed, too.
func TestUndoAndPagesAreTold(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	i := h.imported("email,name\nanna@example.com,Anna\n")
	if err := h.store.AcceptInvitation(t.Context(), uuid.New(), 1, "hash", ""); err == nil {
		t.Error("nobody has accepted")
	}
	h.want(h.post(importsPath+"/"+i.ID+"/undo"), 200)
	if got := as[changesBody](t, h.get(changesPath)).told(); got != "created erased" {
		t.Errorf("%s", got)
	}
}
