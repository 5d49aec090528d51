package cli_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"rollcall/cli"
	"rollcall/httpapi"
	"rollcall/internal/broadcast"
	"rollcall/jobs"
	"rollcall/jobs/importer"
	"rollcall/migrations"
	"rollcall/report"
	"rollcall/storage"
	"rollcall/test/pgtest"
)

func TestMain(m *testing.M) {
	// The server takes half a second to close the connection of a body it did not read.
	goleak.VerifyTestMain(pgtest.Around(m), goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// ran is the result of a command.
type ran struct {
	code           int
	stdout, stderr string
}

// shell runs commands in an environment of its own.
type shell struct {
	*testing.T
	environ []string
	stdin   string
}

func (s shell) run(args ...string) ran {
	s.Helper()
	return s.runUntil(s.Context(), args...)
}

func (s shell) runUntil(ctx context.Context, args ...string) ran {
	s.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Run(ctx, args, cli.Console{
		Environ: s.environ, Stdin: strings.NewReader(s.stdin), Stdout: &stdout, Stderr: &stderr,
	})
	return ran{code, stdout.String(), stderr.String()}
}

// mustRun requires exit code 0.
func (s shell) mustRun(args ...string) ran {
	s.Helper()
	r := s.run(args...)
	if r.code != 0 {
		s.Fatalf("%v: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
	}
	return r
}

const secret = "0123456789abcdef0123456789abcdef"

// open returns a shell whose environment has the database at url.
func open(t *testing.T, url string, more ...string) shell {
	return shell{T: t, environ: append([]string{"DATABASE_URL=" + url, "ROLLCALL_SECRET=" + secret}, more...)}
}

// testEnv is the real API over its own database, and a worker.
type testEnv struct {
	shell
	store       *storage.Store
	importQueue *importQueue
	token       string
	server      *httptest.Server
}

// newTestEnv starts a test environment; wrap, if not nil, wraps its API.
func newTestEnv(t *testing.T, wrap func(http.Handler) http.Handler) *testEnv {
	t.Helper()
	url := pgtest.New(t)
	store, err := storage.Open(url, storage.Options{MaxConns: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	log := slog.New(slog.DiscardHandler)
	queue := &importQueue{t: t, importer: importer.New(store, log, jobs.NewMetrics(prometheus.NewRegistry()).Importer, importer.Config{})}
	t.Cleanup(queue.working.Wait)

	watcher := storage.NewWatcher(store, log)
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		if err := watcher.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); watching.Wait() })

	api, err := httpapi.New(httpapi.Deps{
		Store: store, Broadcaster: broadcast.New(broadcast.Config{Watcher: watcher, Read: store.Import}), Reports: report.New(store), RowEditor: importer.NewRowEditor(store, importer.Config{}), Queue: queue, Log: log,
		MaxUploadBytes: 1 << 20, ImportWait: time.Second, PublicURL: "https://rollcall.example.com",
		SchemaCheck: func(ctx context.Context) error { return migrations.Check(ctx, store.DB()) },
		RedisCheck:  func(context.Context) error { return nil },
		AdminToken:  "not-used-" + secret,
	})
	if err != nil {
		t.Fatal(err)
	}
	handler := api.Handler()
	if wrap != nil {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)

	h := &testEnv{shell: open(t, url, "ROLLCALL_URL="+server.URL), store: store, importQueue: queue, server: server}
	h.token = strings.TrimSpace(h.mustRun("token", "create", "--name", "test").stdout)
	h.environ = append(h.environ, "ADMIN_API_TOKEN="+h.token)
	return h
}

// file writes a file to import and returns its path.
func (h *testEnv) file(content string) string {
	h.Helper()
	path := filepath.Join(h.TempDir(), "users.csv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		h.Fatal(err)
	}
	return path
}

// users counts the users.
func (h *testEnv) users() int64 {
	h.Helper()
	_, total, err := h.store.FindUsers(h.Context(), storage.UserFilter{Limit: 1})
	if err != nil {
		h.Fatal(err)
	}
	return total.N
}

// importQueue processes an import at once, as a worker would, unless told to wait.
type importQueue struct {
	t        *testing.T
	importer *importer.Importer
	working  sync.WaitGroup

	mu     sync.Mutex
	silent bool
	rung   []uuid.UUID
}

func (b *importQueue) EnqueueImport(_ context.Context, id uuid.UUID, _ int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung = append(b.rung, id); !b.silent {
		b.working.Go(func() { b.work(id) })
	}
	return nil
}

// hold pauses the worker, and release makes it process all queued imports.
func (b *importQueue) hold() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.silent = true
}

func (b *importQueue) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.silent = false
	for _, id := range b.rung {
		b.working.Go(func() { b.work(id) })
	}
}

func (b *importQueue) work(id uuid.UUID) {
	for {
		rest, err := b.importer.Run(context.Background(), id)
		if err != nil {
			b.t.Error(err)
			return
		}
		if !rest.More {
			return
		}
	}
}

// post sends an API request that the command has no flag for.
func (h *testEnv) post(path string, status int) {
	h.Helper()
	r, err := http.NewRequestWithContext(h.Context(), http.MethodPost, h.server.URL+path, nil)
	if err != nil {
		h.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+h.token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		h.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != status {
		h.Fatalf("POST %s: status %d", path, answer.StatusCode)
	}
}
