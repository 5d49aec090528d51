package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

const (
	dialTimeout = 10 * time.Second

	// continueTimeout is how long an upload waits for the server to ask for its
	// body (RFC 9110 §10.1.1), so that an error can arrive before the file is
	// sent. A server that never asks gets the body after this time.
	continueTimeout = 2 * time.Second

	// answerTimeout bounds the wait for the response once a request is sent. It
	// exceeds the longest wait the API grants.
	answerTimeout = 90 * time.Second

	// exchangeTimeout bounds a request without a body, including the response.
	exchangeTimeout = 2 * time.Minute

	// maxAnswer bounds how much of a JSON response is read, in bytes: an import
	// lists at most 100 errors.
	maxAnswer = 16 << 20
)

// ErrAddress is returned by New for an invalid server address.
var ErrAddress = errors.New("the server address must be http:// or https:// with a host and optional port, such as https://rollcall.example.com")

// ErrToken is returned by New for a token that cannot be sent in a header.
var ErrToken = errors.New("the API token is empty or contains white space or non-ASCII characters")

// Config holds the options of a Client. Zero values take the default.
type Config struct {
	// UserAgent is sent with each request; default "rollcall".
	UserAgent string

	// RetryFor is how long a server that does not answer is tried again before
	// a call gives up; default 10 minutes, negative: not at all.
	RetryFor time.Duration

	// Retrying, if not nil, is told why a request is about to be repeated and
	// how long until then.
	Retrying func(cause error, wait time.Duration)

	// Transport sends the requests; default one with every timeout set that
	// uses the proxy of the environment.
	Transport http.RoundTripper
}

// Client calls one server with one token. It is safe for concurrent use.
type Client struct {
	base      *url.URL
	token     string
	userAgent string
	retryFor  time.Duration
	retrying  func(error, time.Duration)
	http      *http.Client
}

// New makes a client of the server at address: scheme, host and optionally a
// port. It does not connect. The error is ErrAddress or ErrToken.
func New(address, token string, cfg Config) (*Client, error) {
	base, err := url.Parse(address)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Hostname() == "" ||
		base.User != nil || strings.Trim(base.Path, "/") != "" || base.RawQuery != "" || base.Fragment != "" {
		return nil, ErrAddress // do not repeat the address: it may contain a password
	}
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, ErrToken
	}
	c := &Client{
		base:      &url.URL{Scheme: base.Scheme, Host: base.Host},
		token:     token,
		userAgent: cfg.UserAgent,
		retryFor:  cmp.Or(cfg.RetryFor, 10*time.Minute),
		retrying:  cfg.Retrying,
		http: &http.Client{
			Transport: cfg.Transport,
			// Do not follow redirects: that would send the token and the file
			// to wherever they point.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if c.userAgent == "" {
		c.userAgent = "rollcall"
	}
	if c.retrying == nil {
		c.retrying = func(error, time.Duration) {}
	}
	if cfg.Transport == nil {
		c.http.Transport = newTransport()
	}
	return c, nil
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   2,
		IdleConnTimeout:       time.Minute,
		TLSHandshakeTimeout:   dialTimeout,
		ExpectContinueTimeout: continueTimeout,
		ResponseHeaderTimeout: answerTimeout,
	}
}

// Address returns the server's address, without a trailing slash.
func (c *Client) Address() string { return c.base.String() }

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// request makes a request with the common headers. path is below /api/admin and
// must need no escaping.
func (c *Client) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base.JoinPath("api", "admin", path).String(), body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("User-Agent", c.userAgent)
	r.Header.Set("Accept", "application/json, application/problem+json")
	return r, nil
}

// send returns a response with one of the wanted statuses. Any other status is
// a *Problem, and no response is a *ConnectionError.
func (c *Client) send(r *http.Request, wanted ...int) (*http.Response, error) {
	var reached atomic.Bool // set by a goroutine of the transport
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { reached.Store(true) }}
	answer, err := c.http.Do(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err != nil {
		return nil, unanswered(r, reached.Load(), err)
	}
	if slices.Contains(wanted, answer.StatusCode) {
		return answer, nil
	}
	defer answer.Body.Close()
	return nil, readProblem(answer)
}

// readImport decodes a response that is an import, and closes it.
func readImport(answer *http.Response) (*Import, error) {
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return nil, unanswered(answer.Request, true, err)
	}
	var i Import
	if len(raw) > maxAnswer || json.Unmarshal(raw, &i) != nil || i.ID == uuid.Nil {
		return nil, fmt.Errorf("%w: the response is not an import", ErrNotRollcall)
	}
	i.Raw = raw
	i.etag = answer.Header.Get("ETag")
	return &i, nil
}
