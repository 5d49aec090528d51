package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/httpapi"
	"rollcall/roster"
	"rollcall/storage"
)

const usersPath = "/api/admin/users"

// sends a JSON body; header holds name and value in turn.
func (h *testEnv) sends(method, path, body string, header ...string) answer {
	h.Helper()
	c := call{method: method, path: path, body: strings.NewReader(body), header: http.Header{"Content-Type": {"application/json"}}}
	for i := 0; i < len(header); i += 2 {
		c.header.Set(header[i], header[i+1])
	}
	return h.do(c)
}

func (h *testEnv) created(body string) (u userBody, tag string) {
	h.Helper()
	a := h.sends("POST", usersPath, body)
	h.want(a, 201)
	u = as[userBody](h, a)
	if got := a.header.Get("Location"); got != usersPath+"/"+u.ID {
		h.Errorf("Location %q", got)
	}
	return u, a.header.Get("ETag")
}

func TestCreateUser(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	u, tag := h.created(`{"email": " Anna@Example.com ", "name": "Anna", "department": "Sales", "role": "ADMIN", "external_id": "007"}`)
	if u.Email != "Anna@Example.com" || u.Role != "admin" || u.Department != "Sales" || u.Status != "invited" || u.Invitation.Status != "pending" || u.ImportID != nil {
		t.Errorf("%+v", u)
	}
	a := h.get(usersPath + "/" + u.ID)
	if got := a.header.Get("ETag"); got != tag || strings.HasPrefix(got, "W/") || tag == "" {
		t.Errorf("ETag %q, was %q", got, tag)
	}
	h.want(h.do(call{method: "GET", path: usersPath + "/" + u.ID, header: http.Header{"If-None-Match": {tag}}}), 304)
	found := as[listBody[userBody]](t, h.get(usersPath+"?external_id=007&source=default")).Items
	if len(found) != 1 || found[0].ID != u.ID {
		t.Errorf("by key: %+v", found)
	}
	for name, c := range map[string]struct{ body, invitation string }{
		"held":    {`{"email": "bo@example.com", "name": "Bo", "send_invitation": false, "role": null, "status": null}`, "held"},
		"plural":  {`{"email": "by@example.com", "name": "By", "send_invitations": false}`, "held"},
		"another": {`{"email": "cy@example.com", "name": "Cy", "external_id": "007", "source": "hr"}`, "pending"},
	} {
		if u, _ := h.created(c.body); u.Invitation == nil || u.Invitation.Status != c.invitation || u.Role != "user" {
			t.Errorf("%s: %+v", name, u)
		}
	}
	if u, _ := h.created(`{"email": "dee@example.com", "name": "Dee", "status": "disabled"}`); u.Status != "disabled" || u.Invitation != nil {
		t.Errorf("%+v", u)
	}
}

func TestCreateUserIsRefused(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	h.created(`{"email": "anna@example.com", "name": "Anna", "external_id": "1"}`)
	for body, want := range map[string]struct {
		status       int
		code, reason string
	}{
		`{"email": "ANNA@example.com", "name": "A"}`:                        {409, "duplicate_email", "duplicate_email"},
		`{"email": "b@example.com", "name": "B", "external_id": "1"}`:       {409, "duplicate_external_id", "duplicate_external_id"},
		`{"email": "b@example", "name": "B"}`:                               {422, "invalid_user", "invalid_email"},
		`{"name": "B"}`:                                                     {422, "invalid_user", "missing_required_field"},
		`{"email": "b@example.com", "name": null}`:                          {422, "invalid_user", "missing_required_field"},
		`{"email": "b@example.com", "name": "B", "role": "boss"}`:           {422, "invalid_user", "invalid_role"},
		`{"email": "b@example.com", "name": "B", "status": "invited"}`:      {422, "invalid_user", "invalid_status"},
		`{"email": "b@example.com", "name": "B", "id": "x"}`:                {400, "invalid_parameter", ""},
		`{"email": "b@example.com", "name": 7}`:                             {400, "invalid_parameter", ""},
		`{"email": "b@example.com", "name": "B", "source": "-"}`:            {400, "invalid_parameter", ""},
		`{"email": "b@example.com", "name": "B", "send_invitation": "yes"}`: {400, "invalid_parameter", ""},
		`[]`:   {400, "invalid_parameter", ""},
		`null`: {400, "invalid_parameter", ""},
		``:     {400, "invalid_parameter", ""},
	} {
		p := h.wantProblem(h.sends("POST", usersPath, body), want.status, want.code)
		if want.reason != "" && (len(p.Errors) != 1 || p.Errors[0].Reason != want.reason || p.Errors[0].Fix == "") {
			t.Errorf("%s: %+v", body, p.Errors)
		}
	}
	p := h.wantProblem(h.sends("POST", usersPath, `{"email": "Bo <bo@example.com>", "name": " ", "role": "x"}`), 422, "invalid_user")
	if len(p.Errors) != 3 || p.Errors[0].Suggestion != "bo@example.com" || p.Errors[0].Parameter != "email" {
		t.Errorf("%+v", p.Errors)
	}
	h.wantProblem(h.sends("POST", usersPath, `{}`, "Content-Type", "text/plain"), 415, "unsupported_media_type")
	h.wantProblem(h.do(call{method: "POST", path: usersPath, token: h.token("imports")}), 403, "insufficient_scope")
}

func TestPatchUser(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	u, _ := h.created(`{"email": "anna@example.com", "name": "Anna", "department": "Sales", "external_id": "1"}`)
	path := usersPath + "/" + u.ID
	a := h.sends("PATCH", path, `{"department": null, "external_id": null, "name": " Anna Berg "}`, "Content-Type", "application/merge-patch+json")
	h.want(a, 200)
	if u = as[userBody](t, a); u.Department != "" || u.Name != "Anna Berg" || u.Email != "anna@example.com" || strings.Contains(string(a.body), `"external_id":"1"`) {
		t.Errorf("%s", a.body)
	}
	tag := a.header.Get("ETag")
	if same := h.sends("PATCH", path, `{}`); same.header.Get("ETag") != tag {
		t.Errorf("nothing was changed, and %s became %s", tag, same.header.Get("ETag"))
	}

	// The mail is sent meanwhile: no reason to refuse a change.
	if _, err := h.store.DB().ExecContext(t.Context(), `UPDATE invitations SET status = 'sent', sent_at = now(), expires_at = now() + interval '1 day'`); err != nil {
		t.Fatal(err)
	}
	now := h.get(path).header.Get("ETag")
	if now == tag {
		t.Error("the response is another, and its ETag the same")
	}
	a = h.sends("PATCH", path, `{"name": "Anna B."}`, "If-Match", tag)
	h.want(a, 200)
	h.wantProblem(h.sends("PATCH", path, `{"name": "Anna C."}`, "If-Match", now), 412, "precondition_failed")
	h.wantProblem(h.sends("PATCH", path, `{"name": "Anna C."}`, "If-Match", "W/"+a.header.Get("ETag")), 412, "precondition_failed")
	h.want(h.sends("PATCH", path, `{"name": "Anna C."}`, "If-Match", `"other", `+a.header.Get("ETag")), 200)
	h.want(h.sends("PATCH", path, `{"name": "Anna D."}`, "If-Match", "*"), 200)

	a = h.sends("PATCH", path, `{"email": "anna.berg@example.com"}`)
	h.want(a, 200)
	if u = as[userBody](t, a); u.Email != "anna.berg@example.com" || u.Invitation.Status != "pending" {
		t.Errorf("%s", a.body)
	}
	var notices int
	if err := h.store.DB().QueryRowContext(t.Context(), `SELECT count(DISTINCT email) FROM notices WHERE kind = 'address_changed'`).Scan(&notices); err != nil || notices != 2 {
		t.Errorf("%d addresses are told, %v", notices, err)
	}
	for _, step := range []struct{ body, query, status, invitation string }{
		{`{"status": "disabled"}`, "", "disabled", "revoked"},
		{`{"status": "active"}`, "?send_invitation=false", "invited", "held"},
		{`{"status": "disabled"}`, "", "disabled", "revoked"},
		{`{"status": "active"}`, "", "invited", "pending"},
	} {
		a = h.sends("PATCH", path+step.query, step.body)
		h.want(a, 200)
		if u = as[userBody](t, a); u.Status != step.status || u.Invitation.Status != step.invitation {
			t.Errorf("%s: %s", step.body, a.body)
		}
	}
	lines, err := h.store.Audit(t.Context(), storage.AuditFilter{Action: "user.change", TargetID: uuid.MustParse(u.ID), Limit: 100})
	if err != nil || len(lines) != 9 || lines[0].Actor != "ADMIN_API_TOKEN" || lines[0].Address == "" {
		t.Errorf("%d lines in the audit log, %v", len(lines), err)
	}
}

func TestPatchUserIsRefused(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	h.created(`{"email": "anna@example.com", "name": "Anna", "external_id": "1"}`)
	bo, _ := h.created(`{"email": "bo@example.com", "name": "Bo"}`)
	path := usersPath + "/" + bo.ID
	for body, want := range map[string]struct {
		status int
		code   string
	}{
		`{"email": "Anna@example.com"}`:                  {409, "duplicate_email"},
		`{"external_id": "1"}`:                           {409, "duplicate_external_id"},
		`{"email": null}`:                                {422, "invalid_user"},
		`{"name": ""}`:                                   {422, "invalid_user"},
		`{"role": null}`:                                 {422, "invalid_user"},
		`{"role": ""}`:                                   {422, "invalid_user"},
		`{"status": null}`:                               {422, "invalid_user"},
		`{"status": "invited"}`:                          {422, "invalid_user"},
		`{"external_id": "a\u200bb"}`:                    {422, "invalid_user"},
		`{"created_at": "2026-11-23T09:30:00Z"}`:         {400, "invalid_parameter"},
		`{"send_invitation": null}`:                      {400, "invalid_parameter"},
		`{"nmae": "Bo"}`:                                 {400, "invalid_parameter"},
		`{"name": "` + strings.Repeat("x", 1<<17) + `"}`: {400, "invalid_parameter"},
	} {
		h.wantProblem(h.sends("PATCH", path, body), want.status, want.code)
	}
	h.wantProblem(h.sends("PATCH", usersPath+"/"+uuid.NewString(), `{"name": "X"}`), 404, "not_found")
	h.wantProblem(h.sends("PATCH", usersPath+"/x", `{"name": "X"}`), 404, "not_found")
	if a := h.sends("PATCH", path, `{}`, "Content-Type", "application/json-patch+json"); a.status != 415 || a.header.Get("Accept-Patch") == "" {
		t.Errorf("%d %v", a.status, a.header)
	}

	boss := h.active("boss@example.com")
	h.wantProblem(h.sends("PATCH", usersPath+"/"+boss.String(), `{"role": "user"}`), 409, "last_admin")
	h.wantProblem(h.sends("PATCH", usersPath+"/"+boss.String(), `{"status": "disabled"}`), 409, "last_admin")
	h.active("other@example.com")
	secret, hash := auth.NewToken()
	own := storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorUser, ID: boss, Label: "boss@example.com"}}
	if _, err := h.store.CreateToken(t.Context(), "boss's", hash, []string{"admin"}, 0, own); err != nil {
		t.Fatal(err)
	}
	a := h.do(call{method: "PATCH", path: usersPath + "/" + boss.String(), token: secret, body: strings.NewReader(`{"status": "disabled"}`), header: http.Header{"Content-Type": {"application/json"}}})
	h.wantProblem(a, 409, "own_account")
	h.want(h.sends("PATCH", usersPath+"/"+boss.String(), `{"status": "disabled"}`), 200)
}

// active makes an administrator who can sign in.
func (h *testEnv) active(email string) uuid.UUID {
	h.Helper()
	id, err := h.store.CreateUser(h.Context(), storage.NewUser{Email: email, EmailKey: email, Name: "Boss", Role: roster.RoleAdmin, PasswordHash: "hash"}, 0, operator)
	if err != nil {
		h.Fatal(err)
	}
	return id
}

func TestUserWritesAreLimited(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) { d.Limits.UserWrites = httpapi.Quota{Count: 1, Window: 60e9} })
	u, _ := h.created(`{"email": "anna@example.com", "name": "Anna"}`)
	h.wantProblem(h.sends("PATCH", usersPath+"/"+u.ID, `{}`), 429, "too_many_requests")
}

// TestUserAttributes: declared attributes are set, changed and taken away one by one.
func TestUserAttributes(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) { d.Attributes = []string{"cost_center", "phone"} })
	type attributesBody struct {
		ID         string
		Attributes map[string]string
	}
	a := h.sends("POST", usersPath, `{"email": "ann@example.com", "name": "Ann", "attributes": {"cost_center": " 0042 ", "phone": null}}`)
	h.want(a, 201)
	u := as[attributesBody](h, a)
	if len(u.Attributes) != 1 || u.Attributes["cost_center"] != "0042" {
		t.Errorf("%s", a.body)
	}
	a = h.sends("PATCH", usersPath+"/"+u.ID, `{"attributes": {"cost_center": null, "phone": "1"}}`, "If-Match", a.header.Get("ETag"))
	h.want(a, 200)
	if u = as[attributesBody](h, a); len(u.Attributes) != 1 || u.Attributes["phone"] != "1" {
		t.Errorf("%s", a.body)
	}
	if a := h.sends("PATCH", usersPath+"/"+u.ID, `{"name": "Anna"}`); as[attributesBody](h, a).Attributes["phone"] != "1" {
		t.Errorf("%s", a.body)
	}
	for body, status := range map[string]int{
		`{"attributes": {"shoe_size": "1"}}`:                            400,
		`{"attributes": ["phone"]}`:                                     400,
		`{"attributes": {"phone": 1}}`:                                  400,
		`{"attributes": {"phone": "` + strings.Repeat("1", 501) + `"}}`: 422,
		`{"attributes": {"phone": "1\u202e2"}}`:                         422,
	} {
		h.want(h.sends("PATCH", usersPath+"/"+u.ID, body), status)
	}
}

// TestUserLocale: a locale is set in its usual form, changed and taken away.
func TestUserLocale(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	type localeBody struct {
		ID     string
		Locale *string
	}
	shows := func(a answer, want string) localeBody {
		h.Helper()
		u := as[localeBody](h, a)
		if got := u.Locale; (want == "") != (got == nil) || got != nil && *got != want {
			t.Errorf("want %q: %s", want, a.body)
		}
		return u
	}
	u := shows(h.sends("POST", usersPath, `{"email": "ann@example.com", "name": "Ann", "locale": "de_ch"}`), "de-CH")
	path := usersPath + "/" + u.ID
	shows(h.do(call{method: "GET", path: path}), "de-CH")
	shows(h.sends("PATCH", path, `{"name": "Anna"}`), "de-CH")
	shows(h.sends("PATCH", path, `{"locale": "PL"}`), "pl")
	shows(h.sends("PATCH", path, `{"locale": null}`), "")
	shows(h.sends("PATCH", path, `{"locale": "fr"}`), "fr")
	shows(h.sends("PATCH", path, `{"locale": " "}`), "")
	for _, locale := range []string{"German", "und", "x"} {
		a := h.sends("PATCH", path, `{"locale": "`+locale+`"}`)
		h.want(a, 422)
		if !strings.Contains(string(a.body), "invalid_locale") {
			t.Errorf("%s", a.body)
		}
	}
}
