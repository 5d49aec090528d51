package api_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/app/api"
	"rollcall/config"
	"rollcall/internal/devstack"
	"rollcall/test/pgtest"
	"rollcall/web"
)

func TestMain(m *testing.M) {
	// The server takes half a second to close the connection of a body it did not read.
	goleak.VerifyTestMain(pgtest.Around(m), goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const adminToken = "an-admin-token-of-more-than-32-characters"

// settings are those of an API with the test's own database and Redis, and more
// variables.
func settings(t *testing.T, more ...string) config.Config {
	t.Helper()
	redis, err := devstack.StartRedis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Stop)
	cfg, err := config.LoadAPI(append([]string{
		"DATABASE_URL=" + pgtest.New(t),
		"REDIS_URL=" + redis.URL(),
		"ROLLCALL_SECRET=0123456789abcdef0123456789abcdef",
		"ADMIN_API_TOKEN=" + adminToken,
		"ROLLCALL_LISTEN=127.0.0.1:0",
		"ROLLCALL_METRICS_LISTEN=",
		"ROLLCALL_IMPORT_WAIT=0",
	}, more...))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// serveAPI serves until the test ends and returns the URL.
func serveAPI(t *testing.T, cfg config.Config, options api.DevOptions) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	address := make(chan net.Addr, 1)
	options.OnListen = func(a net.Addr) { address <- a }
	go func() { ended <- api.Serve(ctx, cfg, options, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case a := <-address:
		return "http://" + a.String()
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	case <-time.After(30 * time.Second):
		t.Fatal("the API does not listen")
	}
	return ""
}

// brokenMailbox fails in every way a handler can.
type brokenMailbox struct{}

func (brokenMailbox) All() iter.Seq2[web.Mail, error] {
	return func(yield func(web.Mail, error) bool) { yield(web.Mail{}, errors.New("no disk")) }
}

func (brokenMailbox) Get(id string) (web.Mail, bool, error) {
	if id == "panic" {
		panic("no mailbox")
	}
	return web.Mail{ID: id, HTML: `<style>a{}</style><p style="margin:0">Hello`}, true, nil
}

// drop closes a response without reading it.
func drop(r *http.Response) {
	_, _ = io.CopyN(io.Discard, r.Body, 1<<10)
	r.Body.Close()
}
