package chaos_test

import (
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rollcall/test/nettest"
	"rollcall/test/programtest"
	"rollcall/test/proxytest"
)

// hostsEnv is an installation with each server and program on a host of its own.
type hostsEnv struct {
	*testEnv
	network               *nettest.Network
	database, redis, mail *nettest.Host
	apis, workers         []*nettest.Host
	urls                  []string // of the APIs
}

// newHosts starts three APIs and three workers. The servers are the usual ones,
// each behind a proxy on a host of its own.
func newHosts(t *testing.T) *hostsEnv {
	t.Helper()
	h := &hostsEnv{testEnv: newTestEnv(t, envOptions{})}
	network, named := nettest.New(t, "client", "database", "redis", "mail", "api-1", "api-2", "api-3", "worker-1", "worker-2", "worker-3")
	h.network, h.database, h.redis, h.mail = network, named["database"], named["redis"], named["mail"]
	transport := &http.Transport{DialContext: named["client"].DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	h.client = &http.Client{Timeout: impatient.Timeout, Transport: transport}

	_, database := proxytest.PostgresAt(t, h.listen(h.database, 5432), h.postgres.running.URL())
	redis, err := url.Parse(h.testEnv.redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxytest.StartAt(t, h.listen(h.redis, 6379), "tcp", redis.Host)
	redis.Host = h.redis.Address(6379)
	proxytest.StartAt(t, h.listen(h.mail, 25), "tcp", h.post.Address())
	env := programtest.Env(database, redis.String(), "smtp://"+h.mail.Address(25)+"?tls=none", "ROLLCALL_MAIL_FROM=no-reply@example.com")
	for _, name := range []string{"api-1", "api-2", "api-3"} {
		host := named[name]
		_, url := programtest.StartReadyIn(t, host.Command(), filepath.Join(binaries, "api"), append(env, "ROLLCALL_LISTEN="+host.Address(80)))
		h.apis, h.urls = append(h.apis, host), append(h.urls, url)
	}
	for _, name := range []string{"worker-1", "worker-2", "worker-3"} {
		host := named[name]
		programtest.StartReadyIn(t, host.Command(), filepath.Join(binaries, "worker"), env)
		h.workers = append(h.workers, host)
	}
	h.url = h.urls[0]
	return h
}

func (h *hostsEnv) listen(host *nettest.Host, port int) net.Listener {
	h.Helper()
	l, err := host.Listen(port)
	if err != nil {
		h.Fatal(err)
	}
	return l
}

// cut cuts the links between some hosts and another until they are restored.
func (h *hostsEnv) cut(some []*nettest.Host, other *nettest.Host) (restore func()) {
	h.network.Set(nettest.Link{Cut: true}, some, other)
	return func() { h.network.Set(nettest.Link{}, some, other) }
}

// imports uploads a file and waits for its rows.
func (h *hostsEnv) imports(l load, file int) (id string, took time.Duration) {
	h.Helper()
	began := time.Now()
	id = h.upload(l.files[file])
	h.until(id, 2*time.Minute, ended)
	return id, time.Since(began)
}

// TestHosts: APIs, workers, database, Redis and mail server are on hosts of their
// own, whose links are slow, lose packets, or are cut. What still reaches the
// database does the work of what does not.
func TestHosts(t *testing.T) {
	parallel(t)
	if missing := nettest.Missing(); missing != "" {
		if os.Getenv("ROLLCALL_REQUIRE_ALL") != "" {
			t.Fatalf("needs %s", missing)
		}
		t.Skipf("needs %s", missing)
	}
	h := newHosts(t)
	l := newLoad("hosts", 6, sized(2_500, 16_500))
	calm := undisturbed(h.testEnv, l)
	ids := make([]string, len(l.files))
	parted := 0 // workers that were parted from the database or the mail server

	h.network.SetAll(nettest.Link{Delay: 25 * time.Millisecond, Loss: 0.01})
	var slow, twoParted, back, noRedis, apiWithoutRedis time.Duration
	ids[0], slow = h.imports(l, 0)
	h.network.SetAll(nettest.Link{})

	// Two workers do not reach the database; the third does their work, though Redis
	// has given them the tasks.
	restore := h.cut(h.workers[:2], h.database)
	ids[1], twoParted = h.imports(l, 1)
	restore()
	parted += 2

	// None does, in the middle of an import; then one.
	ids[2] = h.upload(l.files[2])
	h.eventually(time.Minute, "a worker has begun", func() bool {
		return one[bool](h.testEnv, `SELECT status <> 'pending' FROM imports WHERE id = $1`, ids[2])
	})
	restore = h.cut(h.workers, h.database)
	parted += 3
	time.Sleep(time.Duration(sized(5, 15)) * time.Second)
	h.network.Set(nettest.Link{}, h.workers[:1], h.database)
	began := time.Now()
	h.until(ids[2], 2*time.Minute, ended)
	back = time.Since(began)
	restore()

	// Two workers do not reach Redis.
	restore = h.cut(h.workers[:2], h.redis)
	ids[3], noRedis = h.imports(l, 3)
	restore()

	// The mail server is gone for one worker.
	restore = h.cut(h.workers[2:], h.mail)
	parted++
	time.Sleep(2 * time.Second)
	restore()

	notReady := h.apiWithoutDatabase(l)
	ids[4], _ = h.imports(l, 4)

	// An API that does not reach Redis takes files all the same.
	h.url = h.urls[2]
	restore = h.cut(h.apis[2:], h.redis)
	ids[5], apiWithoutRedis = h.imports(l, 5)
	restore()

	got := h.outcome(l, ids)
	h.mailOut(30*time.Second + l.patience())
	h.same(l, got, calm)
	most := parted * mailConcurrency
	d := h.delivered(l, most)
	h.figures("rows", len(l.people), "50 ms round trip and 1 % loss: rows in after", slow,
		"two workers without database: rows in after", twoParted, "back for one worker: rows in after", back,
		"two workers without Redis: rows in after", noRedis, "API without database not ready after", notReady,
		"API without Redis: rows in after", apiWithoutRedis, "mails", d.Mails, "duplicates", d.Duplicates, "duplicates allowed", most)
}

// apiWithoutDatabase cuts an API from the database for a while: it says so, takes no
// file, and another serves.
func (h *hostsEnv) apiWithoutDatabase(l load) (notReady time.Duration) {
	h.Helper()
	restore := h.cut(h.apis[:1], h.database)
	defer restore()
	began := time.Now()
	h.eventually(time.Minute, "the API is not ready", func() bool { return h.ask("GET", "/readyz", nil).status == http.StatusServiceUnavailable })
	notReady = time.Since(began)
	if a, err := h.tryPost(l.files[4], nil); err != nil || a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		h.Errorf("an upload to an API without database: %d %v %v", a.status, a.header, err)
	}
	h.url = h.urls[1]
	if a := h.ask("GET", "/readyz", nil); a.status != http.StatusOK {
		h.Errorf("another API is not ready either: %d %s", a.status, a.body)
	}
	return notReady
}
