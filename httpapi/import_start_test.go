package httpapi_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/httpapi"
	"rollcall/roster"
	"rollcall/storage"
)

// people is a file of n good rows.
func people(n int) string {
	var b strings.Builder
	b.WriteString("email,name,role,department\n")
	for i := range n {
		fmt.Fprintf(&b, "person%d@example.com,Person %d,user,Sales\n", i, i)
	}
	return b.String()
}

// silent keeps workers from processing enqueued imports.
func silent(h *testEnv) *testEnv {
	h.queue.set(false, true)
	return h
}

func TestImportThatEndsWithinTheWaitIsAnsweredWhole(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	content := "Email;Name;Role;Phone\n" +
		"anna@example.com;Anna;admin;1\n" +
		"bad-email;;boss;2\n" +
		"ANNA@example.com;Again;;3\n"
	a := h.upload([]field{file(content)})
	h.want(a, 200)
	i := as[importBody](t, a)
	if i.Status != "completed" || *i.Total != 3 || i.Checked != 3 || i.Valid != 1 || i.Processed != 3 ||
		i.Imported != 1 || i.Failed != 2 || i.Admins != 1 || i.Unprocessed != nil || i.DryRun {
		t.Errorf("counts in %s", a.body)
	}
	if i.Filename != "people.csv" || i.SizeBytes != int64(len(content)) || i.CreatedBy != "ADMIN_API_TOKEN" || !strings.HasSuffix(i.CreatedAt, "Z") {
		t.Errorf("file in %s", a.body)
	}
	if len(i.Warnings) != 1 || i.Warnings[0].Code != roster.WarnUnknownColumns || !slices.Equal(i.Warnings[0].Columns, []string{"Phone"}) {
		t.Errorf("warnings %+v", i.Warnings)
	}
	if len(i.Errors) != 2 || *i.ErrorsTruncated {
		t.Fatalf("errors in %s", a.body)
	}
	first, second := i.Errors[0], i.Errors[1]
	if first.Row != 3 || first.Line != 3 || *first.Email != "bad-email" || first.Reason != "invalid_email" || *first.Field != "email" ||
		*first.Value != "bad-email" || first.Fix != roster.InvalidEmail.RowFix() {
		t.Errorf("first error %+v", first)
	}
	if len(first.Also) != 2 || first.Also[0].Reason != "missing_required_field" || first.Also[1].Reason != "invalid_role" || *first.Also[1].Field != "role" {
		t.Errorf("further problems %+v", first.Also)
	}
	if second.Reason != "duplicate_email" || !strings.Contains(second.Message, "row 2") || len(second.Also) != 0 {
		t.Errorf("second error %+v", second)
	}
	self := importsPath + "/" + i.ID
	if i.Links.Self != self || i.Links.Errors != self+"/errors" || i.Links.ErrorsCSV != self+"/errors.csv" || i.Links.ErrorsXLSX != self+"/errors.xlsx" ||
		i.Links.ResultsCSV != self+"/results.csv" || i.Links.File != self+"/file" {
		t.Errorf("links %+v", i.Links)
	}
}

func TestPreferDecidesHowLongToWait(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ prefer, applied string }{
		{"", ""},
		{"respond-async", "respond-async"},
		{"Respond-Async, wait=0", "respond-async, wait=0"},
		{`wait="0"`, "wait=0"},
		{"wait=soon", ""},
		{"handling=lenient; x=y, wait=0", "wait=0"},
	} {
		t.Run(tt.prefer, func(t *testing.T) {
			t.Parallel()
			h := silent(newTestEnv(t, func(d *httpapi.Deps) { d.ImportWait = 0 }))
			a := h.upload([]field{file(people(1))}, "Prefer", tt.prefer)
			h.want(a, 202)
			i := as[importBody](t, a)
			if i.Status != "queued" || i.Total != nil || i.Errors == nil || *i.ErrorsTruncated {
				t.Errorf("%s", a.body)
			}
			if a.header.Get("Location") != i.Links.Self || a.header.Get("Retry-After") == "" {
				t.Errorf("header %v", a.header)
			}
			if got := a.header.Get("Preference-Applied"); got != tt.applied {
				t.Errorf("Preference-Applied %q, want %q", got, tt.applied)
			}
		})
	}
}

func TestWaitEndsWithTheImportAndNotBefore(t *testing.T) {
	t.Parallel()
	h := silent(newTestEnv(t, func(d *httpapi.Deps) { d.ImportWait = 0 }))
	answered := make(chan answer, 1)
	go h.inBackground(answered, uploadCall([]field{file(people(3))}, "Prefer", "wait=60, respond-async"))
	id := h.onlyImport()
	select {
	case a := <-answered:
		t.Fatalf("answered before the end: %s", a.body)
	default:
	}
	h.queue.work(id)
	a := <-answered
	h.want(a, 200)
	if got := a.header.Get("Preference-Applied"); got != "respond-async, wait=60" {
		t.Errorf("Preference-Applied %q", got)
	}
}

func TestWaitEndsBeforeAProxyGivesUp(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	a := h.upload([]field{file(people(1))}, "Prefer", "wait=86400")
	h.want(a, 200)
	if got := a.header.Get("Preference-Applied"); got != "wait=60" {
		t.Errorf("Preference-Applied %q", got)
	}
}

// onlyImport waits for the environment's only import to be committed.
func (h *testEnv) onlyImport() uuid.UUID {
	h.Helper()
	for {
		imports, err := h.store.Imports(h.Context(), storage.ImportFilter{Limit: 2})
		if err != nil {
			h.Fatal(err)
		}
		if len(imports) == 1 {
			return imports[0].ID
		}
	}
}

func TestShutdownEndsWaiting(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	h := silent(newTestEnv(t, func(d *httpapi.Deps) { d.Stopping = stopping }))
	answered := make(chan answer, 1)
	go h.inBackground(answered, uploadCall([]field{file(people(1))}, "Prefer", "wait=60"))
	h.onlyImport()
	close(stopping)
	h.want(<-answered, 202)
}

func TestClientThatLeavesChangesNothing(t *testing.T) {
	t.Parallel()
	h := silent(newTestEnv(t, nil))
	ctx, leave := context.WithCancel(t.Context())
	body, mediaType := form(file(people(5)))
	req, err := http.NewRequestWithContext(ctx, "POST", h.url+importPath, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	req.Header.Set("Authorization", "Bearer "+adminToken)
	done := make(chan error, 1)
	go func() {
		res, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			res.Body.Close()
		}
		done <- err
	}()
	id := h.onlyImport()
	leave()
	if err := <-done; err == nil {
		t.Error("there was a response although nothing was imported")
	}
	h.queue.work(id)
	if i := as[importBody](t, h.get(importsPath+"/"+id.String())); i.Status != "completed" || i.Imported != 5 {
		t.Errorf("%+v", i)
	}
}

func TestFileThatCannotBeUsedIsAProblem(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	for _, tt := range []struct{ name, content, code, says string }{
		{"no bytes", "", "empty_file", ""},
		{"no name", "email,department\na@example.com,x\n", "missing_column", `"name"`},
		{"two e-mails", "email,e-mail,name\n", "duplicate_column", "email"},
		{"UTF-16", "\xff\xfee\x00m\x00a\x00i\x00l\x00,\x00n\x00a\x00m\x00e\x00\n\x00", "encoding_error", "utf-16"},
		{"no CSV", "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "malformed_file", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := h.on(t)
			p := h.wantProblem(h.upload([]field{file(tt.content)}), 422, tt.code)
			fix := roster.Code(tt.code).FileFix()
			if tt.name == "UTF-16" {
				fix = "Send encoding=utf-16le (or choose it under File settings), or save the file as CSV (UTF-8)"
			}
			if p.Fix != fix || !strings.Contains(p.Detail, tt.says) || p.Type != "https://rollcall.example.com/docs#"+tt.code {
				t.Errorf("%+v", p)
			}
			i := as[importBody](t, h.get(importsPath+"/"+p.ImportID))
			if i.Status != "failed" || i.Failure.Code != tt.code || i.Failure.Message != p.Detail || i.Processed != 0 {
				t.Errorf("%+v", i)
			}
		})
	}
}

func TestHeaderWithoutRowsIsACompletedImport(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	a := h.upload([]field{file("email,name\n")})
	h.want(a, 200)
	if i := as[importBody](t, a); i.Status != "completed" || *i.Total != 0 {
		t.Errorf("%s", a.body)
	}
}

func TestDryRunWaitsToBeConfirmed(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	a := h.upload([]field{file(people(4) + "x,y,,\n"), {name: "dry_run", value: "true"}})
	h.want(a, 200)
	i := as[importBody](t, a)
	if i.Status != "ready" || !i.DryRun || i.Valid != 4 || i.Failed != 1 || *i.Total != 5 || i.Imported != 0 {
		t.Fatalf("%s", a.body)
	}
	if users := as[listBody[userBody]](t, h.get("/api/admin/users")); len(users.Items) != 0 {
		t.Fatalf("a dry run made users: %+v", users)
	}
	a = h.do(call{method: "POST", path: i.Links.Self + "/confirm", header: http.Header{"Prefer": {"wait=30"}}})
	h.want(a, 200)
	if done := as[importBody](t, a); done.ID != i.ID || done.Status != "completed" || done.DryRun || done.Imported != 4 || done.SHA256 != i.SHA256 {
		t.Errorf("%s", a.body)
	}
	h.wantProblem(h.post(i.Links.Self+"/confirm"), 409, "wrong_state")
}

func TestConfirmAnswersAtOnceUnlessAskedToWait(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	i := as[importBody](t, h.upload([]field{file(people(1)), {name: "dry_run", value: "true"}}))
	silent(h)
	a := h.post(i.Links.Self + "/confirm")
	h.want(a, 202)
	if now := as[importBody](t, a); now.Status != "importing" || a.header.Get("Location") != i.Links.Self {
		t.Errorf("%s", a.body)
	}
}

func TestFilenameIsMadeSafe(t *testing.T) {
	t.Parallel()
	h := silent(newTestEnv(t, func(d *httpapi.Deps) { d.ImportWait = 0 }))
	for sent, want := range map[string]string{
		`C:\Users\Åsa\people.csv`:         "people.csv",
		"../../etc/passwd":                "passwd",
		"Öl & Müll.csv":                   "Öl & Müll.csv",
		"a\u202egnp.csv":                  "agnp.csv",
		strings.Repeat("ä", 200) + ".csv": strings.Repeat("ä", 127),
		" ":                               "upload.csv",
	} {
		a := h.upload([]field{{"file", sent, people(1)}})
		h.want(a, 202)
		if got := as[importBody](t, a).Filename; got != want {
			t.Errorf("%q became %q, want %q", sent, got, want)
		}
	}
}

func TestLargeFileArrivesWhole(t *testing.T) {
	t.Parallel()
	h := silent(newTestEnv(t, func(d *httpapi.Deps) { d.ImportWait = 0 }))
	for _, size := range []int{storage.ChunkSize - 1, storage.ChunkSize, storage.ChunkSize + 1, 3*storage.ChunkSize + 12345} {
		content := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		// An option after a large file counts too.
		a := h.upload([]field{file(content), {name: "dry_run", value: "true"}})
		h.want(a, 202)
		i := as[importBody](t, a)
		if !i.DryRun || i.SizeBytes != int64(size) {
			t.Errorf("%d bytes: %s", size, a.body)
		}
		if got := h.get(i.Links.File); !bytes.Equal(got.body, []byte(content)) {
			t.Errorf("of %d bytes %d came back, or others", size, len(got.body))
		}
	}
}

func TestUploadsAreAcceptedWhileTheQueueIsAway(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) { d.ImportWait = 0 })
	h.queue.set(true, false)
	const posts = 100
	ids := make([]string, posts)
	var wg sync.WaitGroup
	for n := range posts {
		wg.Go(func() {
			a, err := h.try(uploadCall([]field{file(fmt.Sprintf("email,name\nuser%d@example.com,N\n", n))}))
			if err != nil || a.status != 202 {
				t.Errorf("status %d: %s (%v)", a.status, a.body, err)
				return
			}
			ids[n] = as[importBody](t, a).ID
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != posts {
		t.Fatalf("%d posts made fewer imports", posts)
	}
	queued := as[listBody[importBody]](t, h.get(importsPath+"?status=queued&limit=200"))
	if len(queued.Items) != posts {
		t.Errorf("%d imports are queued, want %d", len(queued.Items), posts)
	}
	h.queue.work(uuid.MustParse(ids[0])) // as the sweeper would enqueue it
	if i := as[importBody](t, h.get(importsPath+"/"+ids[0])); i.Status != "completed" {
		t.Errorf("%+v", i)
	}
}

func TestHangingQueueDelaysNoUpload(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	h := newTestEnv(t, func(d *httpapi.Deps) { d.ImportWait, d.Queue = 0, hangingBell{release} })
	defer close(release)
	began := time.Now()
	h.want(h.upload([]field{file(people(1))}), 202)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// hangingBell ignores its context, like a Redis client whose server is
// unavailable.
type hangingBell struct{ release <-chan struct{} }

func (b hangingBell) EnqueueImport(context.Context, uuid.UUID, int64) error {
	<-b.release
	return errNoRedis
}
