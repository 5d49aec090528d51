package attack_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"rollcall/test/programtest"
)

// nobody is an id that exists in no table.
const nobody = "019aaf2e-7c20-7a51-8d4e-5f60718293a4"

// privileged are calls that need the scope admin.
var privileged = [][2]string{
	{"GET", "/api/admin/users"}, {"GET", "/api/admin/users/" + nobody}, {"GET", "/api/admin/users/" + nobody + "/export"},
	{"DELETE", "/api/admin/users/" + nobody}, {"POST", "/api/admin/users/" + nobody + "/invitation"},
	{"GET", "/api/admin/settings/email"}, {"PUT", "/api/admin/settings/email"}, {"DELETE", "/api/admin/settings/email"},
	{"POST", "/api/admin/settings/email/test"},
}

// writing are calls that need the scope imports.
var writing = [][2]string{
	{"POST", importPath}, {"POST", importPath + "s/" + nobody + "/confirm"}, {"POST", importPath + "s/" + nobody + "/cancel"},
	{"POST", importPath + "s/" + nobody + "/undo"}, {"POST", importPath + "s/" + nobody + "/invitations/resend"},
	{"GET", "/api/admin/webhooks"}, {"POST", "/api/admin/webhooks"},
}

var pages = []string{
	"/admin/users", "/admin/users/export.csv", "/admin/users/import", "/admin/imports", "/admin/imports/" + nobody,
	"/admin/settings/email", "/admin/settings/tokens", "/admin/audit", "/admin/account",
}

// TestAccess: without a token, or with one of too few rights, no call is
// allowed, and without a session no page; a token opens no page, and other
// people's imports are not found.
func TestAccess(t *testing.T) {
	t.Parallel()
	h := install(t)
	imports, reader := h.token("imports"), h.token("imports:read")
	for _, c := range append(privileged, writing...) {
		for _, authorization := range []string{"", "Bearer x", "Basic eDp5", "Bearer rc_" + strings.Repeat("A", 49)} {
			if a := h.browser().do(c[0], c[1], nil, "Authorization", authorization); a.status != 401 || a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s with %q answered %d", c[0], c[1], authorization, a.status)
			}
		}
		if a := h.call(reader, c[0], c[1], nil); a.status != 403 {
			t.Errorf("%s %s with imports:read answered %d", c[0], c[1], a.status)
		}
	}
	for _, c := range privileged {
		if a := h.call(imports, c[0], c[1], nil); a.status != 403 {
			t.Errorf("%s %s with imports answered %d", c[0], c[1], a.status)
		}
	}
	for _, page := range pages {
		for _, authorization := range []string{"", "Bearer " + programtest.Token} {
			if a := h.browser().do("GET", page, nil, "Authorization", authorization); a.status == 200 {
				t.Errorf("%s is open", page)
			}
		}
	}
	others := h.imported(h.upload(programtest.Token, people(1), "send_invitations", "false"))
	for _, path := range []string{"", "/errors", "/errors.csv", "/errors.xlsx", "/results.csv", "/file", "/events"} {
		if a := h.call(imports, "GET", others.Links.Self+path, nil); a.status != 404 {
			t.Errorf("another's import, %s: %d", path, a.status)
		}
	}
	if a := h.call(imports, "POST", others.Links.Self+"/undo", nil); a.status != 404 {
		t.Errorf("the undo of another's import: %d", a.status)
	}
}

// TestMarkupStaysText: values of a file are shown as text on every page.
func TestMarkupStaysText(t *testing.T) {
	t.Parallel()
	h := install(t)
	b := h.administrator("boss@example.com")
	const evil = `<script>alert(1)</script><img src=x onerror=alert(2)>`
	i := h.imported(h.upload(programtest.Token, "email,name,"+evil+"\nx@example.com,"+evil+",1\nbad"+evil+","+evil+",2\n", "send_invitations", "false"))
	for _, page := range []string{"/admin/users", "/admin/users?q=" + "%3Cscript%3E", "/admin/imports", "/admin/imports/" + i.ID, "/admin/audit", "/signin?next=%22%3E%3Cscript%3E"} {
		a := b.do("GET", page, nil)
		if strings.Contains(a.body, "<script>alert") || strings.Contains(a.body, "<img src=x") || strings.Contains(a.body, `"><script>`) {
			t.Errorf("%s holds the markup", page)
		}
		if policy := a.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", page, policy)
		}
	}
}

// TestWebhooksStayOutside: no webhook goes to an internal address, however it
// is written, nor to a port of another service.
func TestWebhooksStayOutside(t *testing.T) {
	t.Parallel()
	h := install(t)
	for _, to := range []string{
		"https://127.0.0.1/", "https://localhost/", "https://10.0.0.1/", "https://192.168.1.1/", "https://169.254.169.254/latest/", "https://[::1]/",
		"https://[::ffff:127.0.0.1]/", "https://[::ffff:0:7f00:1]/", "https://[::ffff:0:a9fe:a9fe]/", "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/",
		"https://[fd00:ec2::254]/", "https://0.0.0.0/", "https://100.64.0.1/", "https://[fe80::1%25eth0]/",
		"http://example.com/", "https://example.com:22/", "https://example.com:25/", "https://example.com:80/", "https://example.com:1023/",
		"https://user:pass@example.com/", "file:///etc/passwd", "gopher://example.com/", "https://", "//example.com/",
	} {
		a := h.call(programtest.Token, "POST", "/api/admin/webhooks", map[string]string{"url": to})
		if a.status/100 == 2 {
			if to != "https://localhost/" { // a name is checked when it is dialed
				t.Errorf("%s is taken", to)
			}
		} else if a.status >= 500 {
			t.Errorf("%s answered %d", to, a.status)
		}
	}
	for _, to := range []string{"https://example.com/", "https://example.com:443/", "https://example.com:8443/", "https://example.com:1024/"} {
		if a := h.call(programtest.Token, "POST", "/api/admin/webhooks", map[string]string{"url": to}); a.status/100 != 2 {
			t.Errorf("%s is refused: %d %s", to, a.status, a.body)
		}
	}
}

// TestNoSecondRecipient: an address or a name with a line end or a bracket adds no
// recipient, header or command to a mail.
func TestNoSecondRecipient(t *testing.T) {
	t.Parallel()
	h := install(t)
	for _, to := range []string{"a@example.com\r\nRCPT TO:<evil@example.com>", "a@example.com>\r\nDATA", "a@example.com,evil@example.com", "<a@example.com> SIZE=1", "\"a b\"@example.com", "Eve <a@example.com>"} {
		if a := h.call(programtest.Token, "POST", "/api/admin/settings/email/test", map[string]string{"to": to}); a.status < 400 || a.status >= 500 {
			t.Errorf("%q: %d", to, a.status)
		}
	}
	file := "email,name\n\"a@example.com>\r\nRCPT TO:<evil@example.com\",Eve\n" +
		"\"b@example.com\nBcc: evil@example.com\",Eve\n" + "c@example.com,\"Eve\r\nBcc: evil@example.com\r\n\r\nHello\"\n" + "d@example.com,Dee\n"
	i := h.imported(h.upload(programtest.Token, file))
	if i.Imported != 1 || i.Failed != 3 {
		t.Errorf("%+v", i)
	}
	h.eventually("the one mail arrives", func() bool { return h.mailbox.Len() > 0 })
	mails, err := h.mailbox.List(0)
	if err != nil || len(mails) != 1 || strings.Contains(fmt.Sprint(mails[0].To), "evil") || strings.Contains(mails[0].Text, "evil") {
		t.Errorf("%+v, %v", mails, err)
	}
}

// TestOddRequests: no request gets a 5xx response.
func TestOddRequests(t *testing.T) {
	t.Parallel()
	h := install(t)
	i := h.imported(h.upload(programtest.Token, people(1)+"bad,x\n", "send_invitations", "false"))
	paths := []string{
		"/", "/signin", "/signin/code", "/forgot", "/invite/x", "/reset/%00", "/docs", "/openapi.json", "/healthz", importPath, importPath + "s",
		i.Links.Self, i.Links.Self + "/rows", i.Links.Self + "/errors", i.Links.Self + "/errors.csv", i.Links.Self + "/confirm",
		importPath + "s/" + nobody, importPath + "s/%ff%fe", "/api/admin/users", "/api/admin/users/x", "/api/admin/settings/email", "/api/admin/webhooks",
		"/admin/users", "/admin/imports/..%2f..%2fetc", "/%2e%2e/%2e%2e/etc/passwd", "/dev/mail", "/" + strings.Repeat("a/", 500),
	}
	queries := []string{"", "?limit=-1", "?limit=99999999999999999999", "?after=%00", "?after=" + strings.Repeat("9", 400), "?q=%ff&q=%27%3B+DROP+TABLE+users", "?limit=1;limit=2", "?%zz", "?status[]=x&email=%E2%80%AE"}
	bodies := []string{"", "{", "[]", "null", `{"url":1}`, `{"url":"` + strings.Repeat("x", 5000) + `"}`, strings.Repeat("[", 10_000), "\x00\xff", "--b\r\n\r\n--b--\r\n"}
	headers := [][]string{{}, {"Content-Type", "multipart/form-data"}, {"Content-Type", "multipart/form-data; boundary=b"}, {"Content-Type", "text/xml"}, {"Prefer", "wait=99999999999999999999"}, {"If-None-Match", `"` + strings.Repeat("x", 3000)}, {"Idempotency-Key", "\u00ff'--"}, {"Accept", "*/*;q=x"}, {"Content-Encoding", "gzip"}, {"X-Forwarded-For", "::1, evil"}}
	methods := []string{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "FOO"}
	n := 0
	for p, path := range paths {
		for k := range 18 {
			method, query := methods[(p+k)%len(methods)], queries[(p*3+k)%len(queries)]
			req, err := http.NewRequest(method, h.url+path+query, nil)
			if err != nil {
				continue // not a URL to the client
			}
			if body := bodies[(p+k*5)%len(bodies)]; method != "GET" && method != "HEAD" && method != "TRACE" {
				req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
				req.Header.Set("Content-Type", "application/json")
			}
			for j := 0; j+1 < len(headers[(p+k)%len(headers)]); j += 2 {
				req.Header.Set(headers[(p+k)%len(headers)][j], headers[(p+k)%len(headers)][j+1])
			}
			req.Header.Set("Authorization", "Bearer "+programtest.Token)
			req.Header.Set("Sec-Fetch-Site", "same-origin")
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Errorf("%s %.80s: %v", method, path+query, err)
				continue
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if n++; res.StatusCode >= 500 {
				t.Errorf("%s %.80s answered %d", method, path+query, res.StatusCode)
			}
		}
	}
	if n < 400 {
		t.Errorf("only %d requests", n)
	}
}
