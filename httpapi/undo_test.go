package httpapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/storage"
)

type undoBody struct {
	AskedAt       time.Time `json:"asked_at"`
	Removed, Kept int64
	FinishedAt    *time.Time `json:"finished_at"`
}

// users returns the users that an import created.
func (h *testEnv) users(i importBody) []userBody {
	h.Helper()
	users, _ := walk[userBody](h, "/api/admin/users?import_id="+i.ID)
	return users
}

// deliver marks a user's invitation as sent a moment ago.
func (h *testEnv) deliver(u userBody) {
	h.Helper()
	if _, err := h.store.DB().ExecContext(h.Context(), `UPDATE invitations SET expires_at = now() + interval '1 hour' WHERE user_id = $1`, u.ID); err != nil {
		h.Fatal(err)
	}
}

func TestUndoRemovesThoseWhomNobodyHasTouched(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	i := h.imported(people(5))
	users := h.users(i)
	h.deliver(users[0])
	if err := h.store.AcceptInvitation(t.Context(), uuid.MustParse(users[0].ID), 1, "hash", ""); err != nil {
		t.Fatal(err)
	}
	name := "Another Name"
	if _, err := h.store.ChangeUser(t.Context(), uuid.MustParse(users[1].ID), storage.UserChange{Name: &name}, operator); err != nil {
		t.Fatal(err)
	}
	tag := h.get(i.Links.Self).header.Get("ETag")
	for range 2 { // a repeated request changes nothing
		a := h.post(i.Links.Self + "/undo")
		h.want(a, 200)
		if u := as[undoBody](t, a); u.Removed != 3 || u.Kept != 2 || u.FinishedAt == nil {
			t.Errorf("%s", a.body)
		}
	}
	if left := h.users(i); len(left) != 2 {
		t.Errorf("%d users left, want 2", len(left))
	}
	now := h.get(i.Links.Self)
	if now.header.Get("ETag") == tag {
		t.Error("the ETag is as it was")
	}
	if u := as[importBody](t, now).Undo; u == nil || u.Removed != 3 || u.Kept != 2 || u.FinishedAt == nil || u.AskedAt.After(*u.FinishedAt) {
		t.Errorf("the import tells of its undo: %+v", u)
	}
	if i.Undo != nil {
		t.Errorf("before it: %+v", i.Undo)
	}
	again := h.imported(people(5))
	if again.Imported != 3 || again.Failed != 2 {
		t.Errorf("the same file again: %+v", again)
	}
}

func TestUndoThatNobodyWaitsForIsAccepted(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	i := h.imported(people(3))
	a := h.do(call{method: "POST", path: i.Links.Self + "/undo", header: http.Header{"Prefer": {"respond-async"}}})
	h.want(a, 202)
	if u := as[undoBody](t, a); u.Removed != 0 || u.FinishedAt != nil {
		t.Errorf("%s", a.body)
	}
	if a.header.Get("Retry-After") == "" || a.header.Get("Preference-Applied") != "respond-async" {
		t.Errorf("header %v", a.header)
	}
	tag := h.get(i.Links.Self).header.Get("ETag")
	if _, err := h.store.UndoStep(t.Context(), uuid.MustParse(i.ID)); err != nil { // as the sweeper does
		t.Fatal(err)
	}
	waited := h.do(call{method: "GET", path: i.Links.Self, header: http.Header{"Prefer": {"wait=9"}, "If-None-Match": {tag}}})
	h.want(waited, 200) // its progress is a change
	if u := as[importBody](t, waited).Undo; u == nil || u.Removed != 3 || u.FinishedAt == nil {
		t.Errorf("the import tells of its undo: %+v", u)
	}
	a = h.do(call{method: "POST", path: i.Links.Self + "/undo", header: http.Header{"Prefer": {"respond-async"}}})
	h.want(a, 200)
	if u := as[undoBody](t, a); u.Removed != 3 || u.FinishedAt == nil {
		t.Errorf("%s", a.body)
	}
}

func TestUndoNeedsAnEnd(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	h.wantProblem(h.post(h.dryRun(people(1)).Links.Self+"/undo"), 409, "wrong_state")
	i := h.queued(people(2))
	h.wantProblem(h.post(i.Links.Self+"/undo"), 409, "wrong_state")
	h.want(h.post(i.Links.Self+"/cancel"), 202)
	h.want(h.post(i.Links.Self+"/undo"), 200)
	h.wantProblem(h.post(importsPath+"/"+uuid.NewString()+"/undo"), 404, "not_found")
}

func TestUndoIsForTheOwnerAndAdministrators(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	owner := h.token("imports")
	post := uploadCall([]field{file(people(1))})
	post.token = owner
	path := as[importBody](t, h.do(post)).Links.Self + "/undo"
	h.wantProblem(h.do(call{method: "POST", path: path, token: h.token("imports")}), 404, "not_found")
	h.wantProblem(h.do(call{method: "POST", path: path, token: h.token("imports", "imports:read")}), 403, "insufficient_scope")
	h.wantProblem(h.do(call{method: "POST", path: path, token: h.token("imports:read")}), 403, "insufficient_scope")
	h.want(h.do(call{method: "POST", path: path, token: owner}), 200)
	h.want(h.post(path), 200)
}
