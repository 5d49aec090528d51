package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"rollcall/internal/egress"
)

// Limits of one delivery.
const (
	timeout       = 10 * time.Second // name lookup, connection, request and response together
	maxAnswer     = 4 << 10          // bytes of a response's body that are read, and dropped
	maxHeader     = 16 << 10         // bytes of a response's header
	maxRetryAfter = 24 * time.Hour
)

// Message is one delivery.
type Message struct {
	URL     string
	ID      string // the same at every attempt, so that receivers can detect repetitions
	Body    []byte // JSON
	Secrets []string
}

// Outcome is the result of an attempt, in one word, for logs and metrics.
type Outcome string

// Outcomes. Only OK is success, and only Gone means never to retry.
const (
	OK         Outcome = "ok"                  // 2xx
	Gone       Outcome = "gone"                // 410
	Refused    Outcome = "refused"             // any other status
	Redirected Outcome = "redirected"          // 3xx: not followed
	TimedOut   Outcome = "timeout"             // no complete response in 10 s
	Barred     Outcome = "address_not_allowed" // see package egress
	NoName     Outcome = "name_not_found"      // the host's name does not resolve
	BadTLS     Outcome = "tls"                 // invalid certificate or failed handshake
	NoAnswer   Outcome = "no_answer"           // no connection, a broken one, or not HTTP
	Unsent     Outcome = "not_sent"            // the URL or a secret cannot be used
)

// Result is the result of one attempt.
type Result struct {
	Outcome    Outcome
	Status     int           // of the response; 0: there was none
	RetryAfter time.Duration // requested by the response, at most a day; 0: not requested
	Took       time.Duration
}

// SenderConfig holds the options of a Sender. The zero value is safe for production.
type SenderConfig struct {
	Allowed  egress.Addresses
	Resolver *net.Resolver  // nil: the system's
	Roots    *x509.CertPool // nil: the system's
	Timeout  time.Duration  // of one delivery; 0: 10 s
	Agent    string         // User-Agent; "" for "Rollcall-Webhooks"
}

// Sender posts messages. It keeps no connections open and is safe for
// concurrent use. It uses a transport without a client, so it cannot follow
// redirects.
type Sender struct {
	cfg       SenderConfig
	transport *http.Transport
}

// NewSender makes a Sender.
func NewSender(cfg SenderConfig) *Sender {
	cfg.Timeout = cmp.Or(cfg.Timeout, timeout)
	cfg.Agent = cmp.Or(cfg.Agent, "Rollcall-Webhooks")
	return &Sender{cfg: cfg, transport: &http.Transport{
		Proxy:                  nil, // a proxy would dial instead of us, unchecked
		DialContext:            egress.Dialer(cfg.Allowed.Plain, cfg.Resolver),
		DialTLSContext:         dialTLS(cfg),
		DisableKeepAlives:      true, // every delivery is checked again
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}}
}

type dial func(ctx context.Context, network, address string) (net.Conn, error)

func dialTLS(cfg SenderConfig) dial {
	connect := egress.Dialer(cfg.Allowed.Check, cfg.Resolver)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		raw, err := connect(ctx, network, address)
		if err != nil {
			return nil, err
		}
		conn := tls.Client(raw, &tls.Config{ServerName: host, RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12})
		if err := conn.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, fmt.Errorf("%w: %w", errTLS, err)
		}
		return conn, nil
	}
}

var errTLS = errors.New("TLS handshake")

// Post makes one attempt. It ends with ctx, or after the timeout.
func (s *Sender) Post(ctx context.Context, m Message) Result {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	r := s.post(ctx, m)
	r.Took = time.Since(began)
	return r
}

func (s *Sender) post(ctx context.Context, m Message) Result {
	req, err := s.request(ctx, m)
	if err != nil {
		return Result{Outcome: Unsent}
	}
	res, err := s.transport.RoundTrip(req)
	if err != nil {
		return Result{Outcome: outcomeOf(err)}
	}
	defer res.Body.Close()
	// Once the status has arrived the attempt is complete, even if the body is
	// slow or breaks off.
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswer)
	return Result{Outcome: judge(res.StatusCode), Status: res.StatusCode, RetryAfter: retryAfter(res.Header)}
}

func (s *Sender) request(ctx context.Context, m Message) (*http.Request, error) {
	// Registered earlier, perhaps under a configuration that allowed more.
	if err := CheckURL(m.URL, s.cfg.Allowed); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	signed, err := signatures(m, now)
	if err != nil || signed == "" {
		return nil, ErrSecret
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", s.cfg.Agent)
	req.Header.Set(standardwebhooks.HeaderWebhookID, m.ID)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, signed)
	return req, nil
}

func judge(status int) Outcome {
	switch {
	case status >= 200 && status < 300:
		return OK
	case status == http.StatusGone:
		return Gone
	case status >= 300 && status < 400:
		return Redirected
	}
	return Refused
}

func outcomeOf(err error) Outcome {
	var name *net.DNSError
	var connection net.Error
	switch {
	case errors.Is(err, egress.ErrAddress):
		return Barred
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &connection) && connection.Timeout():
		return TimedOut
	case errors.As(err, &name):
		return NoName
	case errors.Is(err, errTLS):
		return BadTLS
	}
	return NoAnswer
}

// retryAfter reads Retry-After in seconds (RFC 9110 §10.2.3). Dates are
// ignored, because the clocks may differ.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.ParseInt(h.Get("Retry-After"), 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxRetryAfter)
}
