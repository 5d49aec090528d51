package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/httpapi"
	"rollcall/roster"
	"rollcall/storage"
)

// profile is a profile as answered.
type profile struct {
	Name     string                       `json:"name"`
	Mapping  map[string]any               `json:"mapping"`
	ValueMap map[string]map[string]string `json:"value_map"`
	Blank    string                       `json:"blank"`
	Send     *bool                        `json:"send_invitations"`
}

const profilePath = "/api/admin/import-profiles/hr"

func headers(pairs ...string) http.Header {
	h := http.Header{}
	for k := 0; k < len(pairs); k += 2 {
		h.Set(pairs[k], pairs[k+1])
	}
	return h
}

// put sends a JSON body as the environment's token or another.
func (h *testEnv) put(path, token, body string, header ...string) answer {
	return h.do(call{method: "PUT", path: path, token: token, body: strings.NewReader(body), header: headers(append([]string{"Content-Type", "application/json"}, header...)...)})
}

func TestProfileLifeCycle(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	h.wantProblem(h.get(profilePath), 404, "not_found")
	made := h.put(profilePath, adminToken, `{"mapping": {"email": "Mail", "name": ["First", "Last"]}, "value_map": {"role": {"Boss": "admin"}}, "blank": "clear", "send_invitations": false, "encoding": null}`, "If-None-Match", "*")
	h.want(made, 201)
	if made.header.Get("Location") != profilePath || made.header.Get("ETag") == "" {
		t.Errorf("headers %v", made.header)
	}
	off := false
	want := profile{"hr", map[string]any{"email": "Mail", "name": []any{"First", "Last"}}, map[string]map[string]string{"role": {"Boss": "admin"}}, "clear", &off}
	got := h.get(profilePath)
	h.want(got, 200)
	if diff := cmp.Diff(want, as[profile](t, got)); diff != "" {
		t.Errorf("profile (-want +got):\n%s", diff)
	}
	tag := got.header.Get("ETag")
	h.want(h.do(call{method: "GET", path: profilePath, header: headers("If-None-Match", tag)}), 304)
	h.wantProblem(h.put(profilePath, adminToken, `{}`, "If-None-Match", "*"), 412, "precondition_failed")
	h.wantProblem(h.put(profilePath, adminToken, `{}`, "If-Match", `"other"`), 412, "precondition_failed")

	// What was read can be sent back.
	same := h.put(profilePath, adminToken, string(got.body), "If-Match", tag)
	h.want(same, 200)
	if diff := cmp.Diff(want, as[profile](t, same)); diff != "" {
		t.Errorf("profile sent back (-want +got):\n%s", diff)
	}
	h.wantProblem(h.put(profilePath, adminToken, string(got.body), "If-Match", tag), 412, "precondition_failed")
	h.wantProblem(h.do(call{method: "DELETE", path: profilePath, header: headers("If-Match", tag)}), 412, "precondition_failed")

	list := as[struct{ Items []profile }](t, h.get("/api/admin/import-profiles"))
	if len(list.Items) != 1 || list.Items[0].Name != "hr" {
		t.Errorf("listed %+v", list.Items)
	}
	h.want(h.do(call{method: "DELETE", path: profilePath}), 204)
	h.wantProblem(h.do(call{method: "DELETE", path: profilePath}), 404, "not_found")
	h.wantProblem(h.put(profilePath, adminToken, `{}`, "If-Match", "*"), 412, "precondition_failed")

	actions := map[string]int{}
	lines, err := h.store.Audit(h.Context(), storage.AuditFilter{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		actions[line.Action]++
		if line.Action == "profile.set" && !strings.Contains(string(line.Detail), `"hr"`) {
			t.Errorf("audit detail %s", line.Detail)
		}
	}
	if actions["profile.set"] != 2 || actions["profile.delete"] != 1 {
		t.Errorf("audit %v", actions)
	}
}

func TestProfileFaults(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	for body, says := range map[string]string{
		`[]`:                          "one JSON object",
		`null`:                        "one JSON object",
		`{"dry_run": true}`:           `Unknown member "dry_run"`,
		`{"mapping": "email"}`:        "mapping has the wrong type",
		`{"mapping": {"phone": "x"}}`: `unknown column "phone"`,
		`{"value_map": {"role": {"Boss": "owner"}}}`: `maps "Boss" to "owner"`,
		`{"on_duplicate": "maybe"}`:                  "on_duplicate must be",
		`{"missing": "disable"}`:                     "requires on_duplicate=update",
		`{"send_invitations": "no"}`:                 "send_invitations has the wrong type",
		`{"max_disable": "many"}`:                    "max_disable must be",
		`{"name": "other"}`:                          "name must be",
	} {
		if p := h.wantProblem(h.put(profilePath, adminToken, body), 400, "invalid_parameter"); !strings.Contains(p.Detail, says) {
			t.Errorf("%s: %s", body, p.Detail)
		}
	}
	h.wantProblem(h.put("/api/admin/import-profiles/a%20b", adminToken, `{}`), 400, "invalid_parameter")
	h.wantProblem(h.get("/api/admin/import-profiles/a%20b"), 404, "not_found")
	imports := h.token("imports")
	h.wantProblem(h.put(profilePath, imports, `{}`), 403, "insufficient_scope")
	h.wantProblem(h.do(call{method: "DELETE", path: profilePath, token: imports}), 403, "insufficient_scope")
	h.wantProblem(h.do(call{path: profilePath, token: h.token("imports:read")}), 404, "not_found")
}

func TestUploadWithProfile(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	h.want(h.put(profilePath, adminToken, `{"mapping": {"email": "Mail"}, "value_map": {"role": {"Boss": "admin"}}, "on_duplicate": "update", "source": "hr"}`), 201)
	const people = "Mail,name,role\nann@example.com,Ann,Boss\n"

	// Nobody gains rights by a profile: neither the source nor administrators.
	imports := h.token("imports")
	send := func(token string, fields ...field) answer {
		c := uploadCall(append([]field{file(people), {name: "profile", value: "hr"}}, fields...))
		c.token = token
		return h.do(c)
	}
	p := h.wantProblem(send(imports), 403, "insufficient_scope")
	if !strings.Contains(p.Detail, `import profile "hr"`) {
		t.Errorf("detail %q", p.Detail)
	}
	// What the request says itself wins, and then the rules of the role count.
	refused := send(imports, field{name: "source", value: "default"})
	h.want(refused, 200)
	if i := as[mappedImport](t, refused); i.Failed != 1 || i.Errors[0].Reason != roster.InvalidRole {
		t.Errorf("import of a token without the right: %+v", i)
	}
	done := send(adminToken)
	h.want(done, 200)
	if i := as[mappedImport](t, done); i.Imported != 1 || i.Admins != 1 || i.Source != "hr" {
		t.Errorf("import %+v", i)
	}
	own := send(adminToken, field{name: "value_map", value: `{"role": {"Boss": "user"}}`}, field{name: "dry_run", value: "true"})
	h.want(own, 200)
	if i := as[mappedImport](t, own); i.Plan.AdminsLost != 1 {
		t.Errorf("plan with a map of its own: %+v", i.Plan)
	}

	// A header that is gone fails by name.
	c := uploadCall([]field{file("E-mail address,name\nann@example.com,Ann\n"), {name: "profile", value: "hr"}})
	if p := h.wantProblem(h.do(c), 422, "missing_column"); !strings.Contains(p.Detail, `import profile "hr" says that "email" is in the column "Mail"`) {
		t.Errorf("detail %q", p.Detail)
	}
	unknown := uploadCall([]field{file(people), {name: "profile", value: "no-such"}})
	if p := h.wantProblem(h.do(unknown), 400, "invalid_parameter"); !strings.Contains(p.Detail, `no import profile "no-such"`) {
		t.Errorf("detail %q", p.Detail)
	}
}

func TestValueMap(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	const people = "email,name,role,status,department\n" +
		"a@example.com,A, Manager ,gone,R&D\n" +
		"b@example.com,B,manager,,\n" + // another value: compared exactly
		"c@example.com,C,n/a,active,Sales\n"
	const mapped = `{"role": {"Manager": "admin", "n/a": ""}, "status": {"gone": "disabled"}, "department": {"R&D": "Research"}}`
	dry := h.upload([]field{file(people), {name: "value_map", value: mapped}, {name: "dry_run", value: "true"}})
	h.want(dry, 200)
	i := as[mappedImport](t, dry)
	if i.Valid != 2 || i.Admins != 1 || i.Failed != 1 || i.Errors[0].Row != 3 || i.Errors[0].Value != "manager" {
		t.Fatalf("import %+v", i)
	}
	rows := as[struct {
		Items []struct {
			Values map[string]string
			Cells  []string
		}
	}](t, h.get(i.Links.Self+"/rows"))
	want := map[string]string{"email": "a@example.com", "name": "A", "role": "admin", "status": "disabled", "department": "Research"}
	if diff := cmp.Diff(want, rows.Items[0].Values); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if rows.Items[0].Cells[2] != " Manager " {
		t.Errorf("cells %q", rows.Items[0].Cells)
	}
	h.want(h.do(call{method: "POST", path: i.Links.Self + "/confirm", header: headers("Prefer", "wait=20")}), 200)
	if u := h.user("a@example.com"); u.Role != "admin" || u.Status != "disabled" || u.Department != "Research" {
		t.Errorf("user %+v", u)
	}
	for value, says := range map[string]string{
		`{`:                        "must be a JSON object",
		`{} {}`:                    "must be a JSON object",
		`[]`:                       "must be a JSON object",
		`{"role": "admin"}`:        "must be a JSON object",
		`{"role": {"Boss": true}}`: "must be a JSON object",
		`{"phone": {"1": "2"}}`:    `unknown column "phone"; values can be mapped in role, department, status`,
		`{"email": {"a@b.example": "c@d.example"}}`:                 "can't map values of email",
		`{"role": {"Boss": "owner"}}`:                               `maps "Boss" to "owner", which role can't be`,
		`{"status": {"gone": "invited"}}`:                           "which status can't be",
		`{"role": {"": "admin"}}`:                                   "blank value for role",
		`{"role": {"Boss": "user", "Boss": "admin"}}`:               `"Boss" twice`,
		`{"role": {"Boss": "user"}, "role": {"Boss": "admin"}}`:     `column "role" twice`,
		`{"role": {"Boss": "user", " Boss ": "admin"}}`:             `"Boss" twice`,
		`{"role": {"Bo\u0000ss": "user"}}`:                          "NUL",
		`{"department": {"x": "` + strings.Repeat("y", 201) + `"}}`: "which department can't be",
	} {
		p := h.wantProblem(h.upload([]field{file(people), {name: "value_map", value: value}}), 400, "invalid_parameter")
		if !strings.Contains(p.Detail, says) {
			t.Errorf("%s: %s", value, p.Detail)
		}
	}
	h.wantProblem(h.upload([]field{file(people), {name: "valueMap", value: mapped}}), 400, "invalid_parameter")
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) { d.Attributes = []string{"phone", "cost_center"} })
	if got := string(h.get("/api/admin/users/import/template.csv").body); !strings.Contains(got, "email,name,role,department,phone,cost_center") {
		t.Errorf("template %q", got)
	}
	first := h.upload([]field{file("email,name,Cost Center,phone\na@example.com,A,4711,+49 30\nb@example.com,B,,\nc@example.com,C," + strings.Repeat("x", 501) + ",\n")})
	h.want(first, 200)
	i := as[mappedImport](t, first)
	if i.Imported != 2 || i.Failed != 1 || i.Errors[0].Reason != roster.ValueTooLong || i.Errors[0].Field != "cost_center" || len(i.Warnings) > 0 {
		t.Fatalf("import %+v", i)
	}
	attributes := func(email string) map[string]string { return h.user(email).Attributes }
	if diff := cmp.Diff(map[string]string{"cost_center": "4711", "phone": "+49 30"}, attributes("a@example.com")); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if got := attributes("b@example.com"); got == nil || len(got) != 0 {
		t.Errorf("attributes of a user without any: %v", got)
	}

	update := func(content string, fields ...field) mappedImport {
		a := h.upload(append([]field{file(content), {name: "on_duplicate", value: "update"}}, fields...))
		h.want(a, 200)
		return as[mappedImport](t, a)
	}
	const blank = "email,name,cost_center\na@example.com,A,\nb@example.com,B,\n"
	if i := update(blank); i.Unchanged != 2 {
		t.Errorf("blank cells that keep: %+v", i)
	}
	moved := "email,name,kst\na@example.com,A,4712\nb@example.com,B,\n"
	mapping := field{name: "mapping", value: `{"cost_center": "kst"}`}
	dry := update(moved, mapping, field{name: "dry_run", value: "true"})
	rows := as[struct {
		Items []struct {
			Action  string
			Values  map[string]string
			Changes map[string]roster.FieldChange
		}
	}](t, h.get(dry.Links.Self+"/rows"))
	if diff := cmp.Diff(map[string]roster.FieldChange{"cost_center": {From: "4711", To: "4712"}}, rows.Items[0].Changes); diff != "" || rows.Items[0].Values["cost_center"] != "4712" {
		t.Errorf("changes (-want +got):\n%s\nvalues %v", diff, rows.Items[0].Values)
	}
	done := update(moved, mapping)
	if done.Updated != 1 || done.Unchanged != 1 {
		t.Errorf("update %+v", done)
	}
	if diff := cmp.Diff(map[string]string{"cost_center": "4712", "phone": "+49 30"}, attributes("a@example.com")); diff != "" {
		t.Errorf("attributes after the update (-want +got):\n%s", diff)
	}
	h.want(h.post(done.Links.Self+"/undo"), 200)
	if got := attributes("a@example.com")["cost_center"]; got != "4711" {
		t.Errorf("cost center after the undo: %q", got)
	}
	if i := update(blank, field{name: "blank", value: "clear"}); i.Updated != 1 || i.Unchanged != 1 {
		t.Errorf("blank cells that clear: %+v", i)
	}
	if diff := cmp.Diff(map[string]string{"phone": "+49 30"}, attributes("a@example.com")); diff != "" {
		t.Errorf("attributes after clearing (-want +got):\n%s", diff)
	}
	mapped := update("email,name,phone\na@example.com,A,none\n", field{name: "value_map", value: `{"phone": {"none": "-"}}`})
	if mapped.Updated != 1 || attributes("a@example.com")["phone"] != "-" {
		t.Errorf("mapped attribute: %+v", mapped)
	}
	exported := as[struct {
		User struct{ Attributes map[string]string }
	}](t, h.get("/api/admin/users/"+h.user("a@example.com").ID+"/export"))
	if exported.User.Attributes["phone"] != "-" {
		t.Errorf("personal data %+v", exported)
	}
}

// mappedImport is what these tests read of an import.
type mappedImport struct {
	Valid, Imported, Updated, Unchanged, Failed, Admins int64
	Source                                              string
	Plan                                                struct {
		AdminsLost int64 `json:"admins_lost"`
	}
	Errors []struct {
		Row    int64
		Reason roster.Code
		Field  string
		Value  string
	}
	Warnings []roster.Warning
	Links    struct{ Self string }
}

// attributedUser is what these tests read of a user.
type attributedUser struct {
	ID, Role, Status, Department string
	Attributes                   map[string]string
}

func (h *testEnv) user(email string) attributedUser {
	h.Helper()
	found := as[struct{ Items []json.RawMessage }](h, h.get("/api/admin/users?email="+email))
	if len(found.Items) != 1 {
		h.Fatalf("%d users with the address %s", len(found.Items), email)
	}
	var u attributedUser
	if err := json.Unmarshal(found.Items[0], &u); err != nil {
		h.Fatal(err)
	}
	return u
}
