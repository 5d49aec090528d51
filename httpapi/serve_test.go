package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"rollcall/api"
	"rollcall/httpapi"
	"rollcall/migrations"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
)

func TestUnknownPathsAndMethodsAreProblems(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	for _, path := range []string{"/", "/api", "/api/admin/nothing", "/docs/", "/api/admin/users/imports/", "//api/admin/users"} {
		h.wantProblem(h.get(path), 404, "not_found")
	}
	for path, allow := range map[string]string{importsPath: "GET", "/healthz": "GET", importsPath + "/x/confirm": "POST"} {
		a := h.bare("PATCH", path)
		h.wantProblem(a, 405, "method_not_allowed")
		if !strings.Contains(a.header.Get("Allow"), allow) {
			t.Errorf("Allow %s for %s", a.header.Get("Allow"), path)
		}
	}
}

// TestAllowedMethods: a path that is written out in the table is answered for what
// it is, not for a parameter of another one.
func TestAllowedMethods(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	for _, c := range []struct{ method, path, allow string }{
		{"PUT", importPath, "POST"}, {"GET", importPath, "POST"}, {"DELETE", importPath, "POST"}, {"HEAD", importPath, "POST"},
		{"DELETE", importsPath, "GET, HEAD"}, {"PUT", importsPath, "GET, HEAD"}, {"POST", importsPath, "GET, HEAD"},
		{"PUT", importPath + "/errors", "GET, HEAD"}, {"POST", importPath + "/template.csv", "GET, HEAD"},
		{"DELETE", importsPath + "/" + uuid.NewString(), "GET, HEAD"}, {"GET", importsPath + "/" + uuid.NewString() + "/confirm", "POST"},
		{"PUT", "/api/admin/users", "GET, HEAD, POST"}, {"PUT", "/api/admin/users/" + uuid.NewString(), "DELETE, GET, HEAD, PATCH"},
		{"POST", "/api/admin/settings/email", "DELETE, GET, HEAD, PUT"}, {"GET", "/api/admin/settings/email/test", "POST"},
		{"PUT", "/api/admin/webhooks", "GET, HEAD, POST"}, {"POST", "/openapi.json", "GET, HEAD"},
	} {
		a := h.bare(c.method, c.path)
		if got := a.header.Get("Allow"); a.status != 405 || got != c.allow {
			t.Errorf("%s %s: %d, Allow %q, want %q", c.method, c.path, a.status, got, c.allow)
		}
		if c.method != "HEAD" {
			h.wantProblem(a, 405, "method_not_allowed")
		}
	}
	for _, path := range []string{"/api/admin/users/x", importsPath + "/x", "/api/admin/users/imports/import"} { // no such objects
		h.wantProblem(h.get(path), 404, "not_found")
	}
}

// bare sends a request whose response the API description does not have: it takes
// a path that is written out there for a parameter of another.
func (h *testEnv) bare(method, path string) (a answer) {
	h.Helper()
	req, err := http.NewRequestWithContext(h.Context(), method, h.url+path, nil)
	if err != nil {
		h.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		h.Fatal(err)
	}
	defer res.Body.Close()
	a = answer{status: res.StatusCode, header: res.Header}
	if a.body, err = io.ReadAll(res.Body); err != nil {
		h.Fatal(err)
	}
	return a
}

func TestHeadIsGetWithoutTheBody(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	for _, path := range []string{importsPath, h.imported(people(1)).Links.Self, "/healthz", "/docs", importPath + "/template.csv"} {
		get, head := h.get(path), h.do(call{method: "HEAD", path: path})
		if head.status != 200 || len(head.body) != 0 || head.header.Get("Content-Length") != get.header.Get("Content-Length") ||
			head.header.Get("Content-Type") != get.header.Get("Content-Type") {
			t.Errorf("HEAD %s: %d %v, GET %v", path, head.status, head.header, get.header)
		}
	}
}

// faultyReports fails in the requested way.
type faultyReports struct {
	write func(io.Writer) error
}

func (f faultyReports) WriteErrors(_ context.Context, w io.Writer, _ uuid.UUID) error {
	return f.write(w)
}

func (f faultyReports) WriteErrorsWorkbook(_ context.Context, w io.Writer, _ uuid.UUID) error {
	return f.write(w)
}

func (f faultyReports) WriteResults(_ context.Context, w io.Writer, _ uuid.UUID) error {
	return f.write(w)
}

func (f faultyReports) Rows(context.Context, uuid.UUID, int64, int, bool) ([]report.Row, int64, error) {
	return nil, 0, f.write(io.Discard)
}

func TestUnknownErrorsShowOnlyTheRequestID(t *testing.T) {
	t.Parallel()
	const secret = "column anna@example.com does not exist"
	for name, write := range map[string]func(io.Writer) error{
		"error": func(io.Writer) error { return errors.New(secret) },
		"panic": func(io.Writer) error { panic(secret) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t, func(d *httpapi.Deps) { d.Reports = faultyReports{write} })
			i := h.imported(people(1))
			for _, path := range []string{i.Links.Self + "/rows", i.Links.ErrorsCSV, i.Links.ErrorsXLSX} {
				a := h.get(path)
				p := h.wantProblem(a, 500, "internal_error")
				if strings.Contains(string(a.body), "column") || !strings.Contains(p.Detail, "request_id") || a.header.Get("Content-Disposition") != "" {
					t.Errorf("%v %s", a.header, a.body)
				}
				if p.RequestID != a.header.Get("X-Request-Id") || !strings.Contains(h.log.String(), p.RequestID) {
					t.Errorf("request id %s is not to be found in the log", p.RequestID)
				}
			}
		})
	}
}

func TestStreamThatFailsBreaksOff(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) {
		d.Reports = faultyReports{func(w io.Writer) error {
			if _, err := io.WriteString(w, strings.Repeat("half a report\r\n", 1000)); err != nil {
				return err
			}
			return storage.ErrUnavailable
		}}
	})
	_, err := h.try(call{method: "GET", path: h.imported(people(1)).Links.ErrorsCSV})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a report passed for a whole one: %v", err)
	}
}

func TestDatabaseAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	away, err := storage.Open("postgres://nobody@127.0.0.1:1/nothing?sslmode=disable", storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	h := newTestEnv(t, func(d *httpapi.Deps) {
		d.Store = away
		d.SchemaCheck = func(ctx context.Context) error { return migrations.Check(ctx, away.DB()) }
	})
	id := uuid.NewString()
	for _, c := range []call{
		uploadCall([]field{file(people(1))}),
		{method: "GET", path: importsPath},
		{method: "GET", path: importsPath + "/" + id},
		{method: "GET", path: importsPath + "/" + id + "/errors.csv"},
		{method: "POST", path: importsPath + "/" + id + "/confirm"},
		{method: "GET", path: "/api/admin/users"},
		{method: "GET", path: importsPath, token: h.token("imports")}, // the token cannot be looked up
	} {
		h.wantProblem(h.do(c), 503, "unavailable")
	}
	a := h.do(call{method: "GET", path: "/readyz", token: "-"})
	h.want(a, 503)
	if got := strings.TrimSpace(string(a.body)); got != `{"status":"unavailable","postgres":"unavailable","redis":"ok"}` {
		t.Errorf("%s", got)
	}
	h.want(h.do(call{method: "GET", path: "/healthz", token: "-"}), 200)
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		schema, redis error
		status        int
		body          string
	}{
		{"all there", nil, nil, 200, `{"status":"ok","postgres":"ok","schema":"ok","redis":"ok"}`},
		{"no Redis", nil, errNoRedis, 200, `{"status":"degraded","postgres":"ok","schema":"ok","redis":"unavailable","reason":"Redis does not respond."}`},
		{"old schema", migrations.ErrNotCurrent, nil, 503, `{"status":"unavailable","postgres":"ok","schema":"outdated","redis":"ok"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t, func(d *httpapi.Deps) {
				d.RedisCheck = func(context.Context) error { return tt.redis }
				if tt.schema != nil {
					d.SchemaCheck = func(context.Context) error { return fmt.Errorf("check: %w", tt.schema) }
				}
			})
			a := h.do(call{method: "GET", path: "/readyz", token: "-"})
			if a.status != tt.status || strings.TrimSpace(string(a.body)) != tt.body {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
}

func TestLogHoldsNothingOfWhatPeopleSend(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	token := h.token("admin")
	c := uploadCall([]field{{"file", "secret-name.csv", "email,name\nsecret-person@example.com,Secret Name\nsecret-bad,Secret Name\n"}}, "Idempotency-Key", "secret-key")
	c.token = token
	i := as[importBody](t, h.do(c))
	h.get("/api/admin/users?email=secret-person@example.com&q=secret")
	h.do(call{method: "GET", path: i.Links.ErrorsCSV, token: token})
	h.do(call{method: "GET", path: importsPath, token: token + "x"})
	h.do(call{method: "GET", path: "/secret-path/anna@example.com"})
	log := h.log.String()
	for _, secret := range []string{"secret", "Secret", token, adminToken, "anna"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q:\n%s", secret, log)
		}
	}
	if !strings.Contains(log, "route=/api/admin/users/imports/:id/errors.csv") || !strings.Contains(log, "status=401") {
		t.Errorf("the log lacks what was asked:\n%s", log)
	}
}

func TestRequestIDIsNotTakenFromOutside(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	a := h.do(call{method: "GET", path: "/healthz", header: http.Header{"X-Request-Id": {"mine"}}})
	if a.header.Get("X-Request-Id") == "mine" {
		t.Error("it was")
	}
}

func TestTemplateIsAnImportOfNobody(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	a := h.get(importPath + "/template.csv")
	h.want(a, 200)
	if string(a.body) != "\uFEFFemail,name,role,department\r\n" || a.header.Get("Content-Disposition") != `attachment; filename=users-template.csv` {
		t.Errorf("%v %q", a.header, a.body)
	}
	if i := h.imported(string(a.body)); *i.Total != 0 || len(i.Warnings) != 0 {
		t.Errorf("%+v", i)
	}
}

func TestCatalogueListsEveryCode(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	entries := as[listBody[roster.ErrorInfo]](t, h.get(importPath+"/errors"))
	if len(entries.Items) != len(roster.ErrorCatalog()) || entries.Items[0] != roster.ErrorCatalog()[0] || entries.Next != nil {
		t.Errorf("%+v", entries)
	}
}

func TestDescriptionIsServed(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	d, err := api.Load()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct{ media, body string }{
		"/openapi.yaml": {"application/yaml", string(d.YAML)},
		"/openapi.json": {"application/json", string(d.JSON)},
	} {
		a := h.do(call{method: "GET", path: path, token: "-"})
		h.want(a, 200)
		if string(a.body) != want.body || a.header.Get("Content-Type") != want.media || !strings.HasPrefix(a.header.Get("Cache-Control"), "public") {
			t.Errorf("%s: %v", path, a.header)
		}
	}
}
