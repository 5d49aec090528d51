package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"rollcall/auth"
	"rollcall/httpapi"
)

func TestTokenIsAskedFor(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	unknown, _ := auth.NewToken()
	for _, tt := range []struct {
		name   string
		values []string
		code   string
	}{
		{"none", nil, "unauthorized"},
		{"another scheme", []string{"Basic dXNlcjpwYXNz"}, "unauthorized"},
		{"nothing behind the scheme", []string{"Bearer "}, "unauthorized"},
		{"two headers", []string{"Bearer " + adminToken, "Bearer " + adminToken}, "unauthorized"},
		{"no token of ours", []string{"Bearer " + adminToken + "x"}, "invalid_token"},
		{"mistyped", []string{"Bearer " + h.token("admin") + "x"}, "invalid_token"},
		{"never issued", []string{"Bearer " + unknown}, "invalid_token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := h.on(t)
			header := http.Header{"Cookie": {"session=x"}}
			if tt.values != nil {
				header["Authorization"] = tt.values
			}
			for _, c := range []call{{method: "GET", path: importsPath}, {method: "POST", path: importPath}, {method: "GET", path: "/api/admin/users?token=" + adminToken}} {
				c.token, c.header = "-", header
				a := h.do(c)
				h.wantProblem(a, 401, tt.code)
				challenge := a.header.Get("WWW-Authenticate")
				if !strings.HasPrefix(challenge, `Bearer realm="rollcall"`) || strings.Contains(challenge, "invalid_token") != (tt.code == "invalid_token") {
					t.Errorf("WWW-Authenticate %s", challenge)
				}
			}
		})
	}
	a := h.do(call{method: "GET", path: importsPath, token: "-", header: http.Header{"Authorization": {"bearer  " + adminToken}}})
	h.want(a, 200) // RFC 9110, section 11.1: schemes are case-insensitive
}

func TestNoAdminTokenIsNotAnEmptyOne(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) { d.AdminToken = "" })
	for _, value := range []string{"Bearer", "Bearer ", "Bearer  "} {
		a := h.do(call{method: "GET", path: importsPath, token: "-", header: http.Header{"Authorization": {value}}})
		h.wantProblem(a, 401, "unauthorized")
	}
	h.wantProblem(h.get(importsPath), 401, "invalid_token")
}

func TestRevokedTokenIsNoToken(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	token := h.token("imports")
	list := call{method: "GET", path: importsPath, token: token}
	h.want(h.do(list), 200)
	tokens, err := h.store.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.store.RevokeToken(t.Context(), tokens[0].ID, operator); err != nil {
		t.Fatal(err)
	}
	h.wantProblem(h.do(list), 401, "invalid_token")
}

// TestScopes tries every request with every kind of token, for an import of its
// own and for another's.
func TestScopes(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	others := h.dryRun(people(1))
	const no, hidden = 403, 404
	for _, tt := range []struct {
		name, scopes           string
		post, own, list, users int
		foreign, change        int // of another caller's import
		sees                   int // imports in the list, after its own
	}{
		{"imports", "imports", 200, 200, 200, no, hidden, hidden, 1},
		{"reads only", "imports:read", no, 0, 200, no, 200, no, 1},
		{"starts and reads", "imports imports:read", 200, 200, 200, no, 200, no, 2},
		{"admin", "admin", 200, 200, 200, 200, 200, 202, 2},
	} {
		t.Run(tt.name, func(t *testing.T) { // in turn: the last one changes things
			h := h.on(t)
			token := h.token(strings.Fields(tt.scopes)...)
			ask := func(method, path string, want int) answer {
				t.Helper()
				a := h.do(call{method: method, path: path, token: token})
				if a.status != want {
					t.Errorf("%s %s: status %d, want %d: %s", method, path, a.status, want, a.body)
				}
				if a.status == no && !strings.Contains(a.header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
					t.Errorf("WWW-Authenticate %s", a.header.Get("WWW-Authenticate"))
				}
				return a
			}
			post := uploadCall([]field{file("email,name\n"), {name: "dry_run", value: "true"}})
			post.token = token
			a := h.do(post)
			h.want(a, tt.post)
			if tt.own != 0 {
				own := as[importBody](t, a).Links
				for _, path := range []string{own.Self, own.Errors, own.ErrorsCSV, own.ErrorsXLSX, own.ResultsCSV, own.File, own.Self + "/rows"} {
					ask("GET", path, tt.own)
				}
				ask("POST", own.Self+"/invitations/resend", 202)
				ask("POST", own.Self+"/confirm", 202)
			}
			for _, path := range []string{"", "/errors", "/errors.csv", "/errors.xlsx", "/results.csv", "/file", "/rows"} {
				ask("GET", others.Links.Self+path, tt.foreign)
			}
			list := as[listBody[importBody]](t, ask("GET", importsPath, tt.list))
			var sees int
			for _, i := range list.Items {
				if i.ID == others.ID || i.CreatedBy == "token for "+tt.scopes {
					sees++
				}
			}
			if sees != tt.sees {
				t.Errorf("sees %d of its own and the other's, want %d", sees, tt.sees)
			}
			ask("GET", "/api/admin/users", tt.users)
			ask("GET", importPath+"/template.csv", 200)
			ask("GET", importPath+"/template.xlsx", 200)
			ask("GET", importPath+"/errors", 200)
			ask("POST", others.Links.Self+"/invitations/resend", tt.change)
			ask("POST", others.Links.Self+"/confirm", tt.change)
			if tt.change == 202 {
				return
			}
			ask("POST", others.Links.Self+"/cancel", tt.change)
		})
	}
}
