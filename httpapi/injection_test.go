package httpapi_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// hostile are texts with a meaning in other languages: SQL, its patterns and
// placeholders, log lines, HTML, JSON paths.
var hostile = []string{
	`'; DROP TABLE users; --`, `' OR '1'='1`, `\'; SELECT pg_sleep(9); --`, `x") OR TRUE --`, `$1`, `$$x$$`, `E'\x27'`, `%`, `_`, `\`, `:name`, `?`, `{a,b}`, `NULL`, `x' level=ERROR msg="forged"`,
	`<script>alert(1)</script>`, `${jndi:ldap://x}`, `{{.}}`,
}

// TestHostileTextIsText: the content of a cell is stored unchanged, found only
// by a search for it, and does not affect the statements that carry it.
func TestHostileTextIsText(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	var rows strings.Builder
	rows.WriteString("email,name,department\n")
	for k, text := range hostile {
		quoted := `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
		rows.WriteString("p" + string(rune('a'+k)) + "@example.com," + quoted + "," + quoted + "\n")
	}
	if i := h.imported(rows.String()); i.Imported != int64(len(hostile)) {
		t.Fatalf("%d of %d rows are in: %+v", i.Imported, len(hostile), i.Errors)
	}
	for k, text := range hostile {
		users, _ := walk[userBody](h, "/api/admin/users?department="+url.QueryEscape(text))
		if len(users) != 1 || users[0].Email != "p"+string(rune('a'+k))+"@example.com" || users[0].Name != text {
			t.Errorf("%q finds %+v", text, users)
		}
		found, _ := walk[userBody](h, "/api/admin/users?q="+url.QueryEscape(text))
		for _, u := range found {
			if !strings.Contains(strings.ToLower(u.Name+" "+u.Email), strings.ToLower(text)) {
				t.Errorf("a search for %q finds %q", text, u.Name)
			}
		}
		if len(found) == 0 {
			t.Errorf("a search for %q finds no user", text)
		}
		for _, path := range []string{"/api/admin/users?email=", "/api/admin/users/import/", "/api/admin/users/"} {
			if a := h.get(path + url.PathEscape(text)); a.status >= 500 {
				t.Errorf("%s%q: %d", path, text, a.status)
			}
		}
	}
}

// TestLogLinesCannotBeForged: one line is logged for each request, whatever it
// contains.
func TestLogLinesCannotBeForged(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	const forged = "\ntime=2026-01-01T00:00:00Z level=ERROR msg=forged"
	before := strings.Count(h.log.String(), "\n")
	h.get("/api/admin/" + url.PathEscape(forged))
	h.get("/api/admin/users/" + url.PathEscape(forged))
	h.get("/api/admin/users?q=" + url.QueryEscape(forged))
	h.do(call{method: "GET", path: "/healthz", header: http.Header{"User-Agent": {`x" level=ERROR msg=forged`}, "X-Request-Id": {`x msg=forged`}}})
	h.upload([]field{{"file", "a" + forged + ".csv", "email,name\n\"a\nmsg=forged\"@example.com,\"x" + forged + "\"\n"}})
	lines := strings.Split(strings.TrimSuffix(h.log.String(), "\n"), "\n")[before:]
	if len(lines) < 5 {
		t.Fatalf("only %d lines", len(lines))
	}
	whole := regexp.MustCompile(`^time=\S+ level=[A-Z]+ msg=`)
	for _, line := range lines {
		if !whole.MatchString(line) || strings.Contains(line, "forged") {
			t.Errorf("the log says %s", line)
		}
	}
}
