package client

import (
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
)

const (
	dialTimeout = 10 * time.Second

	// continueTimeout is how long an upload waits to be asked for its body
	// (RFC 9110 §10.1.1), so that a refusal comes before the file goes out. A
	// server that never asks gets it after this.
	continueTimeout = 2 * time.Second

	// answerTimeout bounds the wait for the answer once a request is sent. It
	// exceeds the longest wait the API grants.
	answerTimeout = 90 * time.Second

	// exchangeTimeout bounds a request without a body, answer included.
	exchangeTimeout = 2 * time.Minute

	// maxAnswer is the most of a JSON answer that is read, in bytes: an import
	// lists at most 100 errors.
	maxAnswer = 16 << 20
)

// ErrAddress is returned by New for an address that is no server's.
var ErrAddress = errors.New("the server's address must be http:// or https://, a host and perhaps a port, such as https://rollcall.example.com")

// ErrToken is returned by New for a token that no header can carry.
var ErrToken = errors.New("the API token is empty, or holds white space or characters beyond ASCII")

// Config is what can be chosen about a Client. Zero values take the default.
type Config struct {
	// UserAgent is sent with each request; default "rollcall".
	UserAgent string

	// Patience is how long a server that does not answer is tried again before
	// a call gives up; default 10 minutes, negative: not at all.
	Patience time.Duration

	// Retrying, if not nil, is told why a request is about to be repeated and
	// how long until then.
	Retrying func(cause error, wait time.Duration)

	// Transport sends the requests; default one of its own with every timeout
	// set and the proxy of the environment.
	Transport http.RoundTripper
}

// Client is a caller of one server with one token. It is safe for concurrent
// use.
type Client struct {
	base      *url.URL
	token     string
	userAgent string
	patience  time.Duration
	retrying  func(error, time.Duration)
	http      *http.Client
}

// New makes a client of the server at address: scheme, host and perhaps a port.
// It does not connect. The error is ErrAddress or ErrToken.
func New(address, token string, cfg Config) (*Client, error) {
	base, err := url.Parse(address)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Hostname() == "" ||
		base.User != nil || strings.Trim(base.Path, "/") != "" || base.RawQuery != "" || base.Fragment != "" {
		return nil, ErrAddress // the address is not repeated: it may hold a password
	}
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, ErrToken
	}
	c := &Client{
		base:      &url.URL{Scheme: base.Scheme, Host: base.Host},
		token:     token,
		userAgent: cfg.UserAgent,
		patience:  cfg.Patience,
		retrying:  cfg.Retrying,
		http: &http.Client{
			Transport: cfg.Transport,
			// A redirect is reported, not followed: it would take the token
			// and the file to wherever it points.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if c.userAgent == "" {
		c.userAgent = "rollcall"
	}
	if c.patience == 0 {
		c.patience = 10 * time.Minute
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

// request makes a request with what all have in common. path is below
// /api/admin and needs no escaping.
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

// send returns an answer of one of the wanted statuses. Every other one is a
// *Problem, and no answer an *Unanswered.
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

// readImport decodes an answer that is an import, and closes it.
func readImport(answer *http.Response) (*Import, error) {
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return nil, unanswered(answer.Request, true, err)
	}
	var i Import
	if len(raw) > maxAnswer || json.Unmarshal(raw, &i) != nil || i.ID == "" {
		return nil, fmt.Errorf("%w: its answer is not an import", ErrNotRollcall)
	}
	i.Raw = raw
	i.etag = answer.Header.Get("ETag")
	return &i, nil
}
