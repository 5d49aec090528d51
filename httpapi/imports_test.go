package httpapi_test

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"rollcall/httpapi"
)

// mixed is a file with n valid rows and as many invalid ones.
func mixed(n int) string {
	var b strings.Builder
	b.WriteString("email,name\n")
	for i := range n {
		fmt.Fprintf(&b, "good%d@example.com,Good %d\nbad%d,Bad %d\n", i, i, i, i)
	}
	return b.String()
}

// imported uploads a file and waits for its import to be at rest.
func (h *testEnv) imported(content string, more ...field) importBody {
	h.Helper()
	a := h.upload(append([]field{file(content)}, more...))
	h.want(a, 200)
	return as[importBody](h, a)
}

func TestETagStandsForOneBody(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	i := h.imported(mixed(3))
	first := h.get(i.Links.Self)
	h.want(first, 200)
	tag := first.header.Get("ETag")
	if !strings.HasPrefix(tag, `"`) || first.header.Get("Cache-Control") != "private, no-cache" || first.header.Get("Retry-After") != "" {
		t.Fatalf("header %v", first.header)
	}
	for match, status := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200} {
		a := h.do(call{method: "GET", path: i.Links.Self, header: http.Header{"If-None-Match": {match}}})
		h.want(a, status)
		if a.header.Get("ETag") != tag || status == 304 && len(a.body) != 0 {
			t.Errorf("If-None-Match %s: %v %s", match, a.header, a.body)
		}
	}
	// The same revision is the same body; a new body has a new revision.
	if again := h.get(i.Links.Self); string(again.body) != string(first.body) || again.header.Get("ETag") != tag {
		t.Error("nothing changed but the answer did")
	}
	h.want(h.post(i.Links.Self+"/invitations/resend"), 202)
	h.purge()
	if now := h.get(i.Links.Self); now.header.Get("ETag") == tag {
		t.Error("the body changed but the ETag did not")
	}
}

// purge makes the retention policy delete everything that has ended.
func (h *testEnv) purge() {
	h.Helper()
	for done := false; !done; {
		purged, err := h.store.PurgeImport(h.Context(), 0)
		if err != nil {
			h.Fatal(err)
		}
		done = !purged
	}
}

func TestLongPollEndsWithAChange(t *testing.T) {
	t.Parallel()
	h := silent(newTestEnv(t, func(d *httpapi.Deps) { d.ImportWait = 0 }))
	i := as[importBody](t, h.upload([]field{file(people(2))}))
	now := h.get(i.Links.Self)
	if now.header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After for a queued import: %v", now.header)
	}
	for name, header := range map[string]http.Header{
		"from what the client has": {"Prefer": {"wait=60"}, "If-None-Match": {now.header.Get("ETag")}},
		"from now":                 {"Prefer": {"wait=60"}},
	} {
		t.Run(name, func(t *testing.T) { // in turn, each with its own change
			h := h.on(t)
			if name == "from now" {
				i = as[importBody](t, h.upload([]field{file(people(3))}))
			}
			answered := make(chan answer, 1)
			go h.inBackground(answered, call{method: "GET", path: i.Links.Self, header: header})
			h.queue.start(uuid.MustParse(i.ID))
			a := <-answered
			h.want(a, 200)
			if a.header.Get("Preference-Applied") != "wait=60" {
				t.Errorf("header %v", a.header)
			}
		})
	}
}

func TestLongPollThatSeesNoChange(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	close(stopping) // waits end at once
	h := silent(newTestEnv(t, func(d *httpapi.Deps) { d.Stopping = stopping }))
	i := as[importBody](t, h.upload([]field{file(people(1))}))
	tag := h.get(i.Links.Self).header.Get("ETag")
	h.want(h.do(call{method: "GET", path: i.Links.Self, header: http.Header{"Prefer": {"wait=9"}, "If-None-Match": {tag}}}), 304)
	h.want(h.do(call{method: "GET", path: i.Links.Self, header: http.Header{"Prefer": {"wait=9"}}}), 200)
	h.want(h.do(call{method: "GET", path: i.Links.Self, header: http.Header{"Prefer": {"wait=9"}, "If-None-Match": {`"old"`}}}), 200)
}

func TestNothingIsWaitedForWhenAnImportIsAtRest(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	i := h.imported(people(1))
	// Fails by the test's own timeout if it waits for a change.
	h.want(h.do(call{method: "GET", path: i.Links.Self, header: http.Header{"Prefer": {"wait=60"}}}), 200)
}

func TestImportShowsItsFirstHundredErrors(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	i := h.imported(mixed(101))
	if len(i.Errors) != 100 || !*i.ErrorsTruncated || i.Failed != 101 {
		t.Errorf("%d errors of %d, truncated %v", len(i.Errors), i.Failed, *i.ErrorsTruncated)
	}
	if i = h.imported(strings.ReplaceAll(mixed(100), "good", "fine")); len(i.Errors) != 100 || *i.ErrorsTruncated {
		t.Errorf("%d errors of %d, truncated %v", len(i.Errors), i.Failed, *i.ErrorsTruncated)
	}
}

// walk follows next from page to page.
func walk[T any](h *testEnv, path string) (items []T, pages int) {
	h.Helper()
	for next := path; ; {
		a := h.get(next)
		h.want(a, 200)
		page := as[listBody[T]](h, a)
		items = append(items, page.Items...)
		pages++
		link := a.header.Get("Link")
		if page.Next == nil {
			if link != "" {
				h.Errorf("the last page has Link %s", link)
			}
			return items, pages
		}
		target, ok := strings.CutSuffix(link, `>; rel="next"`)
		if !ok || !strings.Contains(target, "after="+*page.Next) {
			h.Fatalf("Link %q, next %q", link, *page.Next)
		}
		next = strings.TrimPrefix(target, "<")
	}
}

func TestErrorsInPages(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	i := h.imported(mixed(25))
	errors, pages := walk[errorBody](h, i.Links.Errors+"?limit=10")
	if len(errors) != 25 || pages != 3 {
		t.Fatalf("%d errors on %d pages", len(errors), pages)
	}
	for k, e := range errors {
		if e.Row != int64(2*k+3) || *e.Value != "bad"+strconv.Itoa(k) {
			t.Errorf("error %d is %+v", k, e)
		}
	}
	if errors, pages = walk[errorBody](h, i.Links.Errors+"?limit=25"); len(errors) != 25 || pages != 1 {
		t.Errorf("%d errors on %d pages", len(errors), pages)
	}
}

func TestImportsInPages(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	var ids []string
	for n := range 5 {
		ids = append(ids, h.imported(fmt.Sprintf("email,name\nu%d@example.com,U\n", n)).ID)
	}
	h.imported(people(1), field{name: "dry_run", value: "true"})
	completed, pages := walk[importBody](h, importsPath+"?limit=2&status=completed")
	if len(completed) != 5 || pages != 3 {
		t.Fatalf("%d imports on %d pages", len(completed), pages)
	}
	for k, i := range completed {
		if i.ID != ids[4-k] || i.Errors != nil || i.ErrorsTruncated != nil {
			t.Errorf("import %d is %+v", k, i)
		}
	}
	if every, _ := walk[importBody](h, importsPath); len(every) != 6 {
		t.Errorf("%d imports", len(every))
	}
}

func TestPagingParametersAreChecked(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	self := h.imported(people(1)).Links.Self
	for path, blames := range map[string]string{
		importsPath + "?limit=0":                         "limit",
		importsPath + "?limit=201":                       "limit",
		importsPath + "?limit=ten":                       "limit",
		importsPath + "?after=AAAA":                      "after",
		importsPath + "?after=!":                         "after",
		importsPath + "?status=done":                     "status",
		importsPath + "?limit=1&limit=2":                 "limit",
		self + "/errors?limit=1001":                      "limit",
		self + "/errors?after=_________zz":               "after",
		self + "/rows?limit=-1":                          "limit",
		self + "/rows?only=good":                         "only",
		"/api/admin/users?limit=201":                     "limit",
		"/api/admin/users?role=boss":                     "role",
		"/api/admin/users?status=asleep":                 "status",
		"/api/admin/users?invitation=lost":               "invitation",
		"/api/admin/users?import_id=7":                   "import_id",
		"/api/admin/users?q=" + strings.Repeat("x", 201): "q",
	} {
		p := h.wantProblem(h.get(path), 400, "invalid_parameter")
		if len(p.Errors) != 1 || p.Errors[0].Parameter != blames {
			t.Errorf("%s: %+v", path, p)
		}
	}
	h.wantProblem(h.get(importsPath+"?%zz"), 400, "invalid_parameter")
}

type rowBody struct {
	Row, Line int64
	Values    map[string]string
	Cells     []string
	Verdict   string
	Problems  []struct{ Reason, Fix string }
}

func TestRowsOfADryRun(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	i := h.imported(mixed(5), field{name: "dry_run", value: "true"})
	rows, pages := walk[rowBody](h, i.Links.Self+"/rows?limit=4")
	if len(rows) != 10 || pages != 3 {
		t.Fatalf("%d rows on %d pages", len(rows), pages)
	}
	if r := rows[0]; r.Row != 2 || r.Verdict != "import" || r.Values["email"] != "good0@example.com" || len(r.Problems) != 0 || len(r.Cells) != 2 {
		t.Errorf("%+v", r)
	}
	if r := rows[1]; r.Row != 3 || r.Verdict != "failed" || len(r.Problems) != 1 || r.Problems[0].Fix == "" {
		t.Errorf("%+v", r)
	}
	if rows, _ = walk[rowBody](h, i.Links.Self+"/rows?limit=2&only=errors"); len(rows) != 5 || rows[4].Row != 11 {
		t.Errorf("%+v", rows)
	}
}

func TestReportsAreFilesToKeep(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	i := h.imported(mixed(2))
	for path, want := range map[string]struct {
		name   string
		header []string
		rows   int
	}{
		i.Links.ErrorsCSV:  {"people-errors.csv", []string{"email", "name", "error_row", "error_code", "error_field", "error_message", "error_fix"}, 2},
		i.Links.ResultsCSV: {"people-results.csv", []string{"row", "line", "email", "status", "user_id", "error_code"}, 4},
	} {
		a := h.get(path)
		h.want(a, 200)
		if got := a.header.Get("Content-Disposition"); got != "attachment; filename="+want.name || a.header.Get("Content-Type") != "text/csv; charset=utf-8" {
			t.Errorf("header %v", a.header)
		}
		records, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(a.body), "\uFEFF"))).ReadAll()
		if err != nil || len(records) != want.rows+1 || strings.Join(records[0], ",") != strings.Join(want.header, ",") {
			t.Errorf("%s: %v %v", path, records, err)
		}
		if head := h.do(call{method: "HEAD", path: path}); head.status != 200 || len(head.body) != 0 || head.header.Get("Content-Disposition") == "" {
			t.Errorf("HEAD %s: %d %v", path, head.status, head.header)
		}
	}
}

// TestDownloadsAreAudited: every download of import data through the API is in
// the audit log, and so is the target of webhooks, without secrets in its URL.
func TestDownloadsAreAudited(t *testing.T) {
	t.Parallel()
	h, _ := newHookedHouse(t)
	i := h.imported(mixed(2))
	for _, path := range []string{i.Links.ErrorsCSV, i.Links.ErrorsXLSX, i.Links.ResultsCSV, i.Links.File} {
		h.want(h.get(path), 200)
		h.do(call{method: "HEAD", path: path}) // downloads nothing
	}
	var told string
	if err := h.store.DB().QueryRowContext(t.Context(), `
		SELECT COALESCE(string_agg(detail->>'what', ' ' ORDER BY id), '') FROM audit_log
		 WHERE action = 'import.download' AND target_id = $1 AND actor = 'ADMIN_API_TOKEN'`, i.ID).Scan(&told); err != nil {
		t.Fatal(err)
	}
	if want := "errors errors results file"; told != want {
		t.Errorf("audited are %q, want %q", told, want)
	}

	h.want(h.send("POST", webhooksPath, "", `{"url": "https://hooks.example.com/in?key=secret"}`), 201)
	if err := h.store.DB().QueryRowContext(t.Context(), `SELECT detail->>'url' FROM audit_log WHERE action = 'webhook.create'`).Scan(&told); err != nil {
		t.Fatal(err)
	}
	if want := "https://hooks.example.com/in"; told != want {
		t.Errorf("the webhook is audited as %q, want %q", told, want)
	}
}

func TestReportsWaitForTheEnd(t *testing.T) {
	t.Parallel()
	h := silent(newTestEnv(t, func(d *httpapi.Deps) { d.ImportWait = 0 }))
	i := as[importBody](t, h.upload([]field{file(people(1))}))
	for _, path := range []string{i.Links.ErrorsCSV, i.Links.ErrorsXLSX, i.Links.ResultsCSV, i.Links.Self + "/rows"} {
		h.wantProblem(h.get(path), 409, "import_not_ended")
		if head := h.do(call{method: "HEAD", path: path}); head.status != 409 {
			t.Errorf("HEAD %s: %d", path, head.status)
		}
	}
}

func TestFileComesBackAsItWas(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	content := people(3)
	a := h.upload([]field{{"file", `Über "uns".csv`, content}})
	h.want(a, 200)
	i := as[importBody](t, a)
	a = h.get(i.Links.File)
	h.want(a, 200)
	if string(a.body) != content || a.header.Get("Content-Length") != strconv.Itoa(len(content)) || a.header.Get("Content-Type") != "text/csv" {
		t.Errorf("%v %s", a.header, a.body)
	}
	if got := a.header.Get("Content-Disposition"); got != `attachment; filename*=utf-8''%C3%9Cber%20%22uns%22.csv` {
		t.Errorf("Content-Disposition %s", got)
	}
	if a.header.Get("ETag") != `"`+i.SHA256+`"` {
		t.Errorf("ETag %s", a.header.Get("ETag"))
	}
	part := h.do(call{method: "GET", path: i.Links.File, header: http.Header{"Range": {"bytes=6-9"}}})
	h.want(part, 206)
	if string(part.body) != content[6:10] {
		t.Errorf("range %q", part.body)
	}
	h.want(h.do(call{method: "GET", path: i.Links.File, header: http.Header{"Range": {"bytes=99999-"}}}), 416)
	h.want(h.do(call{method: "GET", path: i.Links.File, header: http.Header{"If-None-Match": {a.header.Get("ETag")}}}), 304)
	if head := h.do(call{method: "HEAD", path: i.Links.File}); head.status != 200 || head.header.Get("Content-Length") != strconv.Itoa(len(content)) {
		t.Errorf("HEAD: %d %v", head.status, head.header)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) { d.ImportWait = 0 })
	i := h.dryRun(people(3))
	a := h.post(i.Links.Self + "/cancel")
	h.want(a, 202)
	now := as[importBody](t, a)
	if now.Status != "canceled" || now.Unprocessed == nil || *now.Unprocessed != 3 || a.header.Get("Location") != i.Links.Self || a.header.Get("Retry-After") != "" {
		t.Errorf("%v %s", a.header, a.body)
	}
	h.wantProblem(h.post(i.Links.Self+"/cancel"), 409, "wrong_state")
	h.wantProblem(h.post(i.Links.Self+"/confirm"), 409, "wrong_state")

	// The number of remaining rows is unknown until a worker has counted them.
	silent(h)
	i = as[importBody](t, h.upload([]field{file(people(3))}))
	now = as[importBody](t, h.post(i.Links.Self+"/cancel"))
	if now.Status != "canceled" || now.Total != nil || *now.Unprocessed != 0 {
		t.Errorf("%+v", now)
	}
}

// dryRun uploads a file and waits until it can be confirmed.
func (h *testEnv) dryRun(content string) importBody {
	h.Helper()
	a := h.do(uploadCall([]field{file(content), {name: "dry_run", value: "true"}}, "Prefer", "wait=60"))
	h.want(a, 200)
	return as[importBody](h, a)
}

func TestValuesAreGoneAfterRetention(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	i := h.imported(mixed(2))
	h.purge()
	a := h.get(i.Links.Self)
	h.want(a, 200)
	if strings.Contains(string(a.body), `"bad0`) { // an id may have it, too
		t.Errorf("a value is still there: %s", a.body)
	}
	now := as[importBody](t, a)
	if now.Failed != 2 || len(now.Errors) != 0 || now.ErrorsTruncated == nil || !*now.ErrorsTruncated {
		t.Errorf("%s", a.body)
	}
	for _, path := range []string{i.Links.File, i.Links.Errors, i.Links.ErrorsCSV, i.Links.ErrorsXLSX, i.Links.ResultsCSV, i.Links.Self + "/rows"} {
		h.wantProblem(h.get(path), 410, "purged")
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	id := h.imported(people(1)).ID
	for _, bad := range []string{"7", uuid.NewString(), "{" + id + "}", strings.ReplaceAll(id, "-", ""), "urn:uuid:" + id} {
		for _, path := range []string{"", "/errors", "/errors.csv", "/errors.xlsx", "/results.csv", "/rows", "/file"} {
			h.wantProblem(h.get(importsPath+"/"+bad+path), 404, "not_found")
		}
		for _, path := range []string{"/confirm", "/cancel", "/invitations/resend"} {
			h.wantProblem(h.post(importsPath+"/"+bad+path), 404, "not_found")
		}
		h.wantProblem(h.get("/api/admin/users/"+bad), 404, "not_found")
		h.wantProblem(h.post("/api/admin/users/"+bad+"/invitation"), 404, "not_found")
	}
}
