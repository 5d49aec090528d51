package mail

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/oauth2/jwt"

	"rollcall/internal/egress"
)

// OAuth says where a token for XOAUTH2 is requested, with client credentials (RFC
// 6749, section 4.4). The zero value means to sign in with a password. If
// ClientSecret is a private key in PEM, or a service account's key in JSON as
// Google issues it, the request is signed with it instead (RFC 7523), on behalf of
// Server.User.
type OAuth struct {
	TokenURL     string // https, or http on this machine
	ClientID     string // with a key: the service account's address; "": that in the JSON
	ClientSecret string
	Scope        string // separated by spaces; may be empty
}

// String never shows the secret.
func (o OAuth) String() string {
	if o == (OAuth{}) {
		return ""
	}
	return o.TokenURL + " as " + o.ClientID
}

// GoString keeps the secret out of %#v.
func (o OAuth) GoString() string { return "mail.OAuth(" + o.String() + ")" }

// Problems of OAuth settings; see [Server.Validate].
var (
	ErrTokenURL     = errors.New("the token URL must start with https://")
	ErrClientID     = errors.New("OAuth 2 needs a client ID")
	ErrClientSecret = errors.New("OAuth 2 needs a client secret")
	ErrOAuthUser    = errors.New("OAuth 2 needs a user name: the mailbox that sends")
	ErrTwoSecrets   = errors.New("OAuth 2 needs no password")
)

func (s Server) validateOAuth() error {
	if s.OAuth == (OAuth{}) {
		return nil
	}
	u, err := url.Parse(s.OAuth.TokenURL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())):
		return ErrTokenURL
	case s.barredHost(u.Hostname()):
		return errBlocked
	case s.OAuth.ClientSecret == "":
		return ErrClientSecret
	case s.OAuth.ClientID == "" && s.OAuth.key().id == "":
		return ErrClientID
	case s.User == "" || strings.ContainsRune(s.User, 1):
		return ErrOAuthUser
	case s.Password != "":
		return ErrTwoSecrets
	}
	return nil
}

func (s Server) barredHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && s.Within != nil && s.Within.Check(addr) != nil
}

// signingKey is a private key to sign token requests with.
type signingKey struct{ pem, id string }

func (o OAuth) key() signingKey {
	secret := strings.TrimSpace(o.ClientSecret)
	if strings.HasPrefix(secret, "-----BEGIN") {
		return signingKey{pem: secret}
	}
	var file struct {
		Email string `json:"client_email"`
		Key   string `json:"private_key"`
	}
	if strings.HasPrefix(secret, "{") && json.Unmarshal([]byte(secret), &file) == nil {
		return signingKey{file.Key, file.Email}
	}
	return signingKey{}
}

const (
	tokenTimeout = 15 * time.Second
	tokenEarly   = 2 * time.Minute // before its end a token is replaced
)

// tokens keeps the token of one server. One request at a time is made for all who
// need one.
type tokens struct {
	server Server
	client *http.Client

	mu     sync.Mutex // held during a request
	token  *oauth2.Token
	usable time.Time // until then
}

// The tokens of all pools of this process, by server: few, since an installation
// has one mail server at a time.
var (
	allTokensMu sync.Mutex
	allTokens   = map[string]*tokens{}
)

const maxTokens = 16

// tokensFor returns the token of a server; nil if it needs none. Pools of the same
// server share it.
func tokensFor(s Server) *tokens {
	if s.OAuth == (OAuth{}) {
		return nil
	}
	key := strings.Join([]string{s.User, s.OAuth.TokenURL, s.OAuth.ClientID, s.OAuth.ClientSecret, s.OAuth.Scope, fmt.Sprintf("%p", s.Within)}, "\x00")
	allTokensMu.Lock()
	defer allTokensMu.Unlock()
	if t := allTokens[key]; t != nil {
		return t
	}
	if len(allTokens) >= maxTokens { // the settings were changed that often
		clear(allTokens)
	}
	t := &tokens{server: s, client: tokenClient(s.Within)}
	allTokens[key] = t
	return t
}

// tokenClient reaches only the addresses that mail may be sent to, and follows no
// redirect: the secret goes to the URL that was set.
func tokenClient(within *egress.Addresses) *http.Client {
	transport := &http.Transport{TLSHandshakeTimeout: tokenTimeout, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10}
	if within != nil {
		transport.DialContext = egress.Dialer(within.Check, nil)
	}
	return &http.Client{Transport: transport, Timeout: tokenTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get returns a token that is still usable, and whether it was requested just now.
func (t *tokens) get() (token string, fresh bool, failure *Failure) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != nil && time.Now().Before(t.usable) {
		return t.token.AccessToken, false, nil
	}
	got, err := t.request()
	if err != nil {
		t.token = nil
		return "", false, t.failure(err)
	}
	t.token = got
	t.usable = time.Now().Add(time.Hour)
	if !got.Expiry.IsZero() {
		life := time.Until(got.Expiry)
		t.usable = time.Now().Add(life - min(tokenEarly, life/10))
	}
	return got.AccessToken, true, nil
}

// drop forgets a token that the mail server did not accept.
func (t *tokens) drop(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != nil && t.token.AccessToken == token {
		t.token = nil
	}
}

func (t *tokens) request() (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), oauth2.HTTPClient, t.client), tokenTimeout)
	defer cancel()
	o := t.server.OAuth
	scopes := strings.Fields(o.Scope)
	if key := o.key(); key.pem != "" {
		config := jwt.Config{
			Email: cmp.Or(o.ClientID, key.id), PrivateKey: []byte(key.pem), Subject: t.server.User, Scopes: scopes, TokenURL: o.TokenURL,
		}
		return config.TokenSource(ctx).Token()
	}
	config := clientcredentials.Config{ClientID: o.ClientID, ClientSecret: o.ClientSecret, TokenURL: o.TokenURL, Scopes: scopes}
	return config.Token(ctx)
}

// errNoToken is the cause of a failure at [StageToken] that has an answer.
var errNoToken = errors.New("the token request was refused")

// errTokenUnreachable is the cause if the endpoint did not answer.
var errTokenUnreachable = errors.New("the token endpoint could not be reached")

// failure classifies an error of a token request. It keeps the code and the
// description that the server gave, which are meant for administrators, unless they
// repeat the secret.
func (t *tokens) failure(err error) *Failure {
	f := &Failure{Class: ServerDown, Stage: StageToken}
	answer, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		var cause *url.Error
		switch {
		case errors.As(err, &cause) && t.server.Within != nil && !errors.Is(err, egress.ErrAddress):
			f.Err = errTokenUnreachable // all alike, so that no one can look for ports in a private network
		case cause != nil:
			f.Err = cause.Err // without the URL
			f.Configuration = isConfiguration(cause.Err)
		default: // an answer without a token, or a key that cannot be read
			f.Err, f.Configuration = errNoToken, true
		}
		return f
	}
	status := 0
	if answer.Response != nil {
		status = answer.Response.StatusCode
	}
	f.Err = fmt.Errorf("%w: HTTP status %d", errNoToken, status)
	f.Configuration = status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout
	f.Reply = singleLine(strings.TrimSpace(answer.ErrorCode+" "+answer.ErrorDescription), maxReply)
	if strings.Contains(f.Reply, t.server.OAuth.ClientSecret) {
		f.Reply = ""
	}
	return f
}

// adviceOnToken says what to do if no token could be had.
func (f *Failure) adviceOnToken() string {
	switch {
	case errors.Is(f.Err, egress.ErrAddress):
		return "The token URL's host resolves to an address that is blocked, so nothing was sent. To allow it, set ROLLCALL_SMTP_ALLOW_PRIVATE on the server."
	case strings.HasPrefix(f.Reply, "invalid_client"):
		return "The token endpoint rejected the client ID or the client secret. Check both; secrets expire."
	case strings.HasPrefix(f.Reply, "unauthorized_client"), strings.HasPrefix(f.Reply, "access_denied"):
		return "The token endpoint doesn't allow this client to request a token. In Microsoft Entra, grant the application permission SMTP.SendAsApp and admin consent; in Google Workspace, allow the service account under domain-wide delegation."
	case strings.HasPrefix(f.Reply, "invalid_scope"):
		return "The token endpoint doesn't know the scope. Use https://outlook.office365.com/.default for Microsoft 365, https://mail.google.com/ for Google."
	case f.Configuration:
		return "The token endpoint refused the request. Check the token URL (the tenant is part of it for Microsoft 365), the client ID, the client secret and the scope."
	}
	return "The token endpoint couldn't be reached or is busy. Check the token URL and your firewall; sending is retried automatically."
}
