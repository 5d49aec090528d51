// Package attack_test attacks the released programs: built once, started as
// processes, with a real PostgreSQL, a Redis and a real mail server. Each test
// is an attack that once worked, or one that must keep failing;
// docs/security.md lists them.
package attack_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	_ "github.com/lib/pq"
	"go.uber.org/goleak"

	"rollcall/internal/devstack"
	"rollcall/test/pgtest"
	"rollcall/test/programtest"
)

// binaries is where the programs are built.
var binaries string

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(programtest.Around(pgtest.Around(m), &binaries), goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

const importPath = "/api/admin/users/import"

// testEnv is one installation and its administrators.
type testEnv struct {
	*testing.T
	env     []string
	db      *sql.DB
	mailbox *devstack.Mailbox
	url     string
	api     *programtest.Program
	worker  *programtest.Program
}

// install starts an installation of its own.
func install(t *testing.T, more ...string) *testEnv {
	t.Helper()
	mailbox, err := devstack.StartMailbox(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mailbox.Stop() })
	redis, err := devstack.StartRedis(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Stop)
	database := pgtest.NewEmpty(t)
	h := &testEnv{T: t, mailbox: mailbox, env: programtest.Env(database, redis.URL(), mailbox.SMTPURL(), more...)}
	if h.db, err = sql.Open("postgres", database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.db.Close() })
	h.rollcall("migrate")
	h.api, h.url = programtest.StartReady(t, filepath.Join(binaries, "api"), h.env)
	h.worker, _ = programtest.StartReady(t, filepath.Join(binaries, "worker"), h.env)
	return h
}

func (h *testEnv) rollcall(args ...string) string {
	h.Helper()
	out, code := programtest.Run(h.T, filepath.Join(binaries, "rollcall"), append(h.env, "ROLLCALL_PUBLIC_URL=http://localhost:8080"), args...)
	if code != 0 {
		h.Fatalf("rollcall %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// token makes an API token with one scope.
func (h *testEnv) token(scope string) string {
	h.Helper()
	out := h.rollcall("token", "create", "--name", "attack "+scope, "--scope", scope)
	for _, word := range strings.Fields(out) {
		if len(word) >= 32 && !strings.ContainsAny(word, ":/") {
			return word
		}
	}
	h.Fatalf("no token in %q", out)
	return ""
}

// query reads one value from the database.
func query[V any](h *testEnv, text string, args ...any) (v V) {
	h.Helper()
	if err := h.db.QueryRow(text, args...).Scan(&v); err != nil {
		h.Fatal(err)
	}
	return v
}

// answer is a response of a program.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) read(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		t.Fatalf("%v: %.500s", err, a.body)
	}
}

// browser keeps cookies and follows no redirects. Its requests come from the
// site's own pages.
type browser struct {
	*testEnv
	client *http.Client
	cookie map[string]string
}

func (h *testEnv) browser() *browser {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: 60 * time.Second}
	return &browser{h, client, map[string]string{}}
}

// do sends a request. A body of url.Values is a form, any other is JSON.
func (b *browser) do(method, path string, body any, headers ...string) answer {
	b.Helper()
	var r io.Reader
	media := "application/json"
	switch body := body.(type) {
	case nil:
	case url.Values:
		r, media = strings.NewReader(body.Encode()), "application/x-www-form-urlencoded"
	case io.Reader:
		r = body
	default:
		raw, err := json.Marshal(body)
		if err != nil {
			b.Fatal(err)
		}
		r = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, b.url+path, r)
	if err != nil {
		b.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", media)
	}
	for name, value := range b.cookie {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := b.client.Do(req)
	if err != nil {
		b.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	for _, c := range res.Cookies() {
		if b.cookie[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookie, c.Name)
		}
	}
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		b.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{res.StatusCode, res.Header, string(raw)}
}

func (b *browser) form(path string, fields ...string) answer {
	b.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return b.do("POST", path, form, "Sec-Fetch-Site", "same-origin", "Origin", b.url)
}

// call is an API request with a token.
func (h *testEnv) call(token, method, path string, body any, headers ...string) answer {
	h.Helper()
	return h.browser().do(method, path, body, append([]string{"Authorization", "Bearer " + token}, headers...)...)
}

// upload imports a file and waits for its end.
func (h *testEnv) upload(token, file string, options ...string) answer {
	h.Helper()
	body, media := multipartFile(file, options...)
	return h.call(token, "POST", importPath, body, "Content-Type", media, "Prefer", "wait=30")
}

func multipartFile(file string, options ...string) (io.Reader, string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i+1 < len(options); i += 2 {
		_ = w.WriteField(options[i], options[i+1])
	}
	part, _ := w.CreateFormFile("file", "users.csv")
	_, _ = io.WriteString(part, file)
	_ = w.Close()
	return &b, w.FormDataContentType()
}

// imported is the part of an import that the tests look at.
type imported struct {
	ID, Status                string
	Imported, Updated, Failed int64
	Links                     struct{ Self, File string }
}

func (h *testEnv) imported(a answer) (i imported) {
	h.Helper()
	if a.status != 200 {
		h.Fatalf("an import answered %d: %.500s", a.status, a.body)
	}
	a.read(h.T, &i)
	return i
}

const password = "nine quiet herons at dusk"

var inviteLink = regexp.MustCompile(`/invite/[A-Za-z0-9_-]+`)

// administrator creates one and signs in.
func (h *testEnv) administrator(email string) *browser {
	h.Helper()
	link := h.rollcall("user", "create-admin", "--email", email, "--name", "Jane Admin")
	if a := h.browser().form(inviteLink.FindString(link), "password", password, "password_again", password); a.status >= 400 {
		h.Fatalf("setting a password answered %d", a.status)
	}
	b := h.browser()
	if a := b.signIn(email); a.status != http.StatusSeeOther {
		h.Fatalf("the sign-in answered %d", a.status)
	}
	return b
}

func (b *browser) signIn(email string) answer {
	b.Helper()
	return b.form("/signin", "email", email, "password", password)
}

// leftOpen makes all sessions old, like those of browsers left signed in.
func (h *testEnv) leftOpen() {
	h.Helper()
	for _, column := range []string{"created_at", "authenticated_at"} {
		if query[bool](h, `SELECT EXISTS (SELECT FROM information_schema.columns WHERE table_name = 'sessions' AND column_name = $1)`, column) {
			if _, err := h.db.Exec(`UPDATE sessions SET ` + column + ` = now() - interval '3 hours'`); err != nil {
				h.Fatal(err)
			}
		}
	}
}

// userID finds a user by address, "" if there is none.
func (h *testEnv) userID(email string) string {
	h.Helper()
	var list struct{ Items []struct{ ID string } }
	h.call(programtest.Token, "GET", "/api/admin/users?email="+url.QueryEscape(email), nil).read(h.T, &list)
	if len(list.Items) == 0 {
		return ""
	}
	return list.Items[0].ID
}

func (h *testEnv) role(email string) string {
	h.Helper()
	var role string
	err := h.db.QueryRow(`SELECT role FROM users WHERE email_key = $1`, email).Scan(&role)
	if err == sql.ErrNoRows {
		return ""
	}
	if err != nil {
		h.Fatal(err)
	}
	return role
}

// eventually waits for a condition, at most ten seconds.
func (h *testEnv) eventually(what string, met func() bool) {
	h.Helper()
	for end := time.Now().Add(10 * time.Second); !met(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			h.Fatalf("not within ten seconds: %s", what)
		}
	}
}

func people(n int) string {
	var b strings.Builder
	b.WriteString("email,name\n")
	for i := range n {
		fmt.Fprintf(&b, "p%d@example.com,Person %d\n", i, i)
	}
	return b.String()
}
