package web_test

import (
	"bytes"
	"context"
	"io"
	"iter"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"rollcall/auth"
	"rollcall/internal/broadcast"
	"rollcall/internal/devstack"
	"rollcall/jobs"
	"rollcall/jobs/importer"
	mailsettings "rollcall/mail/settings"
	"rollcall/privacy"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgtest"
	"rollcall/web"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	// The server takes half a second to close the connection of a body it did not read.
	goleak.VerifyTestMain(pgtest.Around(m), goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const maxUpload = 4 << 20 // bytes

const (
	adminEmail    = "admin@example.com"
	adminPassword = "three quiet herons wade"
	userEmail     = "user@example.com"
	userPassword  = "seven loud herons wade"
)

// testEnv is a server with its pages, its database and a worker.
type testEnv struct {
	*testing.T
	database string // its URL
	store    *storage.Store
	signer   *auth.Signer
	hasher   *auth.Hasher
	url      string
	sealer   *auth.Sealer
	logged   *buffer // the log of the pages
	worker   *worker
}

// option changes the dependencies of the pages.
type option func(*web.Deps)

func newTestEnv(t *testing.T, options ...option) *testEnv {
	t.Helper()
	database := pgtest.New(t)
	store, err := storage.Open(database, storage.Options{MaxConns: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	signer, err := auth.NewSigner(strings.Repeat("s", 32))
	if err != nil {
		t.Fatal(err)
	}
	h := &testEnv{T: t, database: database, store: store, signer: signer, hasher: auth.NewHasher(auth.HasherConfig{MemoryKiB: 64}), logged: &buffer{}}
	log := slog.New(slog.NewTextHandler(h.logged, nil))
	sealer, err := auth.NewSealer(strings.Repeat("s", 32))
	if err != nil {
		t.Fatal(err)
	}
	h.sealer = sealer
	h.worker = &worker{store: store, importer: importer.New(store, log, jobs.NewMetrics(prometheus.NewRegistry()).Importer, importer.Config{})}
	watcher := storage.NewWatcher(store, log)

	router := gin.New()
	router.HandleMethodNotAllowed = true
	server := httptest.NewServer(router)
	h.url = server.URL
	d := web.Deps{
		Store: store, Broadcaster: broadcast.New(broadcast.Config{Watcher: watcher, Read: store.Import}), Signer: signer, Hasher: h.hasher, Reports: report.New(store), RowEditor: importer.NewRowEditor(store, importer.Config{}), Queue: h.worker, Log: log,
		Brand: "SecureAI", PublicURL: server.URL, InvitationTTL: 72 * time.Hour, MaxUploadBytes: maxUpload,
	}
	d.DataSubjects = privacy.New(store, signer)
	d.Sealer, d.Mail.From = sealer, "no-reply@example.com"
	for _, o := range options {
		o(&d)
	}
	h.hasher = d.Hasher
	site, err := web.New(d)
	if err != nil {
		t.Fatal(err)
	}
	site.Register(router)
	router.NoRoute(site.NotFound)

	ctx, cancel := context.WithCancel(context.Background())
	watched := make(chan error, 1)
	go func() { watched <- watcher.Run(ctx) }()
	var sending sync.WaitGroup
	sending.Go(func() { site.Run(ctx) })
	notices := jobs.NewNoticeSender(store, mailsettings.New(store, d.Sealer, d.Mail), log, d.Brand, d.PublicURL)
	sending.Go(func() { notices.Run(ctx) }) // as a worker process does
	t.Cleanup(func() {
		server.Close()
		h.worker.wait()
		cancel()
		sending.Wait()
		if err := <-watched; err != nil {
			t.Error(err)
		}
	})
	return h
}

// worker processes an import as soon as it is enqueued, concurrently with the
// request, as a worker process does.
type worker struct {
	store    *storage.Store
	importer *importer.Importer
	asleep   atomic.Bool // is not notified
	broken   atomic.Bool // enqueuing fails
	running  sync.WaitGroup
}

func (w *worker) EnqueueImport(_ context.Context, id uuid.UUID, _ int64) error {
	if w.broken.Load() {
		return context.DeadlineExceeded
	}
	if w.asleep.Load() {
		return nil
	}
	w.running.Go(func() {
		for more := true; more; {
			rest, err := w.importer.Run(context.Background(), id)
			more = err == nil && rest.More
		}
	})
	return nil
}

func (w *worker) wait() { w.running.Wait() }

// mails adapts a devstack mailbox to the interface of the pages.
type mails struct{ *devstack.Mailbox }

func (m mails) All() iter.Seq2[web.Mail, error] {
	return func(yield func(web.Mail, error) bool) {
		for mail, err := range m.Mailbox.All() {
			if !yield(web.Mail(mail), err) {
				return
			}
		}
	}
}

func (m mails) Get(id string) (web.Mail, bool, error) {
	mail, err := m.Mailbox.Get(id)
	if err == devstack.ErrNoMail {
		return web.Mail{}, false, nil
	}
	return web.Mail(mail), err == nil, err
}

// addUser creates a user who can sign in or, without a password, one who is
// invited with a link of generation 1.
func (h *testEnv) addUser(email, name string, role roster.Role, password string) uuid.UUID {
	h.Helper()
	key, err := roster.EmailKey(email)
	if err != nil {
		h.Fatal(err)
	}
	u := storage.NewUser{Email: email, EmailKey: key, Name: name, Role: role}
	if password != "" {
		if u.PasswordHash, err = h.hasher.Hash(h.Context(), password); err != nil {
			h.Fatal(err)
		}
	}
	by := storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorSystem, Label: "test"}}
	id, err := h.store.CreateUser(h.Context(), u, 72*time.Hour, by)
	if err != nil {
		h.Fatal(err)
	}
	return id
}

func (h *testEnv) exec(query string, args ...any) {
	h.Helper()
	if _, err := h.store.DB().ExecContext(h.Context(), query, args...); err != nil {
		h.Fatal(err)
	}
}

// browser keeps cookies and follows no redirect.
type browser struct {
	*testEnv
	client *http.Client
}

func (h *testEnv) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.Fatal(err)
	}
	transport := &http.Transport{}
	h.Cleanup(transport.CloseIdleConnections)
	return &browser{h, &http.Client{
		Jar: jar, Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// handle is a browser in which an administrator is signed in.
func (h *testEnv) admin() *browser {
	h.Helper()
	h.addUser(adminEmail, "Ada Admin", roster.RoleAdmin, adminPassword)
	b := h.browser()
	b.signIn(adminEmail, adminPassword)
	return b
}

func (b *browser) signIn(email, password string) {
	b.Helper()
	if p := b.post("/signin", "email", email, "password", password); p.status != http.StatusSeeOther {
		b.Fatalf("sign-in of %s: %d\n%s", email, p.status, p.body)
	}
}

func (b *browser) do(r *http.Request) page {
	b.Helper()
	res, err := b.client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.Fatal(err)
	}
	return page{b.T, res.StatusCode, res.Header, string(body)}
}

func (b *browser) request(method, path string, body io.Reader, header ...string) *http.Request {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), method, b.url+path, body)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func (b *browser) get(path string, header ...string) page {
	b.Helper()
	return b.do(b.request(http.MethodGet, path, nil, header...))
}

// post sends a form: name, value, name, value.
func (b *browser) post(path string, fields ...string) page {
	b.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return b.do(b.request(http.MethodPost, path, strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded"))
}

// follow requests the target of a redirect.
func (b *browser) follow(p page) page {
	b.Helper()
	if p.status != http.StatusSeeOther {
		b.Fatalf("no redirect: %d\n%s", p.status, p.body)
	}
	return b.get(p.header.Get("Location"))
}

// upload sends the form of /admin/users/import: fields, then the file.
func (b *browser) upload(filename, content string, fields ...string) page {
	b.Helper()
	return b.send("/admin/users/import", filename, content, fields...)
}

// imports uploads people, and returns when all rows are processed: on a busy
// machine that is later than the response.
func (b *browser) imports(content string) {
	b.Helper()
	b.importsAs("people.csv", content)
}

// importsAs is imports with a file of another name.
func (b *browser) importsAs(filename, content string) {
	b.Helper()
	b.upload(filename, content).want(http.StatusSeeOther)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); ; <-tick.C {
		var under int
		if err := b.store.DB().QueryRow(`SELECT count(*) FROM imports WHERE finished_at IS NULL`).Scan(&under); err != nil {
			b.Fatal(err)
		}
		if under == 0 {
			return
		}
		if time.Now().After(end) {
			b.Fatal("not imported within a minute")
		}
	}
}

// send sends a form with a file to a path.
func (b *browser) send(path, filename, content string, fields ...string) page {
	b.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for i := 0; i+1 < len(fields); i += 2 {
		if err := form.WriteField(fields[i], fields[i+1]); err != nil {
			b.Fatal(err)
		}
	}
	file, err := form.CreateFormFile("file", filename)
	if err != nil {
		b.Fatal(err)
	}
	io.WriteString(file, content)
	if err := form.Close(); err != nil {
		b.Fatal(err)
	}
	return b.do(b.request(http.MethodPost, path, &body, "Content-Type", form.FormDataContentType()))
}

// buffer is a bytes.Buffer for many goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
