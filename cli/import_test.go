package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/xuri/excelize/v2"

	"rollcall/client"
	"rollcall/roster"
)

const (
	twoGood = "email,name\na@example.com,Ann\nb@example.com,Bob\n"
	oneBad  = "email,name,Phone\na@example.com,Ann,1\nb.example.com,Bob,2\nc@example.com,Cid,3\n"
)

func TestImportEveryRow(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	r := h.mustRun("import", h.file(twoGood))
	contains(t, r.stdout, "Imported 2 of 2 rows of users.csv, in ", "Invitations: 2 queued.",
		"Details: "+h.server.URL+"/admin/imports/")
	if r.stderr != "" {
		t.Errorf("stderr: %q", r.stderr)
	}
	if n := h.users(); n != 2 {
		t.Errorf("%d users", n)
	}
}

func TestImportSomeRows(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	to := filepath.Join(t.TempDir(), "out.csv")
	r := h.run("import", h.file(oneBad), "--errors", to, "--no-invitations")
	if r.code != 2 {
		t.Errorf("exit code %d, want 2\n%s", r.code, r.stderr)
	}
	contains(t, r.stdout,
		"Imported 2 of 3 rows of users.csv, 1 failed, in ",
		"Invitations: 2 on hold until resent.",
		"Warning: ", "Phone",
		"  Row 3, email “b.example.com”: The address has no @.\n    Fix: Check for typos, missing @, or extra spaces.\n",
		"Error report: "+to)
	saved, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(saved), "email,name,Phone,error_row", "b.example.com,Bob,2,3,invalid_email,email")
	if info, _ := os.Stat(to); info.Mode().Perm() != 0o600 {
		t.Errorf("the report has mode %v", info.Mode())
	}

	// The corrected report is the next import.
	mended := h.file(strings.ReplaceAll(string(saved), "b.example.com", "b@example.com"))
	contains(t, h.mustRun("import", mended).stdout, "Imported 1 of 1 row")
}

// TestErrorsAsWorkbook: the ending of --errors says what the report is, and the fixed
// workbook is the next import.
func TestErrorsAsWorkbook(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	to := filepath.Join(t.TempDir(), "out.XLSX")
	if r := h.run("import", h.file(oneBad), "--errors", to); r.code != 2 {
		t.Errorf("exit code %d, want 2\n%s", r.code, r.stderr)
	}
	if r := h.run("import", to, "--errors", filepath.Join(t.TempDir(), "again.csv")); r.code != 2 || !strings.Contains(r.stdout, "1 failed") {
		t.Errorf("unchanged: exit code %d\n%s", r.code, r.stdout)
	}
	f, err := excelize.OpenFile(to)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.SetCellStr(f.GetSheetName(0), "A2", "b@example.com"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Save(), f.Close()); err != nil {
		t.Fatal(err)
	}
	contains(t, h.mustRun("import", to).stdout, "Imported 1 of 1 row")
}

func TestImportIsRepeatable(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	file := h.file(twoGood)
	first, again := imported(t, h.mustRun("import", file, "--json")), h.mustRun("import", file, "--json")
	if id := imported(t, again).ID; first.ID != id {
		t.Errorf("the same command made imports %s and %s", first.ID, id)
	}
	contains(t, again.stderr, "This file was already uploaded with these options on ", ". Showing that import. To import it again, add --force-new.")
	report := filepath.Join(t.TempDir(), "e.csv")
	dry := imported(t, h.run("import", file, "--json", "--dry-run", "--errors", report))
	if dry.ID == first.ID || dry.Status != roster.Ready {
		t.Errorf("other options led to the import %s, %s", dry.ID, dry.Status)
	}
	r := h.run("import", file, "--json", "--dry-run", "--errors", report)
	if id := imported(t, r).ID; id == dry.ID {
		t.Error("a dry run repeated tells what was true before")
	}
	contains(t, r.stderr, "This file was already checked on ", ". Checking it again")
	for _, flag := range []string{"--force-new", "--again"} {
		r = h.run("import", file, "--json", flag, "--on-duplicate", "update")
		if i := imported(t, r); i.ID == first.ID || i.Unchanged != 2 || r.code != 0 {
			t.Errorf("%s: exit code %d, %+v", flag, r.code, i)
		}
	}
	if help := h.mustRun("import", "--help").stdout; !strings.Contains(help, "--force-new") || strings.Contains(help, "--again") {
		t.Errorf("the help does not show --force-new alone:\n%s", help)
	}
}

// TestImportThatLeftNothingIsMadeAgain: and the new import is started only
// once, too.
func TestImportThatLeftNothingIsMadeAgain(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	bad := h.file("name\nAnn\n")
	ids := map[uuid.UUID]bool{}
	for n := range 3 {
		r := h.run("import", bad, "--json")
		if ids[imported(t, r).ID] = true; len(ids) != n+1 || r.code != 1 {
			t.Errorf("exit code %d, imports %v", r.code, ids)
		}
		if n > 0 {
			contains(t, r.stderr, "The import of this file on ", " failed. Trying again.")
		}
	}

	good := h.file(twoGood)
	first := imported(t, h.mustRun("import", good, "--json"))
	h.post("/api/admin/users/imports/"+first.ID.String()+"/undo", 200)
	r := h.mustRun("import", good, "--json")
	second := imported(t, r)
	if second.ID == first.ID || second.Imported != 2 {
		t.Errorf("after the undo: %+v", second)
	}
	contains(t, r.stderr, "The import of this file on ", " was undone. Importing it again.")
	if third := imported(t, h.mustRun("import", good, "--json")); third.ID != second.ID {
		t.Error("after the undo the file was imported twice")
	}
	if n := h.users(); n != 2 {
		t.Errorf("%d users", n)
	}
}

func TestImportThatWasCanceledStaysSo(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	h.importQueue.hold()
	file := h.file(twoGood)
	first := imported(t, h.mustRun("import", file, "--json", "--wait=false"))
	h.post("/api/admin/users/imports/"+first.ID.String()+"/cancel", 202)
	r := h.run("import", file, "--json")
	if again := imported(t, r); again.ID != first.ID || again.Status != roster.Canceled || r.code != 1 {
		t.Errorf("exit code %d, %+v", r.code, again)
	}
	contains(t, r.stderr, "To import it again, add --force-new.")
}

func TestImportFromStdin(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	h.stdin = "E-Mail;Who\na@example.com;Ann\n"
	i := imported(t, h.mustRun("import", "-", "--json", "--delimiter", ";", "--mapping", "name=Who", "--mapping", "Email=E-Mail"))
	if i.Imported != 1 || i.Filename != "stdin.csv" {
		t.Errorf("%+v", i)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "rollcall-*.csv")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestImportNameInTwoColumns repeats --mapping for the name, and shows the
// explanation of a failed row.
func TestImportNameInTwoColumns(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	file := h.file("email,First,Last\na@example.com,Ann,Lee\nb@example.com\u200b,Bob,Norden\n")
	r := h.run("import", file, "--mapping", "name=First", "--mapping", "name=Last", "--errors", filepath.Join(t.TempDir(), "errors.csv"))
	if r.code != 2 {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	contains(t, r.stdout, "zero-width space (U+200B)", "Did you mean “b@example.com”?")
	guessed := h.mustRun("import", h.file("email,name\nr@example.com,Ren\xe9e M\xfcller\n"), "--encoding", "auto")
	contains(t, guessed.stdout, "read as windows-1252", "“Renée Müller”")
	if r := h.run("import", file, "--mapping", "email=First", "--mapping", "email=Last"); r.code != 1 {
		t.Errorf("exit code %d for two columns of an address", r.code)
	}
}

func TestImportDryRun(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	contains(t, h.mustRun("import", h.file(twoGood), "--dry-run").stdout,
		"Checked 2 rows of users.csv: 2 valid, 0 failed.", "This was a dry run")
	r := h.run("import", h.file(oneBad), "--dry-run", "--errors", filepath.Join(t.TempDir(), "e.csv"))
	if r.code != 2 {
		t.Errorf("exit code %d, want 2", r.code)
	}
	contains(t, r.stdout, "Checked 3 rows of users.csv: 2 valid, 1 failed.", "Error report: ")
	if n := h.users(); n != 0 {
		t.Errorf("%d users", n)
	}
}

func TestImportFails(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	for _, c := range []struct {
		name string
		args []string
		want []string // on either stream
	}{
		{"file", []string{h.file("name\nAnn\n")}, []string{"The import of users.csv failed; nothing was imported: ", "email", "(missing_column)", "Fix: "}},
		{"option", []string{h.file(twoGood), "--encoding", "klingon"}, []string{"Error: ", "encoding", "Request ID: 0"}},
		{"token", []string{h.file(twoGood), "--token", "rc_wrong"}, []string{"Error: ", "Request ID: 0"}},
		{"size", []string{h.file(twoGood + strings.Repeat("x", 1<<20))}, []string{"Error: ", "1048576", "Request ID: 0"}},
		{"missing file", []string{"no-such-file.csv"}, []string{"Error: file not found: no-such-file.csv"}},
		{"directory", []string{t.TempDir()}, []string{"is a directory"}},
		{"nobody there", []string{h.file(twoGood), "--url", "http://127.0.0.1:1"}, []string{"Error: no response from 127.0.0.1:1: ", "ROLLCALL_URL"}},
		{"no address", []string{h.file(twoGood), "--url", "example.com"}, []string{"http:// or https://"}},
		{"duplicates", []string{h.file(twoGood), "--on-duplicate", "replace"}, []string{"--on-duplicate must be skip or update", "--help"}},
		{"mapping", []string{h.file(twoGood), "--mapping", "Tel"}, []string{"--mapping must be COLUMN=HEADER"}},
		{"mapped column", []string{h.file(twoGood), "--mapping", "phone=Tel"}, []string{`unknown column "phone"`}},
		{"value map", []string{h.file(twoGood), "--value-map", `{"role"`}, []string{"--value-map is not JSON"}},
		{"mapped value", []string{h.file(twoGood), "--value-map", `{"role": {"Boss": "owner"}}`}, []string{`maps "Boss" to "owner"`}},
		{"value map file", []string{h.file(twoGood), "--value-map", "no-such-map.json"}, []string{"neither a JSON object nor a file"}},
		{"profile", []string{h.file(twoGood), "--profile", "no-such"}, []string{`no import profile "no-such"`}},
		{"profile name", []string{h.file(twoGood), "--profile", "a b"}, []string{"--profile must have"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := h.run(append([]string{"import"}, c.args...)...)
			if r.code != 1 {
				t.Errorf("exit code %d, want 1", r.code)
			}
			contains(t, r.stdout+r.stderr, c.want...)
			if strings.Contains(r.stderr, "Usage:") {
				t.Errorf("a usage dump:\n%s", r.stderr)
			}
		})
	}
}

func TestImportWithoutToken(t *testing.T) {
	t.Parallel()
	r := shell{T: t}.run("import", "users.csv")
	if r.code != 1 {
		t.Errorf("exit code %d", r.code)
	}
	contains(t, r.stderr, "ADMIN_API_TOKEN_FILE")
}

func TestImportSurvivesLostConnections(t *testing.T) {
	t.Parallel()
	var uploads, polls atomic.Int32
	polled := make(chan struct{})
	h := newTestEnv(t, func(api http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodPost && uploads.Add(1) == 1:
				// The upload is committed, but the response is lost.
				api.ServeHTTP(discard{http.Header{}}, r)
				panic(http.ErrAbortHandler)
			case r.Method == http.MethodGet && polls.Add(1) == 1:
				close(polled)
				panic(http.ErrAbortHandler)
			}
			api.ServeHTTP(w, r)
		})
	})
	h.server.Config.ErrorLog = nil
	h.importQueue.hold()
	file := h.file(twoGood)
	done := make(chan ran)
	go func() { done <- h.run("import", file, "--json") }()
	select {
	case <-polled:
	case r := <-done:
		t.Fatalf("ended early: %+v", r)
	}
	h.importQueue.release()
	r := <-done
	if i := imported(t, r); r.code != 0 || i.Imported != 2 {
		t.Errorf("exit code %d, %+v\n%s", r.code, i, r.stderr)
	}
	if n := uploads.Load(); n != 2 {
		t.Errorf("%d uploads, want 2", n)
	}
	if n := h.users(); n != 2 {
		t.Errorf("%d users", n)
	}
}

// TestImportBehindAProxy: responses of a proxy instead of the API are explained
// in words.
func TestImportBehindAProxy(t *testing.T) {
	t.Parallel()
	refuse := func(status, times int) func(http.Handler) http.Handler {
		var uploads atomic.Int32
		return func(api http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost && int(uploads.Add(1)) <= times {
					w.Header().Set("Content-Type", "text/html")
					w.WriteHeader(status)
					io.WriteString(w, "<html>nginx</html>")
					return
				}
				api.ServeHTTP(w, r)
			})
		}
	}
	for _, status := range []int{http.StatusBadGateway, http.StatusServiceUnavailable} {
		h := newTestEnv(t, refuse(status, 2))
		r := h.mustRun("import", h.file(twoGood))
		contains(t, r.stdout, "Imported 2 of 2 rows")
		want := fmt.Sprintf("The server answered %d %s. Retrying.\n", status, http.StatusText(status))
		if r.stderr != want {
			t.Errorf("stderr is %q, want the one line %q", r.stderr, want)
		}
	}
	h := newTestEnv(t, refuse(http.StatusRequestEntityTooLarge, 1))
	r := h.run("import", h.file(twoGood))
	if r.code != 1 {
		t.Errorf("exit code %d, want 1", r.code)
	}
	contains(t, r.stderr, "Error: Upload too large for a proxy\n  A proxy in front of Rollcall rejected the upload because of its size (HTTP status 413).\n  Fix: Raise the proxy's limit")
}

func TestImportInterrupted(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 100)
	h := newTestEnv(t, func(api http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Prefer") != "" && r.Method == http.MethodGet { // it follows
				asked <- struct{}{}
			}
			api.ServeHTTP(w, r)
		})
	})
	h.importQueue.hold()
	file := h.file(twoGood)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	done := make(chan ran)
	go func() { done <- h.runUntil(ctx, "import", file) }()
	<-asked
	interrupt()
	r := <-done
	if r.code != 1 {
		t.Errorf("exit code %d", r.code)
	}
	contains(t, r.stderr, "The import continues on the server: "+h.server.URL+"/admin/imports/", "Error: interrupted")

	r = h.mustRun("import", file, "--wait=false")
	contains(t, r.stdout, "Uploaded users.csv; the import continues in the background (queued).")
	h.importQueue.release()
	contains(t, h.mustRun("import", file).stdout, "Imported 2 of 2 rows")
}

// TestImportReportNames changes the directory, so it is not parallel.
func TestImportReportNames(t *testing.T) {
	h := newTestEnv(t, nil)
	file := h.file(oneBad)
	t.Chdir(t.TempDir())
	for _, want := range []string{"users-errors.csv", "users-errors-2.csv", "users-errors-3.csv"} {
		contains(t, h.run("import", file).stdout, "Error report: "+want)
		if _, err := os.Stat(want); err != nil {
			t.Error(err)
		}
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := h.run("import", file, "--errors", file)
	contains(t, r.stdout, "Couldn't save the error report: --errors is the path of the imported file")
	if after, _ := os.ReadFile(file); string(after) != string(before) {
		t.Error("the imported file was overwritten")
	}
}

// discard is a ResponseWriter that drops what is written.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

func imported(t *testing.T, r ran) (i client.Import) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.stdout), &i); err != nil {
		t.Fatalf("stdout is not an import: %v\n%s%s", err, r.stdout, r.stderr)
	}
	return i
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}
