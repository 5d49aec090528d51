package api_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/access"
	"rollcall/app/api"
	"rollcall/auth"
	"rollcall/jobs/queue"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web"
)

var operator = storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorSystem, Label: "test"}}

// noMail is an empty mailbox.
type noMail struct{}

func (noMail) All() iter.Seq2[web.Mail, error]    { return func(func(web.Mail, error) bool) {} }
func (noMail) Get(string) (web.Mail, bool, error) { return web.Mail{}, false, nil }

// building is everything that the API process serves.
type building struct {
	*testing.T
	store  *storage.Store
	engine *gin.Engine
	server *httptest.Server
	client *http.Transport
	asked  int
}

func build(t *testing.T) *building {
	t.Helper()
	cfg := settings(t)
	cfg.TrustedProxies = "127.0.0.0/8"
	store, err := storage.Open(cfg.DatabaseURL.Reveal(), storage.Options{MaxConns: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	options, err := cfg.RedisOptions()
	if err != nil {
		t.Fatal(err)
	}
	tasks := queue.New(options, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { tasks.Close() })
	log := slog.New(slog.DiscardHandler)
	handler, _, err := api.NewHandler(t.Context(), cfg, store, storage.NewWatcher(store, log), tasks, api.DevOptions{Mailbox: noMail{}}, log)
	if err != nil {
		t.Fatal(err)
	}
	b := &building{T: t, store: store, engine: handler.(*gin.Engine), client: &http.Transport{}}
	t.Cleanup(b.client.CloseIdleConnections)
	// Every request has its own client address; otherwise the limit on failed
	// authentications would apply.
	b.server = httptest.NewServer(handler)
	t.Cleanup(b.server.Close)
	return b
}

// caller adds the credentials of a caller to a request.
type caller func(*http.Request)

func bearing(token string) caller {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func (b *building) token(life time.Duration, scopes ...string) (uuid.UUID, string) {
	b.Helper()
	secret, hash := auth.NewToken()
	token, err := b.store.CreateToken(b.Context(), strings.Join(scopes, " "), hash, scopes, life, operator)
	if err != nil {
		b.Fatal(err)
	}
	return token.ID, secret
}

// passwordHash is the hash of an unknown password.
const passwordHash = "$argon2id$none"

func (b *building) user(email string, role roster.Role) uuid.UUID {
	b.Helper()
	id, err := b.store.CreateUser(b.Context(), storage.NewUser{Email: email, EmailKey: email, Name: "Someone", Role: role, PasswordHash: passwordHash}, time.Hour, operator)
	if err != nil {
		b.Fatal(err)
	}
	return id
}

// session signs a user in.
func (b *building) session(id uuid.UUID) caller {
	b.Helper()
	secret, hash := auth.NewSession()
	in := storage.SignIn{UserID: id, PasswordHash: passwordHash, Session: hash, Browser: "Firefox on Linux", Life: time.Hour}
	if err := b.store.CreateSession(b.Context(), in, operator); err != nil {
		b.Fatal(err)
	}
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "rollcall_session", Value: secret}) }
}

// callers are all kinds of callers. A user's session is made for each request,
// because some requests end it.
func (b *building) callers() map[string]func() caller {
	admin, user, disabled := b.user("admin@example.com", roster.RoleAdmin), b.user("user@example.com", roster.RoleUser), b.user("gone@example.com", roster.RoleAdmin)
	kept := b.session(disabled)
	if _, err := b.store.ChangeUser(b.Context(), disabled, storage.UserChange{Disabled: new(true)}, operator); err != nil {
		b.Fatal(err)
	}
	_, starts := b.token(0, "imports")
	_, reads := b.token(0, "imports:read")
	_, all := b.token(0, "admin")
	id, expired := b.token(time.Hour, "admin")
	if _, err := b.store.DB().ExecContext(b.Context(), `UPDATE api_tokens SET expires_at = now() WHERE id = $1`, id); err != nil {
		b.Fatal(err)
	}
	id, revoked := b.token(0, "admin")
	if err := b.store.RevokeToken(b.Context(), id, operator); err != nil {
		b.Fatal(err)
	}
	always := func(c caller) func() caller { return func() caller { return c } }
	return map[string]func() caller{
		"anonymous":       always(func(*http.Request) {}),
		"user":            func() caller { return b.session(user) },
		"admin":           func() caller { return b.session(admin) },
		"disabled admin":  always(kept),
		"imports":         always(bearing(starts)),
		"imports:read":    always(bearing(reads)),
		"admin token":     always(bearing(all)),
		"ADMIN_API_TOKEN": always(bearing(adminToken)),
		"expired token":   always(bearing(expired)),
		"revoked token":   always(bearing(revoked)),
	}
}

// The possible results of a request.
const (
	yes    = "let in"
	signIn = "sent to the sign-in" // pages
	hidden = "not found"           // pages
	unauth = "401"                 // API
	scope  = "403"                 // API
)

// matrix is the expected result of every caller for every kind of route,
// written by hand, independently of the table.
var matrix = map[access.Requirement]map[string]string{
	access.Public: {
		"anonymous": yes, "user": yes, "admin": yes, "disabled admin": yes, "imports": yes, "imports:read": yes,
		"admin token": yes, "ADMIN_API_TOKEN": yes, "expired token": yes, "revoked token": yes,
	},
	access.SignedIn: {
		"anonymous": signIn, "user": yes, "admin": yes, "disabled admin": signIn, "imports": signIn, "imports:read": signIn,
		"admin token": signIn, "ADMIN_API_TOKEN": signIn, "expired token": signIn, "revoked token": signIn,
	},
	access.Enrolling2FA: {
		"anonymous": signIn, "user": yes, "admin": yes, "disabled admin": signIn, "imports": signIn, "imports:read": signIn,
		"admin token": signIn, "ADMIN_API_TOKEN": signIn, "expired token": signIn, "revoked token": signIn,
	},
	access.Admin: {
		"anonymous": signIn, "user": hidden, "admin": yes, "disabled admin": signIn, "imports": signIn, "imports:read": signIn,
		"admin token": signIn, "ADMIN_API_TOKEN": signIn, "expired token": signIn, "revoked token": signIn,
	},
	access.TokenImportsRead: {
		"anonymous": unauth, "user": unauth, "admin": unauth, "disabled admin": unauth, "imports": yes, "imports:read": yes,
		"admin token": yes, "ADMIN_API_TOKEN": yes, "expired token": unauth, "revoked token": unauth,
	},
	access.TokenImports: {
		"anonymous": unauth, "user": unauth, "admin": unauth, "disabled admin": unauth, "imports": yes, "imports:read": scope,
		"admin token": yes, "ADMIN_API_TOKEN": yes, "expired token": unauth, "revoked token": unauth,
	},
	access.TokenAdmin: {
		"anonymous": unauth, "user": unauth, "admin": unauth, "disabled admin": unauth, "imports": scope, "imports:read": scope,
		"admin token": yes, "ADMIN_API_TOKEN": yes, "expired token": unauth, "revoked token": unauth,
	},
}

// TestEveryRouteForEveryCaller requests every route as every caller.
func TestEveryRouteForEveryCaller(t *testing.T) {
	t.Parallel()
	b := build(t)
	callers := b.callers()
	imported := b.endedImport()
	spare, _ := b.token(0, "imports")
	routes := b.engine.Routes()
	slices.SortFunc(routes, func(x, y gin.RouteInfo) int { return strings.Compare(x.Path+x.Method, y.Path+y.Method) })
	for _, route := range routes {
		need, listed := access.Lookup(route.Method, route.Path)
		if !listed {
			continue // TestEveryRouteHasItsLine says so
		}
		path := strings.NewReplacer("/tokens/:id", "/tokens/"+spare.String(), ":id", imported.String(), ":delivery", spare.String(), ":token", "x").Replace(route.Path)
		for _, name := range slices.Sorted(maps.Keys(callers)) {
			want, known := matrix[need][name]
			if !known {
				t.Fatalf("the matrix does not know what %s may expect of %s %s", name, route.Method, route.Path)
			}
			if got := b.ask(route.Method, path, callers[name]()); got != want {
				t.Errorf("%s %s as %s: %s, want %s", route.Method, route.Path, name, got, want)
			}
		}
	}
	if t.Failed() {
		t.Logf("%d requests", b.asked)
	}
}

// TestEveryRouteHasItsLine compares the routers and the table.
func TestEveryRouteHasItsLine(t *testing.T) {
	t.Parallel()
	served := map[string]bool{}
	for _, route := range build(t).engine.Routes() {
		served[route.Method+" "+route.Path] = true
		if need, listed := access.Lookup(route.Method, route.Path); !listed {
			t.Errorf("%s %s has no row in the table of package access: no caller is admitted", route.Method, route.Path)
		} else if api := strings.HasPrefix(route.Path, "/api/"); api != (need.Scope() != "") {
			t.Errorf("%s %s: the API asks for tokens, and nothing else does", route.Method, route.Path)
		} else if strings.HasPrefix(route.Path, "/admin/") && need != access.SignedIn && need != access.Enrolling2FA && need != access.Admin {
			t.Errorf("%s %s: everything under /admin/ asks who is signed in", route.Method, route.Path)
		}
	}
	access.Each(func(method, path string, _ access.Requirement) {
		if !served[method+" "+path] {
			t.Errorf("%s %s is in the table of package access and is not served", method, path)
		}
	})
}

// ask sends a request and classifies the response.
func (b *building) ask(method, path string, as caller) string {
	b.Helper()
	b.asked++
	ctx, cancel := context.WithTimeout(b.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, b.server.URL+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	as(r)
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.0.%d.%d", b.asked/250, b.asked%250))
	res, err := b.client.RoundTrip(r)
	if err != nil {
		b.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.Fatalf("%s %s: %v", method, path, err)
	}
	if res.StatusCode >= 500 {
		b.Errorf("%s %s: status %d: %s", method, path, res.StatusCode, body)
	}
	toSignIn := strings.HasPrefix(res.Header.Get("Location"), "/signin")
	switch {
	case res.StatusCode == http.StatusUnauthorized && strings.HasPrefix(path, "/api/"):
		return unauth
	case res.StatusCode == http.StatusForbidden:
		return scope
	case toSignIn && path != "/" && path != "/admin" && path != "/signout" && path != "/signin/code": // these lead there by themselves
		return signIn
	case res.StatusCode == http.StatusNotFound && (strings.Contains(string(body), "have access to it") || method == http.MethodHead && strings.HasPrefix(path, "/admin/")):
		return hidden
	}
	return yes
}

// endedImport makes an import that no longer changes.
func (b *building) endedImport() uuid.UUID {
	b.Helper()
	chunk := []byte("email,name\na@example.com,A\n")
	received, err := b.store.ReceiveImport(b.Context(), storage.Upload{
		By: operator,
		Next: func() ([]byte, error) {
			c := chunk
			chunk = nil
			if c == nil {
				return nil, io.EOF
			}
			return c, nil
		},
		Finish: func() (string, roster.Options, error) {
			return "a.csv", roster.Options{OnDuplicate: roster.SkipDuplicates}, nil
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	id := received.Import.ID
	if err := b.store.CancelImport(b.Context(), id, operator); err != nil {
		b.Fatal(err)
	}
	return id
}
