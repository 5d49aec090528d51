//go:build unix

package e2e_test

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/test/programtest"
)

// TestBehindProxy runs nginx and Caddy with the configuration of
// docs/configuration.md: a large upload goes through, events arrive as they are
// sent, and the audit log has the client's address, not one that the client made up.
func TestBehindProxy(t *testing.T) {
	for name, start := range map[string]func(*testEnv, string) string{"nginx": startNginx, "caddy": startCaddy} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t, smallRedis(t), "ROLLCALL_TRUSTED_PROXIES=127.0.0.1")
			h.startAPI()
			h.startWorker()
			h.url = start(h, strings.TrimPrefix(h.url, "http://"))
			// A client from another address than the proxy's own.
			transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext}
			t.Cleanup(transport.CloseIdleConnections)
			client := &http.Client{Transport: transport, Timeout: time.Minute}

			var file strings.Builder
			file.WriteString("email,name\n")
			for i := range 60_000 { // 2 MB; nginx takes 1 MB unless told otherwise
				fmt.Fprintf(&file, "person%d@example.com,Person Number %d\n", i, i)
			}
			body, contentType := form(file.String(), "dry_run", "true")
			res := h.through(client, http.MethodPost, "/api/admin/users/import", body, "Content-Type", contentType, "X-Forwarded-For", "203.0.113.9")
			var i imported
			err := json.NewDecoder(res.Body).Decode(&i)
			if res.Body.Close(); err != nil || i.ID == "" {
				t.Fatalf("the upload gets %d %+v (%v)", res.StatusCode, i, err)
			}
			if address := h.uploadedFrom(i.ID); address != "127.0.0.2" {
				t.Errorf("the audit log has the address %q", address)
			}
			h.until(i.ID, time.Minute, func(i imported) bool { return i.Status == "ready" })

			events := h.through(client, http.MethodGet, "/api/admin/users/imports/"+i.ID+"/events", nil, "Accept", "text/event-stream")
			defer events.Body.Close()
			for lines := bufio.NewScanner(events.Body); ; { // the stream stays open
				if !lines.Scan() {
					t.Fatalf("no event: %d %v", events.StatusCode, lines.Err())
				}
				if strings.HasPrefix(lines.Text(), "event: progress") {
					break
				}
			}
		})
	}
}

func (h *testEnv) through(client *http.Client, method, path string, body io.Reader, headers ...string) *http.Response {
	h.Helper()
	req, err := http.NewRequest(method, h.url+path, body)
	if err != nil {
		h.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+programtest.Token)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		h.Fatal(err)
	}
	return res
}

// uploadedFrom reads the address of who uploaded an import in the audit log.
func (h *testEnv) uploadedFrom(id string) (address string) {
	h.Helper()
	var database string
	for _, v := range h.env {
		if after, ok := strings.CutPrefix(v, "DATABASE_URL="); ok {
			database = after
		}
	}
	db, err := sql.Open("postgres", database)
	if err != nil {
		h.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(`SELECT address FROM audit_log WHERE action = 'import.create' AND target_id = $1`, id).Scan(&address); err != nil {
		h.Fatal(err)
	}
	return address
}

// documented returns the configuration of a proxy from the documentation, with
// other addresses.
func documented(h *testEnv, language string, replace ...string) string {
	h.Helper()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		h.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(page)
	if block == nil {
		h.Fatalf("no configuration of %s", language)
	}
	text := string(block[1])
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			h.Fatalf("the configuration of %s lacks %q", language, replace[i])
		}
		text = strings.Replace(text, replace[i], replace[i+1], 1)
	}
	return text
}

func startNginx(h *testEnv, api string) string {
	address := "127.0.0.1:" + freePort(h.T)
	dir := h.TempDir()
	server := documented(h, "nginx", "listen 443 ssl;", "listen "+address+";", "127.0.0.1:8080", api,
		"ssl_certificate     /etc/ssl/people.example.com.pem;", "", "ssl_certificate_key /etc/ssl/private/people.example.com.key;", "")
	file := filepath.Join(dir, "nginx.conf")
	var temporary strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	h.write(file, "daemon off; pid "+dir+"/pid; error_log stderr; events {}\nhttp {\naccess_log off;\n"+temporary.String()+server+"}\n")
	return serve(h, address, "nginx", "-e", "stderr", "-p", dir, "-c", file)
}

func startCaddy(h *testEnv, api string) string {
	address := "127.0.0.1:" + freePort(h.T)
	dir := h.TempDir()
	file := filepath.Join(dir, "Caddyfile")
	h.write(file, "{\n\tadmin off\n\tauto_https off\n\tstorage file_system "+dir+"\n}\n"+
		documented(h, "caddy", "people.example.com {", "http://"+address+" {\n\tbind 127.0.0.1", "127.0.0.1:8080", api))
	return serve(h, address, "caddy", "run", "--adapter", "caddyfile", "--config", file)
}

func (h *testEnv) write(file, content string) {
	h.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		h.Fatal(err)
	}
}

// serve runs a proxy until the test ends and returns its URL once it accepts
// connections.
func serve(h *testEnv, address, program string, args ...string) string {
	h.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if _, err = os.Stat("/usr/sbin/" + program); err != nil { // not on an ordinary user's PATH
			if os.Getenv("ROLLCALL_REQUIRE_ALL") == "1" {
				h.Fatal(err)
			}
			h.Skip(err)
		}
		path = "/usr/sbin/" + program
	}
	var said strings.Builder
	command := exec.Command(path, args...)
	command.Stdout, command.Stderr = &said, &said
	command.Env = append(os.Environ(), "HOME="+h.TempDir(), "XDG_CONFIG_HOME=", "XDG_DATA_HOME=")
	if err := command.Start(); err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
		if h.Failed() {
			h.Logf("%s said:\n%s", program, &said)
		}
	})
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return "http://" + address
		}
	}
	h.Fatalf("%s does not listen on %s", program, address)
	return ""
}
