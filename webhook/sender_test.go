package webhook_test

import (
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/internal/egress"
	"rollcall/test/dnstest"
	"rollcall/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// allowing parses a value of the variable.
func allowing(t *testing.T, text string) egress.Addresses {
	t.Helper()
	a, err := egress.ParseAddresses(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// receiver serves f until the test ends; requests that hang end with it.
func receiver(t *testing.T, f http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s
}

func message(url string) webhook.Message {
	return webhook.Message{URL: url, ID: "msg_1", Body: []byte(`{"type":"import.completed"}`), Secrets: []string{webhook.NewSecret(), webhook.NewSecret()}}
}

// TestPost: the receiver can verify the message with the new secret and the old
// one.
func TestPost(t *testing.T) {
	t.Parallel()
	var got http.Header
	var body []byte
	s := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusNoContent)
	})
	m := message(s.URL)
	r := webhook.NewSender(webhook.SenderConfig{Allowed: allowing(t, "true")}).Post(t.Context(), m)
	if r.Outcome != webhook.OK || r.Status != 204 || string(body) != string(m.Body) {
		t.Fatalf("%+v, %s", r, body)
	}
	at, err := strconv.ParseInt(got.Get("Webhook-Timestamp"), 10, 64)
	if since := time.Since(time.Unix(at, 0)); err != nil || since < -time.Minute || since > time.Minute {
		t.Errorf("timestamp %d, %v", at, err)
	}
	var want []string
	for _, secret := range m.Secrets {
		signature, err := webhook.Sign(secret, "msg_1", time.Unix(at, 0), body)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, signature)
	}
	if got.Get("Webhook-Id") != "msg_1" || got.Get("Webhook-Signature") != strings.Join(want, " ") || got.Get("Content-Type") != "application/json" {
		t.Errorf("%v", got)
	}
}

// TestReceiversThatFail: whatever a receiver does, an attempt ends in time,
// with the right outcome.
func TestReceiversThatFail(t *testing.T) {
	t.Parallel()
	elsewhere := receiver(t, func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") })
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   webhook.Result
	}{
		"refuses":           {status(503, "Retry-After", "120"), webhook.Result{Outcome: webhook.Refused, Status: 503, RetryAfter: 2 * time.Minute}},
		"wants a year":      {status(429, "Retry-After", "31536000"), webhook.Result{Outcome: webhook.Refused, Status: 429, RetryAfter: 24 * time.Hour}},
		"lies about a date": {status(503, "Retry-After", "-5"), webhook.Result{Outcome: webhook.Refused, Status: 503}},
		"is gone":           {status(410), webhook.Result{Outcome: webhook.Gone, Status: 410}},
		"redirects":         {status(307, "Location", elsewhere.URL), webhook.Result{Outcome: webhook.Redirected, Status: 307}},
		"hangs":             {func(_ http.ResponseWriter, r *http.Request) { hang(r) }, webhook.Result{Outcome: webhook.TimedOut}},
		"breaks off":        {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, webhook.Result{Outcome: webhook.NoAnswer}},
		"talks without end": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}, webhook.Result{Outcome: webhook.OK, Status: 200}},
		"answers and dallies": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			hang(r)
		}, webhook.Result{Outcome: webhook.OK, Status: 200}},
		"lies about its length": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "short")
		}, webhook.Result{Outcome: webhook.OK, Status: 200}},
		"has a long header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("a", 64<<10))
		}, webhook.Result{Outcome: webhook.NoAnswer}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := receiver(t, c.answer)
			sender := webhook.NewSender(webhook.SenderConfig{Allowed: allowing(t, "127.0.0.0/8"), Timeout: 400 * time.Millisecond})
			began := time.Now()
			got := sender.Post(t.Context(), message(s.URL))
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
			if got.Took = 0; got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// status responds with a status and a header.
func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// hang waits until the sender gives up. The body is read first: only then does
// the server notice that the sender has gone.
func hang(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// TestAddressesAreCheckedWhenDialed: a name that resolves to a blocked address
// is detected, with TLS and without.
func TestAddressesAreCheckedWhenDialed(t *testing.T) {
	t.Parallel()
	s := receiver(t, func(http.ResponseWriter, *http.Request) { t.Error("a barred address was dialed") })
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		allowed, url string
		want         webhook.Outcome
	}{
		{"", "https://localhost:%s/", webhook.Barred},
		{"10.0.0.0/8", "http://localhost:%s/", webhook.Barred},
		{"10.0.0.0/8", "https://localhost:%s/", webhook.Barred},
		{"", "http://localhost:%s/", webhook.Unsent},
		{"", "https://127.0.0.1:%s/", webhook.Unsent},
		{"true", "https://localhost:%s/", webhook.BadTLS}, // no TLS there
		{"true", "http://nowhere.invalid:%s/", webhook.NoName},
	} {
		sender := webhook.NewSender(webhook.SenderConfig{Allowed: allowing(t, c.allowed)})
		if r := sender.Post(t.Context(), message(fmt.Sprintf(c.url, port))); r.Outcome != c.want || r.Status != 0 {
			t.Errorf("allowing %q, %s: %+v, want %s", c.allowed, c.url, r, c.want)
		}
	}
}

// TestRebinding: a name of the receiver resolves to another address at the next
// delivery, or to both. Nothing is sent to the blocked one.
func TestRebinding(t *testing.T) {
	t.Parallel()
	s := receiver(t, status(200))
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	inside, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Fatal(err)
	}
	barred := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the barred address was asked") }))
	barred.Listener.Close()
	barred.Listener = inside
	barred.Start()
	t.Cleanup(barred.Close)
	dns := dnstest.Start(t)
	sender := webhook.NewSender(webhook.SenderConfig{Allowed: allowing(t, "127.0.0.1"), Resolver: dns.Resolver()})
	for _, c := range []struct {
		addresses string
		want      webhook.Outcome
	}{
		{"127.0.0.1", webhook.OK},
		{"127.0.0.2", webhook.Barred},
		{"::ffff:127.0.0.2 64:ff9b::7f00:2", webhook.Barred},
		{"169.254.169.254", webhook.Barred},
		{"0.0.0.0", webhook.Barred},
		{"127.0.0.2 127.0.0.1", webhook.OK},
	} {
		dns.Set("hr.example.com", strings.Fields(c.addresses)...)
		before := dns.Asked()
		if r := sender.Post(t.Context(), message("http://hr.example.com:"+port)); r.Outcome != c.want {
			t.Errorf("led to %s: %+v, want %s", c.addresses, r, c.want)
		}
		if dns.Asked() == before {
			t.Error("the name was not resolved again")
		}
	}
}

// TestCertificatesAreVerified checks the chain and the name.
func TestCertificatesAreVerified(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(status(200)))
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	for _, c := range []struct {
		roots *x509.CertPool
		host  string
		want  webhook.Outcome
	}{
		{roots, "127.0.0.1", webhook.OK}, // the certificate names it
		{roots, "localhost", webhook.BadTLS},
		{nil, "127.0.0.1", webhook.BadTLS},
	} {
		sender := webhook.NewSender(webhook.SenderConfig{Allowed: allowing(t, "true"), Roots: c.roots})
		if r := sender.Post(t.Context(), message("https://"+net.JoinHostPort(c.host, port))); r.Outcome != c.want {
			t.Errorf("%s: %+v, want %s", c.host, r, c.want)
		}
	}
}

// TestNoProxyIsUsed: a proxy in the environment is ignored. Not parallel,
// because it sets the environment.
func TestNoProxyIsUsed(t *testing.T) {
	proxy := receiver(t, func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	s := receiver(t, status(200))
	// A proxy is never used for localhost, so another name is needed: it does
	// not resolve, and a proxy would have been asked for it.
	sender := webhook.NewSender(webhook.SenderConfig{Allowed: allowing(t, "true")})
	if r := sender.Post(t.Context(), message("http://nowhere.invalid:8080/")); r.Outcome != webhook.NoName {
		t.Errorf("%+v", r)
	}
	if r := sender.Post(t.Context(), message(s.URL)); r.Outcome != webhook.OK {
		t.Errorf("%+v", r)
	}
}
