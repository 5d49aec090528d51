package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"rollcall/httpapi"
	"rollcall/storage"
)

// multipartUpload begins an upload over a connection of its own, with the body
// that is given and more announced.
func (h *testEnv) multipartUpload(token, body string) net.Conn {
	h.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { conn.Close() })
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 7000000\r\n\r\n%s", importPath, token, body)
	if err != nil {
		h.Error(err)
	}
	return conn
}

// answerOn reads the answer on a connection.
func (h *testEnv) answerOn(conn net.Conn, within time.Duration) answer {
	h.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(within))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		h.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, body}
}

func TestPartHeadersAreBounded(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	for name, head := range map[string]string{
		"a long line":         "X-Long: " + strings.Repeat("x", 20<<10) + "\r\n",
		"many lines":          strings.Repeat("a:\r\n", 200),
		"before the boundary": "\r\n\r\n" + strings.Repeat("x\r\n", 10<<10),
	} {
		body := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.csv\"\r\n" + head + "\r\nemail,name\r\n--b--\r\n"
		if name == "before the boundary" {
			body = head + body[:5] + "Content-Disposition: form-data; name=\"file\"; filename=\"x.csv\"\r\n\r\nemail,name\r\n--b--\r\n"
		}
		a := h.do(call{method: "POST", path: importPath, body: strings.NewReader(body), header: http.Header{"Content-Type": {"multipart/form-data; boundary=b"}}})
		if a.status != 400 {
			t.Errorf("%s: status %d, %s", name, a.status, a.body)
		}
	}
	// Parts that mean nothing to us may be large, and come first.
	h.want(h.upload([]field{{"comment", "", strings.Repeat("c", 100<<10)}, file(people(1))}), 200)
}

// TestUnfinishedUploadsTakeLittleMemory: 400 connections that send the most that is
// taken of them and then nothing hold less than 64 MB, in part headers or in files.
func TestUnfinishedUploadsTakeLittleMemory(t *testing.T) {
	h := newTestEnv(t, nil)
	token := h.token("imports")
	const head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.csv\"\r\n"
	bodies := []string{head + "X: " + strings.Repeat("x", 900<<10), head + "\r\nemail,name\n" + strings.Repeat("x", 900<<10)}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for n := range 400 {
		conn := h.multipartUpload(token, head[:20])
		body := bodies[n%len(bodies)]
		go func() { _, _ = io.WriteString(conn, body[20:]) }()
	}
	time.Sleep(2 * time.Second)
	runtime.GC()
	runtime.ReadMemStats(&after)
	// The test's own ends of the connections are among it.
	grown := (int64(after.HeapInuse+after.StackInuse) - int64(before.HeapInuse+before.StackInuse)) >> 20
	t.Logf("%d MB for 400 unfinished uploads", grown)
	if grown > 64 {
		t.Errorf("400 unfinished uploads take %d MB", grown)
	}
}

// TestUploadsOfOneTokenLeavePlacesForOthers: however many slow uploads a token has,
// two of them are large, and another token's are taken.
func TestUploadsOfOneTokenLeavePlacesForOthers(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) { d.ImportWait, d.Uploads.Wait = 0, 300*time.Millisecond })
	const head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.csv\"\r\n\r\n"
	large := head + strings.Repeat("x", storage.ChunkSize+10)
	slow := h.token("imports")
	var conns []net.Conn
	for range 6 {
		conns = append(conns, h.multipartUpload(slow, large))
	}
	time.Sleep(time.Second)
	arriving := 0
	if err := h.store.DB().QueryRow(`SELECT count(*) FROM import_uploads`).Scan(&arriving); err != nil {
		t.Fatal(err)
	}
	if arriving != 2 {
		t.Errorf("%d large uploads of one token at once, want 2", arriving)
	}
	var open int
	if err := h.store.DB().QueryRow(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'`).Scan(&open); err != nil {
		t.Fatal(err)
	}
	if open != 0 {
		t.Errorf("%d transactions are open while clients dawdle", open)
	}
	other := uploadCall([]field{file(strings.Repeat("x", storage.ChunkSize+10))})
	other.token = h.token("imports")
	h.want(h.do(other), 202)
	for _, conn := range conns {
		conn.Close()
	}
	for began := time.Now(); arriving > 0 && time.Since(began) < 10*time.Second; time.Sleep(50 * time.Millisecond) {
		if err := h.store.DB().QueryRow(`SELECT count(*) FROM import_uploads`).Scan(&arriving); err != nil {
			t.Fatal(err)
		}
	}
	var chunks int
	if err := h.store.DB().QueryRow(`SELECT count(*) FROM import_chunks`).Scan(&chunks); err != nil {
		t.Fatal(err)
	}
	if arriving != 0 || chunks != 2 { // of the other token's file
		t.Errorf("broken uploads leave %d entries and %d chunks beside 2", arriving, chunks-2)
	}
}

// TestBodyBelowTheLeastRateIsGivenUp: each MiB comes in its time, and the whole is
// too slow all the same.
func TestBodyBelowTheLeastRateIsGivenUp(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) { d.Uploads.ReadTimeoutPerMiB, d.Uploads.Rate = 2*time.Second, 4<<20 })
	conn := h.multipartUpload(adminToken, "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.csv\"\r\n\r\n")
	go func() {
		for range 6 {
			time.Sleep(time.Second) // a MiB a second, each within 2 s
			if _, err := io.WriteString(conn, strings.Repeat("x", 1<<20)); err != nil {
				return
			}
		}
	}()
	began := time.Now()
	h.wantProblem(h.answerOn(conn, 20*time.Second), 408, "upload_too_slow")
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("given up after %s", took)
	}
}

func TestUploadBudgetIsTold(t *testing.T) {
	t.Parallel()
	content := people(10)
	h := newTestEnv(t, func(d *httpapi.Deps) { d.Uploads.DailyBytes = int64(len(content)) + 10 })
	first := h.upload([]field{file(content)})
	h.want(first, 200)
	if policy := first.header.Values("RateLimit-Policy"); len(policy) != 2 || policy[1] != fmt.Sprintf(`"upload-bytes";q=%d;w=86400;qu="content-bytes"`, len(content)+10) {
		t.Errorf("RateLimit-Policy %q", policy)
	}
	again := h.upload([]field{file(content)})
	h.wantProblem(again, 429, "too_many_requests")
	if again.header.Get("Retry-After") == "" || !strings.HasPrefix(again.header.Values("RateLimit")[1], `"upload-bytes";r=10;t=`) {
		t.Errorf("header %v", again.header)
	}
	other := uploadCall([]field{file(content)})
	other.token = h.token("imports")
	h.want(h.do(other), 200)
}
