package httpapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"rollcall/storage"
)

// TestExportAndErase exports the data of a user and then erases it.
func TestExportAndErase(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	i := as[importBody](t, h.upload([]field{file("email,name\nann@example.com,Ann Other\nbea@example.com,Bea Other\n")}))
	users := as[listBody[userBody]](t, h.get("/api/admin/users?email=ann@example.com")).Items
	if len(users) != 1 {
		t.Fatalf("%d users", len(users))
	}
	path := "/api/admin/users/" + users[0].ID
	a := h.get(path + "/export")
	h.want(a, 200)
	var report struct {
		User  struct{ Name string }
		Files []string
	}
	if err := json.Unmarshal(a.body, &report); err != nil || report.User.Name != "Ann Other" || len(report.Files) != 1 || report.Files[0] != i.ID {
		t.Errorf("%+v, %v", report, err)
	}
	if media := a.header.Get("Content-Type"); media != "application/json" {
		t.Errorf("Content-Type %s", media)
	}
	if d := a.header.Get("Content-Disposition"); !strings.HasPrefix(d, "attachment") || strings.Contains(d, "ann") {
		t.Errorf("Content-Disposition %s", d)
	}
	for _, scope := range []string{"imports", "imports:read"} {
		for _, c := range []call{{method: "GET", path: path + "/export"}, {method: "DELETE", path: path}} {
			c.token = h.token(scope)
			h.wantProblem(h.do(c), 403, "insufficient_scope")
		}
	}
	erased := h.do(call{method: "DELETE", path: path})
	h.want(erased, 200)
	if mark := as[struct{ Mark string }](t, erased).Mark; len(mark) != 32 {
		t.Errorf("mark %q", mark)
	}
	h.wantProblem(h.do(call{method: "DELETE", path: path}), 404, "not_found")
	h.wantProblem(h.get(path+"/export"), 404, "not_found")
	left := h.get(i.Links.File)
	h.want(left, 200)
	if got, want := string(left.body), "email,name\n***************,*** *****\nbea@example.com,Bea Other\n"; got != want {
		t.Errorf("the file is %q, want %q", got, want)
	}
	h.want(h.get("/api/admin/users?email=bea@example.com"), 200)
	if log := h.log.String(); strings.Contains(log, "ann@") || strings.Contains(log, "Ann Other") {
		t.Errorf("the log names the person: %s", log)
	}
}

// TestErasedIsNotShown: an import that contained the user a moment ago no
// longer does, and has another ETag.
func TestErasedIsNotShown(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	i := h.imported("email,name\nann@example.com,Ann Other\nann@example.com,Ann Other\n")
	before := h.get(i.Links.Self)
	if !strings.Contains(string(before.body), "ann@example.com") {
		t.Fatalf("%s", before.body)
	}
	users := as[listBody[userBody]](t, h.get("/api/admin/users?email=ann@example.com")).Items
	h.want(h.do(call{method: "DELETE", path: "/api/admin/users/" + users[0].ID}), 200)
	after := h.get(i.Links.Self)
	if strings.Contains(string(after.body), "ann@example.com") {
		t.Errorf("%s", after.body)
	}
	if after.header.Get("ETag") == before.header.Get("ETag") {
		t.Error("the body changed but the ETag did not")
	}
}

func TestErasureThatCannotBe(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	if err := h.store.EnsureAdmin(t.Context(), storage.NewUser{Email: "boss@example.com", EmailKey: "boss@example.com", Name: "Boss", PasswordHash: "x"}); err != nil {
		t.Fatal(err)
	}
	path := "/api/admin/users/" + as[listBody[userBody]](t, h.get("/api/admin/users?role=admin")).Items[0].ID
	if p := h.wantProblem(h.do(call{method: "DELETE", path: path}), 409, "wrong_state"); !strings.Contains(p.Detail, "last active administrator") {
		t.Errorf("%s", p.Detail)
	}
	busy := h.dryRun("email,name\nboss@example.com,Boss\n")
	if p := h.wantProblem(h.do(call{method: "DELETE", path: path}), 409, "wrong_state"); !strings.Contains(p.Detail, busy.ID) {
		t.Errorf("%s", p.Detail)
	}
}
