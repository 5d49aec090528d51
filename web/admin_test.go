package web_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"rollcall/roster"
)

// people is a file of n rows, of which every tenth is invalid.
func people(n int) string {
	var b strings.Builder
	b.WriteString("email,name,role,department\n")
	for i := range n {
		at := "@"
		if i%10 == 9 {
			at = "."
		}
		fmt.Fprintf(&b, "p%d%sexample.com,Person %d,,Research\n", i, at, i)
	}
	return b.String()
}

func TestUsersList(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	b.get("/admin/users").want(http.StatusOK).says("tbody .strong", "Ada Admin")
	b.get("/admin/users?q=zebra").want(http.StatusOK).says(".empty h2", "No matching users")

	b.follow(b.upload("people.csv", people(130))).says(".state h2", "117 users imported, 13 rows failed")
	// Newest first, page by page, each user once.
	seen := map[string]bool{}
	pages := 0
	for path := "/admin/users"; path != ""; pages++ {
		p := b.get(path).want(http.StatusOK)
		for _, row := range p.find("tbody .mail-cell") {
			seen[nodeText(row)] = true
		}
		path = ""
		if next := p.find(".pager a[rel=next]"); len(next) == 1 {
			path = attribute(next[0], "href")
		}
	}
	if pages != 3 || !seen["p0@example.com"] || !seen["p128@example.com"] || !seen[adminEmail] {
		t.Errorf("%d pages, %d texts", pages, len(seen))
	}

	b.get("/admin/users?q=p12%40").says("tbody .strong", "Person 12")
	b.get("/admin/users?q=PERSON+12&status=invited").says("tbody .strong", "Person 128|Person 127|Person 126|Person 125|Person 124|Person 123|Person 122|Person 121|Person 120|Person 12")
	b.get("/admin/users?status=active").says("tbody .strong", "Ada Admin")
	b.get("/admin/users?q=%25").says(".empty h2", "No matching users") // a % has no special meaning
	b.get("/admin/users?q=a%00b%ff").want(http.StatusOK)
	b.get("/admin/users?status=nonsense&after=nonsense&import=nonsense").want(http.StatusOK)

	// The search stays when paging.
	next := b.get("/admin/users?q=person&status=invited").find(".pager a[rel=next]")
	if len(next) != 1 || !strings.Contains(attribute(next[0], "href"), "q=person&status=invited") {
		t.Errorf("paging forgets what is looked for")
	}
}

func TestValuesStayText(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	const evil = `<img src=x onerror=alert(1)>`
	b.follow(b.upload(`<b>.csv`, "email,name,department\na@example.com,"+evil+",</td>\nbad,"+evil+",x\n")).
		says(".filename", "<b>.csv")
	p := b.get("/admin/users?q="+url.QueryEscape(evil)).says("tbody .strong", evil)
	if q := p.find("#q"); attribute(q[0], "value") != evil {
		t.Errorf("the search has become %q", attribute(q[0], "value"))
	}
	if len(p.find("main img")) != 0 {
		t.Error("a name has become an element")
	}
}

func TestDryRunIsConfirmed(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	at := b.upload("people.csv", people(20)+"boss@example.com,Boss,admin,\n", "dry_run", "true").want(http.StatusSeeOther)
	location := at.header.Get("Location")
	p := b.follow(at).want(http.StatusOK).
		says(".state h2", "19 rows can be imported").
		says(".tiles dt", "Rows in file|Will be imported|Failed rows|New administrators").says(".tiles dd", "21|19|2|1").
		says("#confirm .warn .choice", "1 person becomes administrator. I understand that administrators manage users.").
		says(".which a", "All rows 21|Will be imported 19|Failed rows 2")
	if got := len(p.find(".preview tbody tr")); got != 21 {
		t.Errorf("%d rows of preview", got)
	}
	var failed []string
	for _, input := range p.find(".bad-row .bad-cell input[aria-invalid=true]") {
		failed = append(failed, attribute(input, "value"))
	}
	if got := strings.Join(failed, "|"); got != "p9.example.com|p19.example.com" {
		t.Errorf("failed cells %s", got)
	}
	b.get(location+"?show=errors").says(".preview tbody .num", "11|21")
	b.get(location+"?row=20").says(".preview tbody .num", "20|21|22")
	b.get("/admin/users?q=person").says(".empty h2", "No matching users")

	p.says("button[form=confirm]", "Import 19 users")
	b.post(location+"/confirm", "admins", "2").want(http.StatusUnprocessableEntity).
		says("[role=alert]", "Nothing was imported. Select the checkbox to confirm the new administrators.")
	b.get("/admin/users?q=person").says(".empty h2", "No matching users")
	b.follow(b.post(location+"/confirm", "admins", "1", "send_invitations", "false")).
		says("[aria-labelledby=invitations] button", "Send 19 invitations now").says(".state h2", "19 users imported, 2 rows failed")
	b.post(location+"/confirm").want(http.StatusConflict).says("h1", "This page is out of date").
		says(".lead", "Go back to the current version and try again.").says("a.button[href="+location+"]", "Back to the import")
	b.get("/admin/users?q=boss%40").says("tbody .chip-admin", "Admin")
}

func TestDryRunIsDiscarded(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	location := b.upload("people.csv", people(20), "dry_run", "true").header.Get("Location")
	b.follow(b.post(location+"/cancel")).says(".state h2", "Canceled: 0 users imported")
	b.get("/admin/users?q=person").says(".empty h2", "No matching users")
}

func TestUploadOptions(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	b.follow(b.upload("a.csv", "email,name\na@example.com,Before\n", "send_invitations", "false")).
		says("[aria-labelledby=invitations] .tiles dd", "1|0|0|0|0").
		says("[aria-labelledby=invitations] button", "Send 1 invitation now")
	b.follow(b.upload("a.csv", "email,name\na@example.com,After\n")).says(".state h2", "0 users imported, 1 row failed")
	b.follow(b.upload("a.csv", "email,name\na@example.com,Zo\xeb\n", "on_duplicate", "update", "encoding", "windows-1252")).
		says(".state h2", "0 users imported, 1 updated")
	b.get("/admin/users?q=a%40").says("tbody .strong", "Zoë")
	b.upload("a.csv", "email,name\n", "on_duplicate", "replace").want(http.StatusBadRequest).
		says("[role=alert]", "One of the options is invalid. Check your choices and try again.")
}

// TestUploadFormIsUnderstood uploads with only the fields that the page offers,
// with their default values.
func TestUploadFormIsUnderstood(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	p := b.get("/admin/users/import").want(http.StatusOK)
	form := p.find("form[enctype=multipart/form-data]")
	if len(form) != 1 || attribute(form[0], "action") != "/admin/users/import" || len(p.find("input[type=file][name=file]")) != 1 {
		t.Fatal("no form for a file")
	}
	var fields []string
	for _, input := range append(p.find("form[data-upload] input[checked]"), p.find("form[data-upload] input[type=hidden]")...) {
		fields = append(fields, attribute(input, "name"), attribute(input, "value"))
	}
	for _, choice := range p.find("form[enctype=multipart/form-data] select") {
		fields = append(fields, attribute(choice, "name"), "")
	}
	if len(fields) != 12 {
		t.Errorf("fields %q", fields)
	}
	b.follow(b.upload("people.csv", people(3), fields...)).says(".state h2", "3 rows can be imported")
	for _, option := range p.find("select[name=encoding] option") {
		encoding := attribute(option, "value")
		if p := b.upload("people.csv", people(3), "encoding", encoding, "dry_run", "true"); p.status != http.StatusSeeOther {
			t.Errorf("encoding %q is offered and not taken: %d", encoding, p.status)
		}
	}
}

func TestUploadIsRefused(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	const path = "/admin/users/import"
	form := func(write func(*multipart.Writer)) *http.Request {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		write(w)
		return b.request(http.MethodPost, path, &body, "Content-Type", w.FormDataContentType())
	}
	tests := map[string]struct {
		request *http.Request
		status  int
		says    string
	}{
		"no file": {form(func(w *multipart.Writer) {
			w.WriteField("dry_run", "true")
			w.Close()
		}), http.StatusBadRequest, "Choose a file or paste rows first."},
		"broken off": {form(func(w *multipart.Writer) {
			file, _ := w.CreateFormFile("file", "a.csv")
			io.WriteString(file, people(10))
		}), http.StatusBadRequest, "The upload was interrupted before it finished. Try again."},
		"too large": {form(func(w *multipart.Writer) {
			file, _ := w.CreateFormFile("file", "a.csv")
			io.WriteString(file, strings.Repeat("x", maxUpload+1))
			w.Close()
		}), http.StatusRequestEntityTooLarge, "The file is too large for one import. Split it into smaller files and import them one at a time."},
		// The whole body is sent before the response is read, as browsers do.
		"far too large": {form(func(w *multipart.Writer) {
			file, _ := w.CreateFormFile("file", "a.csv")
			io.WriteString(file, strings.Repeat("x", 2*maxUpload-1000))
			w.Close()
		}), http.StatusRequestEntityTooLarge, "The file is too large for one import. Split it into smaller files and import them one at a time."},
		"another form": {b.request(http.MethodPost, path, strings.NewReader("file=a"), "Content-Type", "application/x-www-form-urlencoded"),
			http.StatusUnsupportedMediaType, "The form data is invalid. Reload this page and try again."},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := *b
			env := *b.testEnv
			env.T = t
			b.testEnv = &env
			p := b.do(test.request).want(test.status).says("[role=alert]", test.says)
			if len(p.find("input[type=file]")) != 1 {
				t.Error("no way to try again")
			}
		})
	}
	b.get("/admin/imports").says(".empty h2", "No imports yet")
}

func TestImportOfABadFile(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	p := b.follow(b.upload("a.csv", "mail,name\na@example.com,A\n")).want(http.StatusOK).
		says(".state h2", "This file can't be imported")
	p.says(".state strong", "Some required columns weren't found.")
	b.follow(b.upload("b.csv", "")).says(".state strong", "The file is empty.")
	b.get("/admin/imports").says("tbody .chip", "Failed|Failed").says("tbody .strong", "b.csv|a.csv")
}

// TestImportThatWaits opens the page of an import before any worker has seen
// it: the page reloads itself, and a failure to enqueue the import is not
// shown.
func TestImportThatWaits(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.worker.broken.Store(true)
	b := h.admin()
	location := b.upload("people.csv", people(20)).want(http.StatusSeeOther).header.Get("Location")
	p := b.get(location).says(".state h2", "Queued")
	if refresh := p.find("meta[http-equiv=refresh]"); len(refresh) != 1 || attribute(refresh[0], "content") != "2" {
		t.Error("the page does not load itself again")
	}
	if len(p.find("progress")) != 1 {
		t.Error("no progress bar")
	}
	b.get(location+"/errors.csv").want(http.StatusConflict).says("h1", "Report not ready")
	b.follow(b.post(location+"/cancel")).says(".state h2", "Canceled: 0 users imported").
		says(".state p", "Nothing was imported.")
	b.post(location + "/cancel").want(http.StatusConflict)
}

// TestProgress shows a half-finished import, as a worker leaves it between
// batches.
func TestProgress(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.worker.asleep.Store(true)
	b := h.admin()
	location := b.upload("people.csv", people(20)).header.Get("Location")
	h.exec(`UPDATE imports SET status = 'checking', started_at = now(), checked = 1234, valid = 1200, failed = 34`)
	b.get(location).says(".state h2", "Checking the file").says(".state .fine", "1,234 rows so far|This page updates itself. You can leave it; the import continues.")
	h.exec(`UPDATE imports SET status = 'importing', total = 5000, checked = 5000, valid = 4900, failed = 100, processed = 2500, imported = 2450`)
	p := b.get(location).says(".state h2", "Importing").says(".tiles dd", "5,000|2,450|100")
	if bar := p.find("progress")[0]; attribute(bar, "max") != "5000" || attribute(bar, "value") != "2500" {
		t.Errorf("progress %v", bar.Attr)
	}
}

func TestFailedRowsPageByPage(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	location := b.upload("bad.csv", "email,name\n"+strings.Repeat("x,Y\n", 60)).header.Get("Location")
	var rows []string
	for path := location; path != ""; {
		p := b.get(path).want(http.StatusOK)
		rows = append(rows, p.text("[aria-labelledby=failed-rows] tbody .num"))
		path = ""
		if next := p.find("a[rel=next]"); len(next) == 1 {
			path, _, _ = strings.Cut(attribute(next[0], "href"), "#")
		}
	}
	all := strings.Split(strings.Join(rows, "|"), "|")
	if len(rows) != 3 || len(all) != 60 || all[0] != "2" || all[59] != "61" {
		t.Errorf("%d pages, rows %v", len(rows), all)
	}
}

func TestDownloads(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	location := b.upload("Zoë's people.csv", people(20)).header.Get("Location")
	p := b.get(location + "/errors.csv").want(http.StatusOK)
	if got := p.header.Get("Content-Disposition"); got != "attachment; filename*=utf-8''Zo%C3%AB%27s%20people-errors.csv" {
		t.Errorf("Content-Disposition %q", got)
	}
	if got := p.header.Get("Content-Type"); got != "text/csv; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	if lines := strings.Split(strings.TrimSpace(p.body), "\n"); len(lines) != 3 || !strings.Contains(lines[1], "p9.example.com") {
		t.Errorf("the report reads %q", p.body)
	}
	p = b.get(location + "/results.csv").want(http.StatusOK)
	if strings.Count(p.body, ",imported,") != 18 || strings.Count(p.body, ",failed,") != 2 {
		t.Errorf("the results read %q", p.body)
	}
	b.get("/admin/users/import/template.csv").want(http.StatusOK)
	if p := b.upload("users.csv", b.get("/admin/users/import/template.csv").body); p.status != http.StatusSeeOther {
		t.Errorf("the template is refused: %d", p.status)
	}

	b.exec(`DELETE FROM import_chunks`)
	b.exec(`UPDATE imports i SET purged_at = now(), error_counts = (SELECT counts FROM import_errors WHERE import_id = i.id)`)
	b.exec(`DELETE FROM import_errors`)
	b.get(location+"/errors.csv").want(http.StatusGone).says("h1", "No longer available")
	p = b.get(location).want(http.StatusOK)
	if strings.Contains(p.body, ".csv\"") || !strings.Contains(p.body, "Counts and reasons are kept.") {
		t.Errorf("a report is offered that is no longer there:\n%s", p.body)
	}
}

func TestInvitationsAreResent(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	location := b.upload("people.csv", people(9), "send_invitations", "false").header.Get("Location")
	b.follow(b.post(location+"/resend")).says("[aria-labelledby=invitations] .tiles dt", "Queued|Sent|Accepted|Failed").
		says("[aria-labelledby=invitations] .tiles dd", "9|0|0|0")
	b.exec(`UPDATE mail_state SET paused_until = now() + interval '1 hour', pauses = 1, pause_reason = '535 wrong password'`)
	b.get(location).says("[aria-labelledby=invitations] .said", "535 wrong password")
}

func TestImportsList(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	b.get("/admin/imports").want(http.StatusOK).says(".empty h2", "No imports yet")
	for i := range 52 {
		b.upload(fmt.Sprintf("%d.csv", i), "email,name\n", "dry_run", "true").want(http.StatusSeeOther)
	}
	p := b.get("/admin/imports")
	if files := strings.Split(p.text("tbody .strong"), "|"); len(files) != 50 || files[0] != "51.csv" {
		t.Errorf("the list begins %v", files)
	}
	next := p.find("a[rel=next]")
	if len(next) != 1 {
		t.Fatal("no next page")
	}
	b.get(attribute(next[0], "href")).says("tbody .strong", "1.csv|0.csv").says(".pager a", "Newest")
}

// TestEveryLinkLeadsSomewhere follows all links from the start page.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	b := h.admin()
	h.addUser("other@example.com", "Otto Other", roster.RoleUser, userPassword)
	b.upload("people.csv", people(80))
	b.upload("dry.csv", people(80), "dry_run", "true")
	b.upload("bad.csv", "x\n")
	seen := map[string]bool{"/": true}
	alike := map[string]int{} // links of one path with the same parameters
	for todo := []string{"/"}; len(todo) > 0; {
		path := todo[0]
		todo = todo[1:]
		p := b.get(path)
		for p.status == http.StatusSeeOther {
			p = b.follow(p)
		}
		if p.status != http.StatusOK {
			t.Errorf("%s: %d", path, p.status)
		}
		if !strings.HasPrefix(p.header.Get("Content-Type"), "text/html") {
			continue
		}
		for _, link := range append(p.find("a"), p.find("link")...) {
			href, _, _ := strings.Cut(attribute(link, "href"), "#")
			u, err := url.Parse(href)
			if err != nil {
				t.Fatal(err)
			}
			shape := u.Path + fmt.Sprint(slices.Sorted(maps.Keys(u.Query())), u.Query().Get("action"), u.Query().Get("sort"))
			if href != "" && !seen[href] && alike[shape] < 3 {
				seen[href] = true
				alike[shape]++
				todo = append(todo, href)
			}
		}
	}
	if len(seen) < 15 {
		t.Errorf("only %d links: %v", len(seen), seen)
	}
}
