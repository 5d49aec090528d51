package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"rollcall/auth"
	"rollcall/httpapi"
	"rollcall/internal/broadcast"
	"rollcall/jobs"
	"rollcall/jobs/importer"
	"rollcall/migrations"
	"rollcall/privacy"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgtest"
)

func TestMain(m *testing.M) {
	// The server takes half a second to close the connection of a body it did not read.
	goleak.VerifyTestMain(pgtest.Around(m), goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// adminToken gives full access in every test environment.
const adminToken = "an-admin-token-of-more-than-32-characters"

// operator is the actor of changes that bypass the API.
var operator = storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorSystem, Label: "test"}}

// testEnv is the API with its own database and a worker.
type testEnv struct {
	*testing.T
	store *storage.Store
	queue *importQueue
	log   *safeBuffer
	url   string
	spec  *contract
}

// newTestEnv makes a test environment; change, if not nil, adjusts its Deps.
func newTestEnv(t *testing.T, change func(*httpapi.Deps)) *testEnv {
	t.Helper()
	return newTestEnvWithInterval(t, 0, change)
}

// newTestEnvWithInterval is newTestEnv with a different interval between events. 0:
// the default.
func newTestEnvWithInterval(t *testing.T, interval time.Duration, change func(*httpapi.Deps)) *testEnv {
	t.Helper()
	database := pgtest.New(t)
	store, err := storage.Open(database, storage.Options{MaxConns: 12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	h := &testEnv{T: t, store: store, log: &safeBuffer{}, spec: described(t)}
	log := slog.New(slog.NewTextHandler(h.log, nil))
	h.queue = &importQueue{t: t, importer: importer.New(store, log, jobs.NewMetrics(prometheus.NewRegistry()).Importer, importer.Config{})}
	t.Cleanup(h.queue.wg.Wait)

	watcher := storage.NewWatcher(store, log)
	watching, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := watcher.Run(watching); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })

	d := httpapi.Deps{
		Store: store, Changes: watcher, Reports: report.New(store), RowEditor: importer.NewRowEditor(store, importer.Config{}), Queue: h.queue, Log: log,
		AdminToken: adminToken, MaxUploadBytes: 8 << 20, ImportWait: 20 * time.Second,
		PublicURL: "https://rollcall.example.com", Version: "1.2.3",
		SchemaCheck: func(ctx context.Context) error { return migrations.Check(ctx, store.DB()) },
		RedisCheck:  func(context.Context) error { return nil },
	}
	signer, err := auth.NewSigner(strings.Repeat("s", 32))
	if err != nil {
		t.Fatal(err)
	}
	d.DataSubjects = privacy.New(store, signer)
	if change != nil {
		change(&d)
	}
	d.Broadcaster = broadcast.New(broadcast.Config{Watcher: watcher, Read: store.Import, Interval: interval, Stopping: d.Stopping})
	api, err := httpapi.New(d)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api.Handler())
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

// withObject is the same environment for a subtest.
func (h *testEnv) on(t *testing.T) *testEnv {
	sub := *h
	sub.T = t
	return &sub
}

// importQueue runs the import in the background as a worker would.
type importQueue struct {
	t        *testing.T
	importer *importer.Importer
	wg       sync.WaitGroup

	mu     sync.Mutex
	broken bool // enqueuing fails
	silent bool // no worker responds
}

var errNoRedis = errors.New("no Redis")

func (b *importQueue) EnqueueImport(_ context.Context, id uuid.UUID, _ int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.broken:
		return errNoRedis
	case b.silent:
		return nil
	}
	b.start(id)
	return nil
}

// start makes a worker claim the import.
func (b *importQueue) start(id uuid.UUID) { b.wg.Go(func() { b.work(id) }) }

// work processes an import until it is at rest.
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

func (b *importQueue) set(broken, silent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken, b.silent = broken, silent
}

// token makes an API token.
func (h *testEnv) token(scopes ...string) string {
	h.Helper()
	secret, hash := auth.NewToken()
	if _, err := h.store.CreateToken(h.Context(), "token for "+strings.Join(scopes, " "), hash, scopes, 0, operator); err != nil {
		h.Fatal(err)
	}
	return secret
}

// call is a request to send.
type call struct {
	method, path string
	token        string // adminToken if ""; "-" for none
	header       http.Header
	body         io.Reader
}

// answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request and checks the response against the API description.
func (h *testEnv) do(c call) answer {
	h.Helper()
	a, err := h.try(c)
	if err != nil {
		h.Fatal(err)
	}
	return a
}

// try is do for responses that may be aborted.
func (h *testEnv) try(c call) (answer, error) { return h.over(http.DefaultTransport, c) }

// over is try over connections of the test's own.
func (h *testEnv) over(transport http.RoundTripper, c call) (answer, error) {
	req, err := http.NewRequestWithContext(h.Context(), c.method, h.url+c.path, c.body)
	if err != nil {
		return answer{}, err
	}
	for name, values := range c.header {
		req.Header[name] = values
	}
	switch c.token {
	case "":
		req.Header.Set("Authorization", "Bearer "+adminToken)
	case "-":
	default:
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	if a.body, err = io.ReadAll(res.Body); err != nil {
		return a, err
	}
	h.spec.check(h, req, a)
	return a, nil
}

// inBackground sends a request and passes the response on; the zero answer if
// there was none.
func (h *testEnv) inBackground(answers chan<- answer, c call) {
	a, err := h.try(c)
	if err != nil {
		h.Error(err)
	}
	answers <- a
}

func (h *testEnv) get(path string) answer {
	h.Helper()
	return h.do(call{method: "GET", path: path})
}

func (h *testEnv) post(path string) answer {
	h.Helper()
	return h.do(call{method: "POST", path: path})
}

// field is a part of a form.
type field struct{ name, filename, value string }

// file is the part with the file.
func file(content string) field { return field{"file", "people.csv", content} }

// form writes a multipart body and its media type.
func form(fields ...field) (io.Reader, string) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, f := range fields {
		create := w.CreateFormField
		if f.filename != "" {
			create = func(name string) (io.Writer, error) { return w.CreateFormFile(name, f.filename) }
		}
		part, err := create(f.name)
		if err != nil {
			panic(err) // a bytes.Buffer never fails
		}
		_, _ = io.WriteString(part, f.value)
	}
	w.Close()
	return &body, w.FormDataContentType()
}

const importPath = "/api/admin/users/import"
const importsPath = "/api/admin/users/imports"

// upload posts a form; header holds name and value in turn.
func (h *testEnv) upload(fields []field, header ...string) answer {
	h.Helper()
	return h.do(uploadCall(fields, header...))
}

func uploadCall(fields []field, header ...string) call {
	body, mediaType := form(fields...)
	c := call{method: "POST", path: importPath, body: body, header: http.Header{"Content-Type": {mediaType}}}
	for i := 0; i < len(header); i += 2 {
		c.header.Set(header[i], header[i+1])
	}
	return c
}

// access decodes the body.
func as[T any](t testing.TB, a answer) (v T) {
	t.Helper()
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("%v in status %d, %s", err, a.status, a.body)
	}
	return v
}

// want fails the test unless the answer has the status.
func (h *testEnv) want(a answer, status int) {
	h.Helper()
	if a.status != status {
		h.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
}

// wantProblem fails the test unless the answer is the problem.
func (h *testEnv) wantProblem(a answer, status int, code string) problemBody {
	h.Helper()
	h.want(a, status)
	p := as[problemBody](h, a)
	if p.Code != code || p.Status != status {
		h.Fatalf("problem %+v, want code %s", p, code)
	}
	return p
}

type problemBody struct {
	Type, Title, Detail, Code, Fix string
	Status                         int
	RequestID                      string `json:"request_id"`
	ImportID                       string `json:"import_id"`
	Errors                         []struct{ Parameter, Detail, Reason, Fix, Suggestion string }
}

type importBody struct {
	ID, Status, Filename, SHA256                                 string
	DryRun                                                       bool  `json:"dry_run"`
	SizeBytes                                                    int64 `json:"size_bytes"`
	Total, Unprocessed                                           *int64
	Checked, Valid, Processed, Imported, Updated, Failed, Admins int64
	Errors                                                       []errorBody
	ErrorsTruncated                                              *bool `json:"errors_truncated"`
	Warnings                                                     []struct {
		Code, Message string
		Columns       []string
	}
	Plan struct {
		Create       int64
		AdminsGained int64 `json:"admins_gained"`
	}
	Invitations struct{ Held, Pending, Sent, Failed, Accepted int64 }
	Failure     *struct{ Code, Message, Fix string }
	Undo        *undoBody
	CreatedBy   string `json:"created_by"`
	CreatedAt   string `json:"created_at"`
	Links       struct {
		Self, Errors, File string
		ErrorsCSV          string `json:"errors_csv"`
		ErrorsXLSX         string `json:"errors_xlsx"`
		ResultsCSV         string `json:"results_csv"`
	}
}

type userBody struct {
	ID, Email, Name, Role, Department, Status string
	ImportID                                  *string `json:"import_id"`
	Invitation                                *struct {
		Status    string
		SentAt    *string `json:"sent_at"`
		LastError *string `json:"last_error"`
	}
}

type errorBody struct {
	Row, Line            int64
	Reason, Message, Fix string
	Email, Field, Value  *string
	Also                 []struct {
		Field           *string
		Reason, Message string
	}
}

type listBody[T any] struct {
	Items []T
	Next  *string
}

// safeBuffer collects a log from several goroutines.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
