// Package e2e_test runs the programs themselves: built once, started as
// processes, against a real PostgreSQL, a real mail server over a socket and a
// Redis, and spoken to over HTTP as anyone outside does.
package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rollcall/devstack"
	"rollcall/internal/pgtest"
)

// binaries is where the programs are built.
var binaries string

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds the programs, once for all tests.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "rollcall-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binaries = dir
	build := exec.Command("go", "build", "-o", dir, "rollcall/cmd/api", "rollcall/cmd/worker", "rollcall/cmd/rollcall")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the programs:", err)
		return 1
	}
	return pgtest.Around(m).Run()
}

const token = "an-admin-token-of-more-than-32-characters"

// house is one installation: a database, a Redis, a mailbox, and the programs
// on top.
type house struct {
	*testing.T
	env     []string
	mailbox *devstack.Mailbox
	url     string // of the API, once started
}

// newHouse migrates a fresh database with the program itself.
func newHouse(t *testing.T, redisURL string, more ...string) *house {
	t.Helper()
	mailbox, err := devstack.StartMailbox(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mailbox.Stop() })
	h := &house{T: t, mailbox: mailbox, env: append([]string{
		"PATH=" + os.Getenv("PATH"),
		"DATABASE_URL=" + pgtest.NewEmpty(t),
		"REDIS_URL=" + redisURL,
		"SMTP_URL=" + mailbox.SMTPURL(),
		"ROLLCALL_SECRET=0123456789abcdef0123456789abcdef",
		"ADMIN_API_TOKEN=" + token,
		"ROLLCALL_LISTEN=127.0.0.1:0",
		"ROLLCALL_METRICS_LISTEN=",
		"ROLLCALL_LOG=json",
	}, more...)}
	h.rollcall("migrate")
	return h
}

// smallRedis is the in-process Redis of a private instance: enough where Redis
// is not what the test is about.
func smallRedis(t *testing.T) string {
	t.Helper()
	r, err := devstack.StartRedis(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r.URL()
}

// rollcall runs the command line and returns what it printed.
func (h *house) rollcall(args ...string) string {
	h.Helper()
	out, code := h.rollcallCode(args...)
	if code != 0 {
		h.Fatalf("rollcall %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

func (h *house) rollcallCode(args ...string) (string, int) {
	h.Helper()
	cmd := exec.Command(filepath.Join(binaries, "rollcall"), args...)
	cmd.Env, cmd.Dir = append(h.env, "ROLLCALL_URL="+h.url), h.TempDir()
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		h.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// program is a running api or worker.
type program struct {
	*exec.Cmd
	t    *testing.T
	mu   sync.Mutex
	log  bytes.Buffer
	done chan struct{}
}

// start runs a program until the test ends; ready is a pattern in its log to
// wait for, whose group is returned.
func (h *house) start(name, ready string) (*program, string) {
	h.Helper()
	p := &program{Cmd: exec.Command(filepath.Join(binaries, name)), t: h.T, done: make(chan struct{})}
	p.Env = h.env
	stderr, err := p.StderrPipe()
	if err != nil {
		h.Fatal(err)
	}
	if err := p.Start(); err != nil {
		h.Fatal(err)
	}
	found := make(chan string, 1)
	go func() {
		defer close(p.done)
		wanted := regexp.MustCompile(ready)
		lines := bufio.NewScanner(stderr)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			p.mu.Lock()
			p.log.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
			if m := wanted.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case found <- m[len(m)-1]:
				default:
				}
			}
		}
		p.Wait()
	}()
	h.Cleanup(func() {
		p.Process.Kill()
		<-p.done
		if h.Failed() {
			h.Logf("%s said:\n%s", name, p.tail())
		}
	})
	select {
	case value := <-found:
		return p, value
	case <-p.done:
		h.Fatalf("%s ended: %s\n%s", name, p.ProcessState, p.tail())
	case <-time.After(30 * time.Second):
		h.Fatalf("%s did not say %q\n%s", name, ready, p.tail())
	}
	return nil, ""
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// tail is the end of the log.
func (p *program) tail() string {
	log := p.output()
	return log[max(0, len(log)-20_000):]
}

// stop sends SIGTERM and returns the exit code and how long the drain took.
func (p *program) stop() (code int, took time.Duration) {
	p.t.Helper()
	began := time.Now()
	p.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(35 * time.Second):
		p.t.Fatalf("did not stop within 35 s of SIGTERM\n%s", p.tail())
	}
	return p.ProcessState.ExitCode(), time.Since(began)
}

func (h *house) startAPI() *program {
	h.Helper()
	p, address := h.start("api", `"msg":"API listens","address":"([^"]+)"`)
	h.url = "http://" + address
	return p
}

func (h *house) startWorker() *program {
	h.Helper()
	p, _ := h.start("worker", `"msg":"worker runs"`)
	return p
}

// answer is what the API said.
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
	Invitations struct{ Held, Pending, Sent, Failed, Accepted int64 }
}

func (h *house) ask(method, path string, body io.Reader, headers ...string) answer {
	h.Helper()
	a, err := h.tryAsk(method, path, body, headers...)
	if err != nil {
		h.Fatal(err)
	}
	return a
}

func (h *house) tryAsk(method, path string, body io.Reader, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, h.url+path, body)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
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

// form is a multipart body with a file and options.
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
func (h *house) post(file string, headers []string, options ...string) answer {
	h.Helper()
	body, contentType := form(file, options...)
	return h.ask("POST", "/api/admin/users/import", body, append([]string{"Content-Type", contentType}, headers...)...)
}

// until polls an import until it is as wanted.
func (h *house) until(id string, within time.Duration, wanted func(imported) bool) imported {
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
