package mail_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"rollcall/internal/egress"
	"rollcall/mail"
	"rollcall/test/smtptest"
)

const (
	oauthUser   = "hr@example.com"
	oauthClient = "client-1"
	oauthSecret = "a client secret that stays secret"
)

// tokenServer is a token endpoint. Its tokens are t1, t2, t3, …
type tokenServer struct {
	*httptest.Server
	requests atomic.Int64
	valid    atomic.Int64 // number of the only token that the mail server accepts; 0: the last one
	answer   func(w http.ResponseWriter, r *http.Request) bool
}

func startTokens(t *testing.T) *tokenServer {
	t.Helper()
	s := &tokenServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.answer != nil && s.answer(w, r) {
			return
		}
		id, secret, basic := r.BasicAuth()
		if !basic {
			id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
		}
		w.Header().Set("Content-Type", "application/json")
		// RFC 6749, section 2.3.1: both are encoded in the header.
		if r.FormValue("grant_type") != "client_credentials" || id != oauthClient || strings.ReplaceAll(secret, "+", " ") != oauthSecret || r.FormValue("scope") != "mail.send" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided."}`)
			return
		}
		fmt.Fprintf(w, `{"access_token":"t%d","token_type":"Bearer","expires_in":3600}`, s.requests.Add(1))
	}))
	t.Cleanup(s.Close)
	return s
}

// accepts is the mail server's check of a token.
func (s *tokenServer) accepts(user, token string) bool {
	n := s.valid.Load()
	if n == 0 {
		n = s.requests.Load()
	}
	return user == oauthUser && token == fmt.Sprintf("t%d", n)
}

func (s *tokenServer) through(server *smtptest.Server) mail.Server {
	through := plain(server)
	through.User = oauthUser
	through.OAuth = mail.OAuth{TokenURL: s.URL + "/token", ClientID: oauthClient, ClientSecret: oauthSecret, Scope: "mail.send"}
	return through
}

// TestOneTokenForAll: many senders at once, over connections of two pools, make one
// request for a token.
func TestOneTokenForAll(t *testing.T) {
	t.Parallel()
	tokens := startTokens(t)
	server := smtptest.Start(t, smtptest.Config{Auth: "XOAUTH2", Bearer: tokens.accepts})
	var all sync.WaitGroup
	for range 2 {
		pool := newPool(t, tokens.through(server), mail.PoolConfig{Size: 4})
		for range 20 {
			all.Go(func() {
				if err := pool.Send(t.Context(), message()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	if n := tokens.requests.Load(); n != 1 || server.Accepted() != 40 {
		t.Errorf("%d token requests for %d mails", n, server.Accepted())
	}
}

// TestTokenEndsInMidRun: whether the mail server says so at the next sign-in or in
// the middle of a session, the mail goes out with a fresh token.
func TestTokenEndsInMidRun(t *testing.T) {
	t.Parallel()
	for _, session := range []bool{false, true} {
		tokens := startTokens(t)
		var ended atomic.Bool
		server := smtptest.Start(t, smtptest.Config{Auth: "XOAUTH2", Bearer: tokens.accepts, Script: func(e *smtptest.Event) {
			if session && e.Verb == "MAIL" && e.Connection == 1 && ended.Load() {
				e.Reply = "530 5.7.57 Client not authenticated to send mail"
			}
		}})
		pool := newPool(t, tokens.through(server), mail.PoolConfig{Size: 1})
		if err := pool.Send(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
		tokens.valid.Store(2)
		ended.Store(true)
		if !session {
			server.DropAll()
		}
		if err := pool.Send(t.Context(), message()); err != nil {
			t.Errorf("in a session %v: %v", session, err)
		}
		if n := tokens.requests.Load(); n != 2 || server.Accepted() != 2 {
			t.Errorf("in a session %v: %d token requests, %d mails", session, n, server.Accepted())
		}
	}
}

// TestNoToken: a failed token request makes no connection, concerns no recipient,
// and says what to do without repeating the secret.
func TestNoToken(t *testing.T) {
	t.Parallel()
	refuse := func(status int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
			return true
		}
	}
	for name, c := range map[string]struct {
		answer        func(http.ResponseWriter, *http.Request) bool
		configuration bool
		reply, advice string
	}{
		"wrong secret":   {refuse(401, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided."}`), true, "invalid_client AADSTS7000215: Invalid client secret provided.", "client secret"},
		"no permission":  {refuse(400, `{"error":"unauthorized_client"}`), true, "unauthorized_client", "SMTP.SendAsApp"},
		"repeats secret": {refuse(400, `{"error":"invalid_client","error_description":"not `+oauthSecret+`"}`), true, "", ""},
		"busy":           {refuse(503, ``), false, "", "retried"},
		"too many":       {refuse(429, `{"error":"slow_down"}`), false, "slow_down", "retried"},
		"no token in it": {refuse(200, `{}`), true, "", "token URL"},
		"redirects": {func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
			return true
		}, true, "", "token URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tokens := startTokens(t)
			tokens.answer = c.answer
			server := smtptest.Start(t, smtptest.Config{Auth: "XOAUTH2", Bearer: tokens.accepts})
			f := failureOf(t, newPool(t, tokens.through(server), mail.PoolConfig{}).Send(t.Context(), message()))
			if f.Class != mail.ServerDown || f.Stage != mail.StageToken || f.Configuration != c.configuration || f.Reply != c.reply || !strings.Contains(f.Advice(), c.advice) {
				t.Errorf("%+v: %s", f, f.Advice())
			}
			if strings.Contains(f.Error(), oauthSecret) || strings.Contains(f.Error(), tokens.URL) || server.Connections() != 0 {
				t.Errorf("%v; %d connections", f, server.Connections())
			}
		})
	}
	t.Run("refused by the mail server", func(t *testing.T) {
		t.Parallel()
		tokens := startTokens(t)
		server := smtptest.Start(t, smtptest.Config{Auth: "XOAUTH2", Bearer: func(string, string) bool { return false }})
		f := failureOf(t, newPool(t, tokens.through(server), mail.PoolConfig{}).Send(t.Context(), message()))
		if f.Class != mail.ServerDown || !f.Configuration || f.Stage != mail.StageAuth || !strings.Contains(f.Advice(), "SMTP AUTH") {
			t.Errorf("%+v: %s", f, f.Advice())
		}
		if n := tokens.requests.Load(); n != 1 {
			t.Errorf("%d token requests", n)
		}
	})
}

// TestTokenBySignedRequest: with a service account's key the request is signed, on
// behalf of the mailbox.
func TestTokenBySignedRequest(t *testing.T) {
	t.Parallel()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	file, err := json.Marshal(map[string]string{"type": "service_account", "client_email": "robot@project.example", "private_key": string(key)})
	if err != nil {
		t.Fatal(err)
	}
	tokens := startTokens(t)
	var claims struct{ Iss, Sub, Scope string }
	tokens.answer = func(w http.ResponseWriter, r *http.Request) bool {
		parts := strings.Split(r.FormValue("assertion"), ".")
		body, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
		if err != nil || json.Unmarshal(body, &claims) != nil {
			t.Errorf("assertion %v", err)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"t%d","token_type":"Bearer","expires_in":3600}`, tokens.requests.Add(1))
		return true
	}
	server := smtptest.Start(t, smtptest.Config{Auth: "XOAUTH2", Bearer: tokens.accepts})
	through := tokens.through(server)
	through.OAuth.ClientID, through.OAuth.ClientSecret = "", string(file)
	if err := newPool(t, through, mail.PoolConfig{}).Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	if claims.Iss != "robot@project.example" || claims.Sub != oauthUser || claims.Scope != "mail.send" {
		t.Errorf("claims %+v", claims)
	}
}

// TestOAuthIsValidated, and its secret is never printed.
func TestOAuthIsValidated(t *testing.T) {
	t.Parallel()
	fine := mail.Server{Host: "smtp.example.com", User: oauthUser, OAuth: mail.OAuth{TokenURL: "https://login.example.com/token", ClientID: oauthClient, ClientSecret: oauthSecret}}
	if err := fine.Validate(); err != nil {
		t.Fatal(err)
	}
	public := egress.Addresses{}
	for want, change := range map[error]func(*mail.Server){
		mail.ErrTokenURL:         func(s *mail.Server) { s.OAuth.TokenURL = "http://login.example.com/token" },
		mail.ErrClientID:         func(s *mail.Server) { s.OAuth.ClientID = "" },
		mail.ErrClientSecret:     func(s *mail.Server) { s.OAuth.ClientSecret = "" },
		mail.ErrOAuthUser:        func(s *mail.Server) { s.User = "" },
		mail.ErrTwoSecrets:       func(s *mail.Server) { s.Password = "p" },
		mail.ErrPlainCredentials: func(s *mail.Server) { s.Security = mail.None },
	} {
		s := fine
		change(&s)
		if err := s.Validate(); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	inside := fine
	inside.Within, inside.OAuth.TokenURL = &public, "https://169.254.169.254/token"
	if err := inside.Validate(); err == nil {
		t.Error("a token URL at an address that is not allowed is accepted")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, value := range []any{fine, &fine, fine.OAuth} {
			if printed := fmt.Sprintf(verb, value); strings.Contains(printed, oauthSecret) {
				t.Errorf("%s: %s", verb, printed)
			}
		}
	}
	if s, err := mail.ParseURL("smtp://hr%40example.com@smtp.office365.com:587?auth=oauth2"); err != nil || !s.AwaitsOAuth() || s.User != oauthUser {
		t.Errorf("%v, %v", s, err)
	}
	for _, raw := range []string{"smtp://u:p@mx.example.com?auth=oauth2", "smtp://mx.example.com?auth=oauth2", "smtp://u@mx.example.com?auth=plain"} {
		if _, err := mail.ParseURL(raw); err == nil {
			t.Errorf("%s is accepted", raw)
		}
	}
}
