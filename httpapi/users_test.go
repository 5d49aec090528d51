package httpapi_test

import (
	"net/url"
	"strings"
	"testing"
)

func TestUsersCanBeFiltered(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	first := h.imported("email,name,role,department\nAnna@Example.com,Anna Berg,admin,Sales\nbo@example.com,Bo 100%,user,Sales\n")
	h.imported("email,name,department\ncy@example.com,Cy,Sales Ops\n", field{name: "send_invitations", value: "false"})
	for query, want := range map[string]string{
		"": "cy bo anna",
		"email=" + url.QueryEscape("anna@EXAMPLE.com"): "anna",
		"email=nobody@example.com":                     "",
		"email=no-address":                             "",
		"status=invited":                               "cy bo anna",
		"status=active":                                "",
		"role=admin":                                   "anna",
		"department=Sales":                             "bo anna",
		"q=sales":                                      "cy bo anna",
		"q=100%25":                                     "bo",
		"q=_":                                          "",
		"invitation=held":                              "cy",
		"invitation=pending&role=user":                 "bo",
		"import_id=" + first.ID:                        "bo anna",
	} {
		users, _ := walk[userBody](h, "/api/admin/users?limit=2&"+query)
		var got []string
		for _, u := range users {
			name, _, _ := strings.Cut(strings.ToLower(u.Email), "@")
			got = append(got, name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", query, got, want)
		}
	}
}

func TestUserAndInvitation(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	i := h.imported("email,name,department\nAnna@Example.com,Anna,Sales\n", field{name: "send_invitations", value: "false"})
	id := as[listBody[userBody]](t, h.get("/api/admin/users?email=anna@example.com")).Items[0].ID
	a := h.get("/api/admin/users/" + id)
	h.want(a, 200)
	u := as[userBody](t, a)
	if u.Email != "Anna@Example.com" || u.Name != "Anna" || u.Role != "user" || u.Department != "Sales" || u.Status != "invited" ||
		*u.ImportID != i.ID || u.Invitation.Status != "held" || u.Invitation.SentAt != nil || u.Invitation.LastError != nil {
		t.Errorf("%s", a.body)
	}
	a = h.post("/api/admin/users/" + id + "/invitation")
	h.want(a, 202)
	if u = as[userBody](t, a); u.Invitation.Status != "pending" {
		t.Errorf("%s", a.body)
	}
	if _, err := h.store.DB().ExecContext(t.Context(), `UPDATE users SET status = 'disabled'`); err != nil {
		t.Fatal(err)
	}
	h.wantProblem(h.post("/api/admin/users/"+id+"/invitation"), 409, "wrong_state")
}
