package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/app"
	"rollcall/app/api"
	"rollcall/auth"
	"rollcall/config"
	"rollcall/jobs/queue"
	"rollcall/roster"
	"rollcall/storage"
)

// TestEveryAnswerIsHardened requests every route as every kind of caller, and
// many paths that do not exist. Every response has the security headers.
func TestEveryAnswerIsHardened(t *testing.T) {
	t.Parallel()
	cfg := settings(t, "ROLLCALL_PUBLIC_URL=https://rollcall.example.com")
	base := serveAPI(t, cfg, api.DevOptions{Mailbox: brokenMailbox{}})
	v := visitor{t, base, []string{"max-age=31536000; includeSubDomains"}}
	table := routeTable(t, cfg)
	id := v.upload()
	cookies := v.signIn(addAdmin(t, cfg))

	statuses := map[int]int{}
	for _, route := range table {
		path := strings.NewReplacer("imports/:id", "imports/"+id, ":id", "00000000-0000-7000-8000-000000000000",
			":delivery", "00000000-0000-7000-8000-000000000000", ":token", "x").Replace(route.Path)
		for _, who := range []http.Header{
			{}, {"Authorization": {"Bearer " + adminToken}}, {"Authorization": {"Bearer wrong"}}, {"Cookie": cookies},
			{"Cookie": cookies, "Sec-Fetch-Site": {"cross-site"}},
		} {
			statuses[v.visit(route.Method, path, who, nil)]++
		}
	}
	for _, request := range []struct{ method, path string }{
		{"GET", "/nothing"}, {"GET", "/api/nothing"}, {"GET", "/admin/nothing"}, {"GET", "//api/admin/users"}, {"GET", "/docs/"},
		{"GET", "/assets/nothing.css"}, {"GET", "/admin/imports/x"}, {"GET", "/api/admin/users/imports/x"}, {"GET", "/%00"},
		{"DELETE", "/signin"}, {"PATCH", "/api/admin/users"}, {"TRACE", "/healthz"}, {"OPTIONS", "/api/admin/users/import"},
		{"GET", "/dev/mail/panic"}, {"GET", "/dev/mail/1"}, {"GET", "/dev/mail/1/html"}, {"GET", "/dev/mail"},
		{"GET", "/signin?next=//evil.example"}, {"GET", "/api/admin/users?limit=x"},
	} {
		statuses[v.visit(request.method, request.path, http.Header{"Authorization": {"Bearer " + adminToken}}, nil)]++
		statuses[v.visit(request.method, request.path, http.Header{"Cookie": cookies}, nil)]++
	}
	if status := v.visit("TRACE", "/healthz", http.Header{}, nil); status != http.StatusMethodNotAllowed {
		t.Errorf("TRACE: %d", status)
	}
	monitoring := httptest.NewServer(api.Monitoring())
	t.Cleanup(monitoring.Close)
	plain := visitor{t, monitoring.URL, nil} // inside the network, without TLS
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/nothing", "/", "/%00", "/admin/users"} {
		for _, method := range []string{"GET", "HEAD", "POST", "TRACE", "OPTIONS"} {
			statuses[plain.visit(method, path, http.Header{}, nil)]++
		}
	}
	for _, want := range []int{200, 303, 400, 401, 403, 404, 405, 409, 415, 500, 503} {
		if statuses[want] == 0 {
			t.Errorf("no answer had the status %d: %v", want, statuses)
		}
	}
}

// visitor sends requests and checks the headers.
type visitor struct {
	*testing.T
	base   string
	strict []string // the expected Strict-Transport-Security
}

// plain answers come from one transport without redirects, cookies or waits.
var transport = &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: 20 * time.Second}

func (v visitor) visit(method, path string, header http.Header, body io.Reader) int {
	v.Helper()
	r, err := http.NewRequest(method, v.base+path, body)
	if err != nil {
		v.Fatal(err)
	}
	r.Header = header.Clone()
	res, err := transport.RoundTrip(r)
	if err != nil {
		v.Fatalf("%s %s: %v", method, path, err)
	}
	defer drop(res)
	for _, fault := range faults(res, v.strict) {
		v.Errorf("%s %s as %v: %d: %s", method, path, header, res.StatusCode, fault)
	}
	return res.StatusCode
}

// faults lists what is wrong with the headers of a response.
func faults(res *http.Response, strict []string) (found []string) {
	h := res.Header
	for name, allowed := range map[string][]string{
		"X-Content-Type-Options":       {"nosniff"},
		"X-Frame-Options":              {"DENY", "SAMEORIGIN"},
		"Referrer-Policy":              {"no-referrer", "same-origin"},
		"Cross-Origin-Opener-Policy":   {"same-origin"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
	} {
		if values := h.Values(name); len(values) != 1 || !slices.Contains(allowed, values[0]) {
			found = append(found, name+" is "+strings.Join(values, ", "))
		}
	}
	if values := h.Values("Strict-Transport-Security"); !slices.Equal(values, strict) {
		found = append(found, "Strict-Transport-Security is "+strings.Join(values, ", "))
	}
	policy := h.Values("Content-Security-Policy")
	if len(policy) != 1 || !strings.Contains(policy[0], "default-src 'none'") || !strings.Contains(policy[0], "base-uri 'none'") ||
		!strings.Contains(policy[0], "form-action '") || !strings.Contains(policy[0], "frame-ancestors '") || strings.Contains(policy[0], "unsafe") {
		found = append(found, "Content-Security-Policy is "+strings.Join(policy, ", "))
	}
	if media := h.Get("Content-Type"); strings.HasPrefix(media, "text/") && !strings.Contains(media, "charset=utf-8") && media != "text/event-stream" &&
		!strings.HasSuffix(res.Request.URL.Path, "/file") { // an upload has the encoding it was sent in
		found = append(found, "Content-Type is "+media)
	}
	if h.Get("Server")+h.Get("X-Powered-By")+h.Get("Access-Control-Allow-Origin") != "" {
		found = append(found, "the headers tell too much")
	}
	for _, cookie := range res.Cookies() {
		if !cookie.Secure || !cookie.HttpOnly || cookie.SameSite == 0 || !strings.HasPrefix(cookie.Name, "__Host-") {
			found = append(found, "cookie "+cookie.String())
		}
	}
	return found
}

// upload creates an import that waits for confirmation, and returns its id.
func (v visitor) upload() string {
	v.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("file", "users.csv")
	if err != nil {
		v.Fatal(err)
	}
	io.WriteString(file, "email,name\nada@example.com,Ada\n")
	form.Close()
	r, _ := http.NewRequest("POST", v.base+"/api/admin/users/import", &body)
	r.Header = http.Header{"Authorization": {"Bearer " + adminToken}, "Content-Type": {form.FormDataContentType()}}
	res, err := transport.RoundTrip(r)
	if err != nil {
		v.Fatal(err)
	}
	defer res.Body.Close()
	var i struct{ ID string }
	if err := json.NewDecoder(res.Body).Decode(&i); err != nil || res.StatusCode != http.StatusAccepted {
		v.Fatalf("upload: %d, %v", res.StatusCode, err)
	}
	return i.ID
}

// signIn returns the cookies of a session.
func (v visitor) signIn(email, password string) []string {
	v.Helper()
	r, _ := http.NewRequest("POST", v.base+"/signin", strings.NewReader(url.Values{"email": {email}, "password": {password}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := transport.RoundTrip(r)
	if err != nil {
		v.Fatal(err)
	}
	defer drop(res)
	if res.StatusCode != http.StatusSeeOther {
		v.Fatalf("sign-in: %d", res.StatusCode)
	}
	var pairs []string
	for _, cookie := range res.Cookies() {
		pairs = append(pairs, cookie.Name+"="+cookie.Value)
	}
	return []string{strings.Join(pairs, "; ")}
}

// routeTable is every route of the server, the end of the session last.
func routeTable(t *testing.T, cfg config.Config) gin.RoutesInfo {
	t.Helper()
	store, err := app.OpenStore(t.Context(), cfg, "test", 2, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	redis, err := cfg.RedisOptions()
	if err != nil {
		t.Fatal(err)
	}
	tasks := queue.New(redis, slog.New(slog.DiscardHandler))
	defer tasks.Close()
	handler, _, err := api.NewHandler(t.Context(), cfg, store, storage.NewWatcher(store, slog.New(slog.DiscardHandler)), tasks,
		api.DevOptions{Mailbox: brokenMailbox{}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	routes := handler.(*gin.Engine).Routes()
	slices.SortStableFunc(routes, func(a, b gin.RouteInfo) int {
		return strings.Compare(strings.Replace(a.Path, "/signout", "~", 1), strings.Replace(b.Path, "/signout", "~", 1))
	})
	if len(routes) < 80 {
		t.Fatalf("only %d routes", len(routes))
	}
	return routes
}

// addAdmin makes an administrator.
func addAdmin(t *testing.T, cfg config.Config) (email, password string) {
	t.Helper()
	store, err := app.OpenStore(t.Context(), cfg, "test", 2, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	email, password = "admin@example.com", "three quiet herons wade"
	hash, err := auth.NewHasher(auth.HasherConfig{}).Hash(context.Background(), password)
	if err != nil {
		t.Fatal(err)
	}
	user := storage.NewUser{Email: email, EmailKey: email, Name: "Ada", Role: roster.RoleAdmin, PasswordHash: hash}
	if _, err := store.CreateUser(t.Context(), user, time.Hour, storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorSystem, Label: "test"}}); err != nil {
		t.Fatal(err)
	}
	return email, password
}
