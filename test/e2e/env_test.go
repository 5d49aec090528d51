// Package e2e_test runs the programs themselves: built once, started as
// processes, with a real PostgreSQL, a real mail server and a Redis, and used
// over HTTP like by any client.
package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/internal/devstack"
	"rollcall/test/pgtest"
	"rollcall/test/programtest"
)

// binaries is where the programs are built.
var binaries string

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(programtest.Around(pgtest.Around(m), &binaries))
}

// testEnv is one installation: a database, a Redis, a mailbox, and the programs
// on top.
type testEnv struct {
	*testing.T
	env     []string
	mailbox *devstack.Mailbox
	url     string // of the API, once started
}

// newTestEnv migrates a fresh database with the program itself.
func newTestEnv(t *testing.T, redisURL string, more ...string) *testEnv {
	t.Helper()
	mailbox, err := devstack.StartMailbox(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mailbox.Stop() })
	h := &testEnv{T: t, mailbox: mailbox, env: programtest.Env(pgtest.NewEmpty(t), redisURL, mailbox.SMTPURL(), more...)}
	h.rollcall("migrate")
	return h
}

// smallRedis is the in-process Redis of a private instance, for tests that are
// not about Redis.
func smallRedis(t *testing.T) string {
	t.Helper()
	r, err := devstack.StartRedis(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r.URL()
}

// variable is the value of a variable of the programs' environment.
func (h *testEnv) variable(name string) (value string) {
	for _, v := range h.env {
		if found, ok := strings.CutPrefix(v, name+"="); ok {
			value = found // the last one counts
		}
	}
	return value
}

// rollcall runs the command line and returns what it printed.
func (h *testEnv) rollcall(args ...string) string {
	h.Helper()
	out, code := h.rollcallCode(args...)
	if code != 0 {
		h.Fatalf("rollcall %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

func (h *testEnv) rollcallCode(args ...string) (string, int) {
	h.Helper()
	return programtest.Run(h.T, filepath.Join(binaries, "rollcall"), append(h.env, "ROLLCALL_URL="+h.url), args...)
}

func (h *testEnv) startAPI() *programtest.Program {
	h.Helper()
	p, url := programtest.StartReady(h.T, filepath.Join(binaries, "api"), h.env)
	h.url = url
	return p
}

func (h *testEnv) startWorker() *programtest.Program {
	h.Helper()
	p, _ := programtest.StartReady(h.T, filepath.Join(binaries, "worker"), h.env)
	return p
}

// answer is a response of the API.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) read(into any) {
	if err := json.Unmarshal(a.body, into); err != nil {
		panic(fmt.Sprintf("%s: %s", err, a.body))
	}
}

// imported is the part of an import the tests look at.
type imported struct {
	ID        string
	Status    string
	DryRun    bool `json:"dry_run"`
	Total     *int64
	Checked   int64
	Valid     int64
	Processed int64
	Imported  int64
	Updated   int64
	Failed    int64
	Errors    []struct {
		Row     int64
		Email   string
		Reason  string
		Field   string
		Message string
	}
	Invitations struct{ Held, Pending, Sent, Failed, Bounced, Accepted int64 }
}

func (h *testEnv) ask(method, path string, body io.Reader, headers ...string) answer {
	h.Helper()
	a, err := h.tryAsk(method, path, body, headers...)
	if err != nil {
		h.Fatal(err)
	}
	return a
}

func (h *testEnv) tryAsk(method, path string, body io.Reader, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, h.url+path, body)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+programtest.Token)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, raw}, err
}

// form returns a multipart body with a file and options.
func form(file string, options ...string) (body io.Reader, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, _ := w.CreateFormFile("file", "users.csv")
	io.WriteString(part, file)
	for i := 0; i+1 < len(options); i += 2 {
		w.WriteField(options[i], options[i+1])
	}
	w.Close()
	return &b, w.FormDataContentType()
}

// post uploads a file.
func (h *testEnv) post(file string, headers []string, options ...string) answer {
	h.Helper()
	body, contentType := form(file, options...)
	return h.ask("POST", "/api/admin/users/import", body, append([]string{"Content-Type", contentType}, headers...)...)
}

// until polls an import until wanted reports true.
func (h *testEnv) until(id string, within time.Duration, wanted func(imported) bool) imported {
	h.Helper()
	for deadline := time.Now().Add(within); ; {
		var i imported
		h.ask("GET", "/api/admin/users/imports/"+id, nil, "Prefer", "wait=1").read(&i)
		if wanted(i) {
			return i
		}
		if time.Now().After(deadline) {
			h.Fatalf("not within %s: %+v", within, i)
		}
	}
}

func ended(i imported) bool {
	return i.Status == "completed" || i.Status == "failed" || i.Status == "canceled"
}

func mailed(i imported) bool { return ended(i) && i.Invitations.Pending == 0 }
