package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/httpapi"
	"rollcall/storage"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	mapped := "Mail,Who\na@example.com,A\n"
	for _, tt := range []struct {
		name, query string
		parts       []field // without the file
		content     string
		blames      string // the rejected parameter; "" for none
		says        string // part of the detail
		status      string // of the import
	}{
		{name: "none", status: "completed"},
		{name: "dry run in the query", query: "?dry_run=true", status: "ready"},
		{name: "one in the query, another in the form", query: "?dry_run=true", parts: []field{{name: "send_invitations", value: "false"}}, status: "ready"},
		{name: "part before the file", parts: []field{{name: "<dry_run", value: "true"}}, status: "ready"},
		{name: "delimiter by name", parts: []field{{name: "delimiter", value: "semicolon"}}, content: "email;name\nd@example.com;D\n", status: "completed"},
		{name: "delimiter tab", parts: []field{{name: "delimiter", value: "\t"}}, content: "email\tname\ne@example.com\tE\n", status: "completed"},
		{name: "encoding", query: "?encoding=Windows-1252", content: "email,name\nf@example.com,\xc4nne\n", status: "completed"},
		{name: "mapping", parts: []field{{name: "mapping", value: `{"email":"Mail","name":"Who"}`}}, content: mapped, status: "completed"},
		{name: "a name in two columns", parts: []field{{name: "mapping", value: `{"name":["First","Last"]}`}}, content: "email,First,Last\ng@example.com,G,H\n", status: "completed"},
		{name: "an encoding as people write it", query: "?encoding=Latin-1", content: "email,name\nh@example.com,\xc4nne\n", status: "completed"},
		{name: "blank mapping", query: "?mapping=", status: "completed"},
		{name: "update", query: "?on_duplicate=update", status: "completed"},

		{name: "no truth", query: "?dry_run=1", blames: "dry_run"},
		{name: "blank truth", parts: []field{{name: "send_invitations"}}, blames: "send_invitations"},
		{name: "no such way", query: "?on_duplicate=merge", blames: "on_duplicate"},
		{name: "no such encoding", query: "?encoding=klingon", blames: "encoding"},
		{name: "no such delimiter", query: "?delimiter=%23", blames: "delimiter"},
		{name: "mapping is no JSON", query: "?mapping=email", blames: "mapping"},
		{name: "mapping is no object of texts", query: `?mapping={"email":1}`, blames: "mapping"},
		{name: "mapping of another column", query: `?mapping={"phone":"x"}`, blames: "mapping", says: `unknown column "phone"; the columns are`},
		{name: "mapping to nothing", query: `?mapping={"email":"+"}`, blames: "mapping"},
		{name: "mapping a list for an address", query: `?mapping={"email":["x","y"]}`, blames: "mapping"},
		{name: "mapping an empty list", query: `?mapping={"name":[]}`, blames: "mapping"},
		{name: "mapping a list of too many", query: `?mapping={"name":["a","b","c","d","e","f"]}`, blames: "mapping"},
		{name: "mapping one twice in a list", query: `?mapping={"name":["a","a"]}`, blames: "mapping"},
		{name: "mapping a list to nothing", query: `?mapping={"name":["a",""]}`, blames: "mapping"},
		{name: "mapping a separator of ours", query: `?mapping={"name":"a\u001fb"}`, blames: "mapping"},
		{name: "mapping two to one", query: `?mapping={"email":"x","name":"x"}`, blames: "mapping"},
		{name: "webhook to a machine's own", query: "?webhook_url=https://127.0.0.1/hook", blames: "webhook_url"},
		{name: "twice in the query", query: "?dry_run=true&dry_run=true", blames: "dry_run"},
		{name: "twice in the form", parts: []field{{name: "dry_run", value: "true"}, {name: "dry_run", value: "true"}}, blames: "dry_run"},
		{name: "in the query and the form", query: "?dry_run=true", parts: []field{{name: "dry_run", value: "false"}}, blames: "dry_run", says: "dry_run is set more than once"},
		{name: "in the query and before the file", query: "?dry_run=true", parts: []field{{name: "<dry_run", value: "false"}}, blames: "dry_run", says: "dry_run is set more than once"},
		{name: "the same in the query and the form", query: "?dry_run=true", parts: []field{{name: "dry_run", value: "true"}}, blames: "dry_run", says: "dry_run is set more than once"},
		{name: "misspelt in the query", query: "?dryRun=true", blames: "dry_run", says: `Unknown parameter "dryRun". Did you mean dry_run?`},
		{name: "misspelt in the form", parts: []field{{name: "dry-run", value: "true"}}, blames: "dry_run", says: `Unknown parameter "dry-run". Did you mean dry_run?`},
		{name: "shortened", parts: []field{{name: "dry", value: "true"}}, blames: "dry_run", says: `Unknown parameter "dry". Did you mean dry_run?`},
		{name: "shortened in the query", query: "?dry=true", blames: "dry_run"},
		{name: "in the singular", parts: []field{{name: "send_invitation", value: "false"}}, blames: "send_invitations"},
		{name: "in camel case", parts: []field{{name: "onDuplicate", value: "update"}}, blames: "on_duplicate"},
		{name: "behind the file", parts: []field{{name: "dryrun", value: "true"}}, blames: "dry_run"},
		{name: "too long", parts: []field{{name: "mapping", value: strings.Repeat(" ", 70_000)}}, blames: "mapping"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := h.on(t)
			if tt.content == "" {
				tt.content = "email,name\n"
			}
			fields := []field{file(tt.content)}
			for _, f := range tt.parts {
				if name, before := strings.CutPrefix(f.name, "<"); before {
					f.name = name
					fields = append([]field{f}, fields...)
				} else {
					fields = append(fields, f)
				}
			}
			c := uploadCall(fields)
			c.path += tt.query
			a := h.do(c)
			if tt.blames != "" {
				p := h.wantProblem(a, 400, "invalid_parameter")
				if len(p.Errors) != 1 || p.Errors[0].Parameter != tt.blames || p.Errors[0].Detail != p.Detail || !strings.Contains(p.Detail, tt.says) {
					t.Errorf("%+v", p)
				}
				return
			}
			h.want(a, 200)
			if got := as[importBody](t, a); got.Status != tt.status || got.Failed != 0 {
				t.Errorf("%s", a.body)
			}
		})
	}
}

func TestHeldInvitations(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	i := as[importBody](t, h.upload([]field{file(people(2)), {name: "send_invitations", value: "false"}}))
	if i.Invitations.Held != 2 || i.Invitations.Pending != 0 {
		t.Fatalf("%+v", i.Invitations)
	}
	a := h.post(i.Links.Self + "/invitations/resend")
	h.want(a, 202)
	if got := strings.TrimSpace(string(a.body)); got != `{"resent":2}` {
		t.Errorf("%s", got)
	}
	if i = as[importBody](t, h.get(i.Links.Self)); i.Invitations.Held != 0 || i.Invitations.Pending != 2 {
		t.Errorf("%+v", i.Invitations)
	}
}

func TestBodiesThatAreNoForm(t *testing.T) {
	t.Parallel()
	h := silent(newTestEnv(t, func(d *httpapi.Deps) { d.ImportWait, d.MaxUploadBytes = 0, 2000 }))
	const head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.csv\"\r\n\r\n"
	const good = head + "email,name\r\n--b--\r\n"
	const blank = "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n\r\n"
	for _, tt := range []struct {
		name, mediaType, encoding, body string
		status                          int
		code                            string
	}{
		{"good", "multipart/form-data; boundary=b", "", good, 202, ""},
		{"identity is no compression", "Multipart/Form-Data; boundary=b", "identity", good, 202, ""},
		{"no boundary", "multipart/form-data", "", good, 400, "invalid_multipart"},
		{"broken parameters", "multipart/form-data; boundary", "", good, 400, "invalid_multipart"},
		{"another boundary", "multipart/form-data; boundary=c", "", good, 400, "invalid_multipart"},
		{"breaks off in the file", "multipart/form-data; boundary=b", "", head + "email,na", 400, "invalid_multipart"},
		{"breaks off behind the file", "multipart/form-data; boundary=b", "", head + "email,name\r\n--b\r\n", 400, "invalid_multipart"},
		{"nothing", "multipart/form-data; boundary=b", "", "", 400, "invalid_multipart"},
		{"no parts", "multipart/form-data; boundary=b", "", "--b--\r\n", 400, "missing_file"},
		{"another part", "multipart/form-data; boundary=b", "", "--b\r\nContent-Disposition: form-data; name=\"csv\"\r\n\r\nx\r\n--b--\r\n", 400, "missing_file"},
		{"two files", "multipart/form-data; boundary=b", "", head + "email,name\r\n" + good, 400, "invalid_multipart"},
		{"file of the largest size", "multipart/form-data; boundary=b", "", head + strings.Repeat("x", 2000) + "\r\n--b--\r\n", 202, ""},
		{"file one byte too large", "multipart/form-data; boundary=b", "", head + strings.Repeat("x", 2001) + "\r\n--b--\r\n", 413, "file_too_large"},
		{"CSV as it is", "text/csv", "", "email,name\n", 415, "unsupported_media_type"},
		{"JSON", "application/json", "", "{}", 415, "unsupported_media_type"},
		{"no media type", "", "", "email,name\n", 415, "unsupported_media_type"},
		{"another multipart", "multipart/mixed; boundary=b", "", good, 415, "unsupported_media_type"},
		{"compressed", "multipart/form-data; boundary=b", "gzip", good, 415, "unsupported_media_type"},
		{"compressed after all", "multipart/form-data; boundary=b", "identity\ngzip", good, 415, "unsupported_media_type"},
		{"compressed twice", "multipart/form-data; boundary=b", "identity, br", good, 415, "unsupported_media_type"},
		{"a hundred parts", "multipart/form-data; boundary=b", "", strings.Repeat(blank, 99) + good, 202, ""},
		{"too many parts", "multipart/form-data; boundary=b", "", strings.Repeat(blank, 100) + good, 400, "invalid_multipart"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := h.on(t)
			header := http.Header{}
			if tt.mediaType != "" {
				header.Set("Content-Type", tt.mediaType)
			}
			if tt.encoding != "" {
				header["Content-Encoding"] = strings.Split(tt.encoding, "\n")
			}
			a := h.do(call{method: "POST", path: importPath, header: header, body: strings.NewReader(tt.body)})
			if tt.code == "" {
				h.want(a, tt.status)
				return
			}
			p := h.wantProblem(a, tt.status, tt.code)
			if tt.code == "file_too_large" && !strings.Contains(p.Detail, "2000 bytes") {
				t.Errorf("the detail does not tell the limit: %s", p.Detail)
			}
		})
	}
	if n := len(as[listBody[importBody]](t, h.get(importsPath+"?limit=200")).Items); n > 4 {
		t.Errorf("%d imports came of 4 good forms", n)
	}
}

// counting is a body that counts how much of it was read.
type counting struct {
	io.Reader
	read int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += int64(n)
	return n, err
}

func TestTooLargeIsToldWithoutReadingWhereTheLengthIsKnown(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) { d.MaxUploadBytes = 1000 })
	const length = 64 << 20
	body := &counting{Reader: io.LimitReader(zeros{}, length)}
	req, err := http.NewRequestWithContext(t.Context(), "POST", h.url+importPath, body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = length
	req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	req.Header.Set("Authorization", "Bearer "+adminToken)
	req.Header.Set("Expect", "100-continue")
	transport := &http.Transport{ExpectContinueTimeout: time.Minute}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 413 || body.read != 0 {
		t.Errorf("status %d after %d bytes", res.StatusCode, body.read)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// slowly begins an upload over a separate connection and stalls after the given
// bytes.
func (h *testEnv) slowly(begin string, headers ...string) net.Conn {
	h.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 7000000\r\n%s\r\n", importPath, adminToken, strings.Join(headers, ""))
	if _, err := fmt.Fprintf(conn, "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.csv\"\r\n\r\n%s", begin); err != nil {
		h.Fatal(err)
	}
	return conn
}

func TestSlowBodyIsGivenUp(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) { d.Uploads.ReadTimeoutPerMiB = 200 * time.Millisecond })
	for _, begin := range []string{"email,", strings.Repeat("x", storage.ChunkSize+10)} {
		res, err := http.ReadResponse(bufio.NewReader(h.slowly(begin)), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		h.wantProblem(answer{res.StatusCode, res.Header, body}, 408, "upload_too_slow")
	}
	if n := len(as[listBody[importBody]](t, h.get(importsPath)).Items); n != 0 {
		t.Errorf("%d imports came of bodies that did not", n)
	}
}

func TestSlowSmallUploadsHoldNoConnection(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	for range 40 {
		h.slowly("email,name\n")
	}
	for range 20 { // more than once: the slow ones have had time to get there
		h.want(h.get(importsPath), 200)
	}
	inUse := func() int { return h.store.DB().Stats().InUse }
	for end := time.Now().Add(10 * time.Second); inUse() > 2 && time.Now().Before(end); { // the watcher may be looking
		time.Sleep(10 * time.Millisecond)
	}
	if n := inUse(); n > 2 {
		t.Errorf("%d connections are in use", n)
	}
}

func TestLargeUploadsTakeTurns(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) {
		d.ImportWait, d.Uploads.Large, d.Uploads.Wait = 0, 1, 50*time.Millisecond
	})
	large := strings.Repeat("x", storage.ChunkSize+10)
	conn := h.slowly(large)
	var a answer
	for n := 1; ; n++ { // until the slow one has come that far
		if a = h.upload([]field{file(large)}); a.status != 202 {
			break
		}
		if n%10 == 0 { // it waited so long for the slow one that it was rejected
			conn.Close()
			conn = h.slowly(large)
		}
	}
	h.wantProblem(a, 503, "too_many_uploads")
	h.want(h.upload([]field{file("email,name\n")}), 202) // small files need no free place
	conn.Close()
	for h.upload([]field{file(large)}).status != 202 { // until that is noticed
	}
}

// TestNoFileChosenIsAMissingFile: browsers send a part without a name and
// content. A file with a name and no content is an empty file.
func TestNoFileChosenIsAMissingFile(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	const head = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename="
	for name, code := range map[string]string{`""`: "missing_file", `"people.csv"`: "empty_file"} {
		a := h.do(call{
			method: "POST", path: importPath, header: http.Header{"Content-Type": {"multipart/form-data; boundary=x"}},
			body: strings.NewReader(head + name + "\r\nContent-Type: application/octet-stream\r\n\r\n\r\n--x--\r\n"),
		})
		if p := as[problemBody](t, a); p.Code != code {
			t.Errorf("filename=%s: %s, want %s", name, p.Code, code)
		}
	}
}
