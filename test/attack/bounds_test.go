package attack_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/test/programtest"
)

// memory returns a program's resident memory in bytes; 0 if unknown.
func memory(p *programtest.Program) (n int64) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if m := regexp.MustCompile(`VmRSS:\s+(\d+)`).FindSubmatch(status); err == nil && m != nil {
		fmt.Sscan(string(m[1]), &n)
	}
	return n << 10
}

// dial starts an upload by hand: it sends the head of the request and of its
// part.
func (h *testEnv) dial(token string, length int, part string) net.Conn {
	h.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n%s",
		importPath, token, length, part)
	return conn
}

const partHead = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\nemail,name\n"

// TestUnfinishedUploadsAreCheap: 400 uploads that never end take less than 64
// MB, and the head of a part may have at most 16 kB.
func TestUnfinishedUploadsAreCheap(t *testing.T) {
	t.Parallel()
	h := install(t)
	before := memory(h.api)
	for range 400 {
		h.dial(programtest.Token, 900_000, partHead+strings.Repeat("x", 64<<10))
	}
	time.Sleep(2 * time.Second)
	if grown := memory(h.api) - before; grown > 64<<20 {
		t.Errorf("400 unfinished uploads took %d MB", grown>>20)
	}
	head := "--b\r\nX-Filler: " + strings.Repeat("x", 20<<10) + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\nemail,name\n\r\n--b--\r\n"
	conn := h.dial(h.token("imports"), len(head), head)
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode < 400 || res.StatusCode >= 500 {
		t.Errorf("a part with a head of 20 kB: %v, %v", res, err)
	}
}

// TestSlowUploadsHoldLittle: slow clients of one token keep no transaction
// open, and do not use up the slots of other tokens.
func TestSlowUploadsHoldLittle(t *testing.T) {
	t.Parallel()
	h := install(t)
	token := h.token("imports")
	for range 30 {
		h.dial(token, 50<<20, partHead+strings.Repeat("x", 3<<18))
	}
	time.Sleep(2 * time.Second)
	if n := query[int](h, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction' AND state_change < now() - interval '1 second'`); n > 0 {
		t.Errorf("%d transactions are open while clients dawdle", n)
	}
	began := time.Now()
	if i := h.imported(h.upload(programtest.Token, people(50_000), "send_invitations", "false", "dry_run", "true")); i.Status != "ready" || time.Since(began) > 15*time.Second {
		t.Errorf("another token's upload is %s after %s", i.Status, time.Since(began))
	}
}

// TestPagesAreBounded: a page of rows with large cells ends at 4 MiB.
func TestPagesAreBounded(t *testing.T) {
	t.Parallel()
	h := install(t)
	var file strings.Builder
	file.WriteString("email,name,notes\n")
	for i := range 30 {
		fmt.Fprintf(&file, "bad-%d,Person,%s\n", i, strings.Repeat("x", 700<<10))
	}
	i := h.imported(h.upload(programtest.Token, file.String(), "dry_run", "true"))
	a := h.call(programtest.Token, "GET", i.Links.Self+"/rows?limit=1000&only=errors", nil)
	if a.status != 200 || len(a.body) > 5<<20 {
		t.Errorf("status %d, %d bytes", a.status, len(a.body))
	}
}

// TestErrorsTakeLittleDisk: stored row errors take less than twice the size of
// the file.
func TestErrorsTakeLittleDisk(t *testing.T) {
	t.Parallel()
	h := install(t)
	file := "email,name\n" + strings.Repeat("a\n", 200_000)
	size := `SELECT COALESCE(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class WHERE relkind = 'r' AND relname LIKE 'import_error%'`
	before := query[int64](h, size)
	i := h.imported(h.upload(programtest.Token, file, "dry_run", "true"))
	if stored := query[int64](h, size) - before; stored > 2*int64(len(file)) {
		t.Errorf("%d kB are stored for the errors of a file of %d kB", stored>>10, len(file)>>10)
	}
	res, err := http.NewRequest("GET", h.url+i.Links.Self+"/errors.csv", nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Header.Set("Authorization", "Bearer "+programtest.Token)
	got, err := http.DefaultClient.Do(res)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	report, _ := io.ReadAll(got.Body)
	if n := strings.Count(string(report), "\n"); n != 200_001 {
		t.Errorf("%d lines in the report", n)
	}
}

// TestUnfinishedJSONEnds: a JSON body that never ends is cut off within the
// read timeout.
func TestUnfinishedJSONEnds(t *testing.T) {
	t.Parallel()
	h := install(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /api/admin/settings/email HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{", programtest.Token)
	_ = conn.SetReadDeadline(time.Now().Add(35 * time.Second))
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("after 35 seconds: %v", err)
	}
}

// TestNobodyBlocksSignIn: a user who signs in again and again has a bounded
// number of sessions, and does not keep others out.
func TestNobodyBlocksSignIn(t *testing.T) {
	t.Parallel()
	h := install(t)
	h.administrator("other@example.com")
	one := h.administrator("one@example.com")
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 40 {
		again := h.browser()
		for name, value := range one.cookie {
			again.cookie[name] = value
		}
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					again.quietly("/signin", url.Values{"email": {"one@example.com"}, "password": {password}})
				}
			}
		})
	}
	time.Sleep(time.Second)
	began := time.Now()
	a := h.browser().signIn("other@example.com")
	if a.status != http.StatusSeeOther || time.Since(began) > 8*time.Second {
		t.Errorf("another user's sign-in answered %d after %s", a.status, time.Since(began))
	}
	close(stop)
	all.Wait()
	if n := query[int](h, `SELECT count(*) FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.email_key = 'one@example.com'`); n > 20 {
		t.Errorf("one account has %d sessions", n)
	}
}

// quietly posts a form and ignores the response.
func (b *browser) quietly(path string, form url.Values) {
	req, err := http.NewRequest("POST", b.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	for name, value := range b.cookie {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	if res, err := b.client.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
}
