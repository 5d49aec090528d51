package httpapi_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"rollcall/httpapi"
)

// wantLimited fails the test unless the response is a complete 429.
func (h *testEnv) wantLimited(a answer, policy string) {
	h.Helper()
	h.wantProblem(a, 429, "too_many_requests")
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 60 {
		h.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
	if a.header.Get("RateLimit-Policy") != policy {
		h.Errorf("RateLimit-Policy %s, want %s", a.header.Get("RateLimit-Policy"), policy)
	}
}

func TestUploadsAreLimitedByToken(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) { d.Limits.Uploads = httpapi.Quota{Count: 2, Window: time.Minute} })
	const policy = `"uploads";q=2;w=60`
	for want := 1; want >= 0; want-- {
		a := h.upload([]field{file(people(1))})
		h.want(a, 200)
		if got := a.header.Get("RateLimit"); got != fmt.Sprintf(`"uploads";r=%d;t=%d`, want, 60-30*want) {
			t.Errorf("RateLimit %s, want %d left", got, want)
		}
		if a.header.Get("RateLimit-Policy") != policy {
			t.Errorf("RateLimit-Policy %s", a.header.Get("RateLimit-Policy"))
		}
	}
	h.wantLimited(h.upload([]field{file(people(1))}), policy)
	other := uploadCall([]field{file(people(1))})
	other.token = h.token("imports")
	h.want(h.do(other), 200)
}

func TestPollsAreLimitedByConnection(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) { d.Limits.Polls = httpapi.Quota{Count: 2, Window: time.Minute} })
	i := h.imported(people(1))
	const policy = `"polls";q=2;w=60`
	one := &http.Transport{}
	defer one.CloseIdleConnections()
	poll := func(t *http.Transport, path string) answer {
		a, err := h.over(t, call{method: "GET", path: path})
		if err != nil {
			h.Fatal(err)
		}
		return a
	}
	h.want(poll(one, i.Links.Self), 200)
	h.want(poll(one, i.Links.Self+"/events"), 200)
	h.wantLimited(poll(one, i.Links.Self), policy)
	h.want(poll(one, i.Links.ErrorsCSV), 200) // not a poll
	another := &http.Transport{}
	defer another.CloseIdleConnections()
	h.want(poll(another, i.Links.Self), 200)
}

func TestFailedAuthenticationsAreLimitedByAddress(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) { d.Limits.Failures = httpapi.Quota{Count: 2, Window: time.Minute} })
	wrong := call{method: "GET", path: importsPath, token: "wrong"}
	h.wantProblem(h.do(wrong), 401, "invalid_token")
	h.wantProblem(h.do(call{method: "GET", path: importsPath, token: "-"}), 401, "unauthorized")
	h.wantLimited(h.do(wrong), `"failed-authentications";q=2;w=60`)
	h.want(h.get(importsPath), 200) // others behind the same proxy
	h.wantProblem(h.do(call{method: "GET", path: "/api/admin/users", token: h.token("imports")}), 403, "insufficient_scope")
}

func TestImportsUnderWayAreLimitedByToken(t *testing.T) {
	t.Parallel()
	h := silent(newTestEnv(t, func(d *httpapi.Deps) { d.ImportWait, d.Limits.Imports = 0, 2 }))
	first := as[importBody](t, h.upload([]field{file(people(1))}))
	h.want(h.upload([]field{file(people(2))}), 202)
	a := h.upload([]field{file(people(3))})
	h.wantProblem(a, 429, "too_many_imports")
	if a.header.Get("Retry-After") == "" {
		t.Errorf("header %v", a.header)
	}
	other := uploadCall([]field{file(people(1))})
	other.token = h.token("imports")
	h.want(h.do(other), 202)
	h.want(h.post(first.Links.Self+"/cancel"), 202)
	h.want(h.upload([]field{file(people(3))}), 202)
}
