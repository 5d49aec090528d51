//go:build unix

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"rollcall/internal/subprocess"
)

// settings configure an installation. The zero value is the usual one.
type settings struct {
	workers  int      // 0: one
	noWorker bool     // no worker at all
	env      []string // NAME=value, for all programs; the last one of a name wins
	mail     bool     // there is a mail server; else invitations wait
}

const adminToken = "a-token-of-the-benchmarks-of-32-characters"

// redisDatabases is how many databases a Redis has by default.
const redisDatabases = 16

// installation is one installation: its own database, an empty database in Redis, the API
// and workers as processes.
type installation struct {
	*env
	database string
	db       *sql.DB
	api      *program
	workers  []*program
	url      string // of the API
	posts    int    // of ten rows, so far

	programEnv []string // of all programs

	closers []func() error
}

// open starts an installation.
func (l *env) open(ctx context.Context, s settings) (_ *installation, err error) {
	h := &installation{env: l}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	name, drop, err := l.database(ctx, template)
	if err != nil {
		return nil, err
	}
	h.closers = append(h.closers, drop)
	h.database = name
	if h.db, err = sql.Open("postgres", l.databaseURL(name)); err != nil {
		return nil, err
	}
	h.closers = append(h.closers, h.db.Close)
	// Two installations may be open at the same time, and must not take each
	// other's tasks.
	redisURL := fmt.Sprintf("%s/%d", strings.TrimSuffix(l.redisURL, "/0"), l.opened%redisDatabases)
	client := connectRedis(redisURL)
	h.closers = append(h.closers, client.Close, func() error { return client.FlushDB(context.Background()).Err() })
	if err := client.FlushDB(ctx).Err(); err != nil {
		return nil, err
	}
	env := []string{
		"DATABASE_URL=" + l.databaseURL(name), "REDIS_URL=" + redisURL,
		"ROLLCALL_SECRET=0123456789abcdef0123456789abcdef", "ADMIN_API_TOKEN=" + adminToken,
		"ROLLCALL_LISTEN=127.0.0.1:0", "ROLLCALL_METRICS_LISTEN=", "ROLLCALL_LOG=json",
	}
	if s.mail {
		env = append(env, "SMTP_URL=smtp://"+l.sink.address()+"?tls=none")
	}
	env = append(env, s.env...)
	h.programEnv = env
	var address string
	if h.api, address, err = h.start("api", env, `"msg":"API server listening","address":"([^"]+)"`); err != nil {
		return nil, err
	}
	h.url = "http://" + address
	workers := max(1, s.workers)
	if s.noWorker {
		workers = 0
	}
	for range workers {
		worker, _, err := h.start("worker", env, `"msg":"(worker started)"`)
		if err != nil {
			return nil, err
		}
		h.workers = append(h.workers, worker)
	}
	return h, l.settle(ctx)
}

// close stops the programs and drops the database.
func (h *installation) close() error {
	var errs []error
	for i := len(h.closers) - 1; i >= 0; i-- {
		errs = append(errs, h.closers[i]())
	}
	h.closers = nil
	return errors.Join(errs...)
}

// program is a running api or worker.
type program struct{ *subprocess.Process }

// start runs a program and returns what the group in ready matched in its log.
func (h *installation) start(name string, env []string, ready string) (*program, string, error) {
	log := &awaited{pattern: regexp.MustCompile(ready), found: make(chan string, 1)}
	process, err := subprocess.Start(subprocess.Command{Path: h.program(name), Env: env, Log: log})
	if err != nil {
		return nil, "", err
	}
	h.closers = append(h.closers, func() error { process.Stop(context.Background(), syscall.SIGTERM); return nil })
	select {
	case value := <-log.found:
		return &program{process}, value, nil
	case <-process.Done():
		return nil, "", fmt.Errorf("%s ended: %w\n%s", name, process.Err(), process.Tail())
	case <-time.After(30 * time.Second):
		return nil, "", fmt.Errorf("%s did not begin\n%s", name, process.Tail())
	}
}

// awaited looks for a pattern in the text written to it.
type awaited struct {
	pattern *regexp.Regexp
	found   chan string

	mu   sync.Mutex
	text []byte // so far; nil once found
	done bool
}

func (a *awaited) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done {
		return len(b), nil
	}
	a.text = append(a.text, b...)
	if m := a.pattern.FindSubmatch(a.text); m != nil {
		a.found <- string(m[1])
		a.done, a.text = true, nil
	}
	return len(b), nil
}

// peak returns the most memory the process has had resident so far, in MB; 0 if
// the system does not report it.
func (p *program) peak() float64 { return p.status("VmHWM:") }

func (p *program) status(field string) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, field); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(value)[0], 64)
			return kib / 1024
		}
	}
	return 0
}

// ask sends a request with the token and returns the response's body; the
// response must have one of the statuses.
func (h *installation) ask(ctx context.Context, method, path string, body io.Reader, headers http.Header, statuses ...int) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, h.url+path, body)
	if err != nil {
		return nil, err
	}
	for name, values := range headers {
		r.Header[name] = values
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		select {
		case <-h.api.Done():
			err = fmt.Errorf("%w: the API ended: %w\n%s", err, h.api.Err(), h.api.Tail())
		default:
		}
		return nil, err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	for _, status := range statuses {
		if answer.StatusCode == status {
			return raw, nil
		}
	}
	return nil, fmt.Errorf("%s %s: %s: %.300s", method, path, answer.Status, raw)
}
