package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/devstack"
	"rollcall/test/otlptest"
	"rollcall/test/programtest"
	"rollcall/test/redistest"
	"rollcall/test/smtptest"
)

// canaries are values that must not leak, by what each is.
type canaries map[string]string

// Personal data that may be in the database, and nowhere else.
const (
	canaryAddress  = "kanarie-7f3a@canary.example"
	canaryName     = "Zwitscher Kanarienvogel"
	canaryCell     = "a cell that nobody asked for 4411"
	canaryPassword = "a canary sings before dawn"
	canaryWrong    = "a canary nobody has heard of"
	canaryEnvSMTP  = "canary-of-the-environment-9931"
)

const canaryFile = "email,name,department,Notes\n" +
	canaryAddress + "," + canaryName + ",Aviary," + canaryCell + "\n" +
	canaryAddress + "," + canaryName + ",Aviary," + canaryCell + "\n" +
	"kanarie-7f3a@@canary.example,Zwitscher Kanarienvogel,,\n" +
	"kanarie-7f3a-bounces@canary.example," + canaryName + "x,,\n"

// TestCanaries sends an address, a name, a cell, passwords, tokens, links and
// the secrets of a mail server and a webhook through the whole product, with
// faults on the way. None is in a log, in anything sent to Redis, in the
// metrics or in the traces; and no secret is in a dump of the database, in a
// page or in a response.
func TestCanaries(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	monitor := watchRedis(t, redis.URL())
	traces := otlptest.Start(t)
	apiMetrics, workerMetrics := freeAddress(t), freeAddress(t)
	h := newTestEnv(t, redis.URL(), "ROLLCALL_WEBHOOK_ALLOW_PRIVATE=127.0.0.0/8", "ROLLCALL_LOG_LEVEL=debug",
		"SMTP_URL=smtp://canary:"+canaryEnvSMTP+"@localhost:1?tls=none", "ROLLCALL_METRICS_LISTEN="+apiMetrics, "ROLLCALL_BOUNCE_ADDRESS=bounces@mail.example.com",
		"OTEL_EXPORTER_OTLP_ENDPOINT="+traces.URL, "OTEL_BSP_SCHEDULE_DELAY=100")
	api := h.startAPI()
	h.env = append(h.env, "ROLLCALL_METRICS_LISTEN="+workerMetrics)
	worker := h.startWorker()

	secrets := h.sing()
	people := canaries{"address": canaryAddress, "name": canaryName, "cell": canaryCell}
	logs := api.Output() + worker.Output()
	if len(logs) < 2000 || monitor.len() < 2000 {
		t.Fatalf("only %d bytes of logs, %d of commands to Redis", len(logs), monitor.len())
	}
	metrics := fetch(t, "http://"+apiMetrics+"/metrics") + fetch(t, "http://"+workerMetrics+"/metrics")
	if !strings.Contains(metrics, "rollcall_") {
		t.Fatal("no metrics")
	}
	for end := time.Now().Add(10 * time.Second); len(traces.Spans()) < 20 && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	spans := fmt.Sprintf("%+v", traces.Spans())
	if len(traces.Spans()) < 20 {
		t.Fatalf("only %d spans", len(traces.Spans()))
	}
	for _, all := range []canaries{people, secrets} {
		all.absent(t, "the traces", spans)
		all.absent(t, "the logs", logs)
		all.absent(t, "Redis", monitor.String())
		all.absent(t, "the metrics", metrics)
	}
	dump := h.dump()
	if !strings.Contains(dump, canaryAddress) || !strings.Contains(dump, "COPY public.users") {
		t.Fatal("the dump is none")
	}
	secrets.absent(t, "a dump of the database", dump)
	h.absentFromAnswers(secrets)
}

// absent looks for canaries as they are, in hexadecimal and in Base64.
func (c canaries) absent(t *testing.T, where, text string) {
	t.Helper()
	for what, canary := range c {
		for _, form := range []string{canary, hex.EncodeToString([]byte(canary)), base64.StdEncoding.EncodeToString([]byte(canary)), url.QueryEscape(canary)} {
			if at := strings.Index(text, form); at >= 0 {
				t.Errorf("the canary %s is in %s: …%s…", what, where, text[max(0, at-120):min(len(text), at+len(form)+60)])
				break
			}
		}
	}
}

// sing does everything that people and programs do with secrets, and returns
// them.
func (h *testEnv) sing() canaries {
	h.Helper()
	secrets := canaries{
		"ADMIN_API_TOKEN": programtest.Token, "ROLLCALL_SECRET": "0123456789abcdef0123456789abcdef", "SMTP_URL's password": canaryEnvSMTP,
		"SMTP password": smtptest.Password, "password": canaryPassword, "wrong password": canaryWrong,
	}
	server := smtptest.Start(h.T, smtptest.Config{Auth: "PLAIN", Script: func(e *smtptest.Event) {
		if e.Verb == "RCPT" && strings.Contains(e.Line, "bounces") {
			e.Reply = "550 5.1.1 " + e.Line + ": no such user" // servers like to repeat the recipient
		}
		if e.Verb == "AUTH" && e.Count == 1 {
			e.Reply = "535 5.7.8 " + smtptest.Password + " is wrong" // and one repeats the password
		}
	}})
	settings := `{"host": "localhost", "port": ` + strings.TrimPrefix(server.Address(), "localhost:") + `, "security": "none", "user": "` + smtptest.User + `", "password": "` + smtptest.Password + `", "from": "hr@example.com"}`
	if a := h.ask("PUT", "/api/admin/settings/email", strings.NewReader(settings), "Content-Type", "application/json"); a.status != 200 {
		h.Fatalf("settings: %d %s", a.status, a.body)
	}
	for range 2 { // rejected, then accepted
		h.ask("POST", "/api/admin/settings/email/test", strings.NewReader(`{"to": "`+canaryAddress+`"}`), "Content-Type", "application/json")
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusInternalServerError)
	}))
	h.Cleanup(receiver.Close)
	var i struct {
		imported
		Webhook struct{ ID, Secret string }
	}
	h.post(canaryFile, []string{"Prefer", "wait=20"}, "webhook_url", receiver.URL).read(&i)
	h.until(i.ID, 30*time.Second, func(i imported) bool { return mailed(i) && i.Invitations.Failed == 1 })
	var rotated struct{ Secret string }
	h.ask("POST", "/api/admin/webhooks/"+i.Webhook.ID+"/rotate", nil).read(&rotated)
	secrets["webhook secret"], secrets["new webhook secret"] = i.Webhook.Secret, rotated.Secret

	secrets["invitation link"] = h.link(server, "/invite/")
	secrets["bounce token"] = regexp.MustCompile(`[a-z2-7]{48}`).FindString(server.Mails()[len(server.Mails())-1].From)
	h.submit("/invite/"+secrets["invitation link"], "password", canaryPassword)
	h.submit("/signin", "email", canaryAddress, "password", canaryWrong)
	secrets["session"] = h.submit("/signin", "email", canaryAddress, "password", canaryPassword).cookie()
	h.submit("/forgot", "email", canaryAddress)
	secrets["reset link"] = h.link(server, "/reset/")
	h.submit("/reset/"+secrets["reset link"], "password", canaryPassword+" again")

	created := h.rollcall("token", "create", "--name", "canary", "--scope", "admin")
	secrets["API token"] = regexp.MustCompile(`rc_[A-Za-z0-9]{49}`).FindString(created)
	for _, bearer := range []string{secrets["API token"], "Bearer " + canaryWrong, canaryWrong} {
		h.ask("GET", "/api/admin/users?email="+url.QueryEscape(canaryAddress)+"&q="+url.QueryEscape(canaryName), nil, "Authorization", "Bearer "+bearer)
	}
	h.post(canaryFile, nil, "mapping", `{"email": "`+canaryAddress+`"}`) // rejected: no such header
	h.post("email\n"+canaryAddress+"\n", nil, "dry_run", canaryName)     // rejected: no such choice
	for what, secret := range secrets {
		if len(secret) < 20 {
			h.Fatalf("the canary %s is %q", what, secret)
		}
	}
	return secrets
}

// submitted is the response to a form.
type submitted struct{ header http.Header }

// submit posts a form like a browser.
func (h *testEnv) submit(path string, fields ...string) submitted {
	h.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	r, err := http.NewRequest("POST", h.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		h.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultTransport.RoundTrip(r) // follows no redirect
	if err != nil {
		h.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 500 {
		h.Fatalf("%s: %d", path, res.StatusCode)
	}
	return submitted{res.Header}
}

// cookie returns the value of the session's cookie, if the sign-in set one.
func (s submitted) cookie() string {
	for _, c := range (&http.Response{Header: s.header}).Cookies() {
		if c.Name == "rollcall_session" {
			return c.Value
		}
	}
	return ""
}

// link waits for a mail with a link of a kind and returns its secret part.
func (h *testEnv) link(server *smtptest.Server, kind string) string {
	h.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for _, m := range server.Mails() {
			text := strings.ReplaceAll(m.Data, "=\r\n", "") // quoted-printable breaks long lines
			if found := regexp.MustCompile(kind + `([A-Za-z0-9_-]{20,})`).FindStringSubmatch(text); found != nil && m.To == canaryAddress {
				return found[1]
			}
		}
	}
	h.Fatalf("no mail with a link %s…", kind)
	return ""
}

// dump returns the output of pg_dump.
func (h *testEnv) dump() string {
	h.Helper()
	found, err := devstack.FindPostgres(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	var database string
	for _, v := range h.env {
		if value, ok := strings.CutPrefix(v, "DATABASE_URL="); ok {
			database = value
		}
	}
	program := filepath.Join(found.Dir, "pg_dump")
	if _, err := os.Stat(program); err != nil { // only the server's programs are linked there
		program = "pg_dump"
	}
	out, err := exec.Command(program, "--dbname", database).Output()
	if err != nil {
		h.Fatalf("pg_dump: %v", err)
	}
	return string(out)
}

// absentFromAnswers reads every page and list an administrator has.
func (h *testEnv) absentFromAnswers(secrets canaries) {
	h.Helper()
	link := h.rollcall("user", "create-admin", "--email", "keeper@example.com", "--name", "Keeper")
	h.submit(regexp.MustCompile(`/invite/[A-Za-z0-9_-]+`).FindString(link), "password", "the keeper feeds them all")
	session := h.submit("/signin", "email", "keeper@example.com", "password", "the keeper feeds them all").cookie()
	if session == "" {
		h.Fatal("the keeper is not let in")
	}
	for _, path := range []string{
		"/admin/users", "/admin/settings/email", "/admin/settings/tokens", "/admin/audit", "/admin/imports", "/admin/users/export.csv",
		"/api/admin/users", "/api/admin/users/imports", "/api/admin/settings/email", "/api/admin/webhooks", "/openapi.json", "/healthz", "/readyz",
	} {
		a := h.ask("GET", path, nil, "Cookie", "rollcall_session="+session)
		if a.status != http.StatusOK {
			h.Errorf("%s: %d", path, a.status)
		}
		secrets.absent(h.T, path, string(a.body))
	}
}

// commands is everything that was sent to a Redis.
type commands struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// watchRedis keeps every command, with its keys and values, until the test ends.
func watchRedis(t *testing.T, redisURL string) *commands {
	t.Helper()
	u, err := url.Parse(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	c, done := &commands{}, make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(c, conn) // until it is closed
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	if _, err := io.WriteString(conn, "MONITOR\r\n"); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *commands) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(p)
}

func (c *commands) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

func (c *commands) len() int { return len(c.String()) }

// freeAddress returns a loopback address on which no program listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func fetch(t *testing.T, address string) string {
	t.Helper()
	res, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
