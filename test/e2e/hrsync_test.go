package e2e_test

import (
	"encoding/csv"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/test/programtest"
)

// TestHRSync runs the example integrations night by night: joiners, the same file
// again, a mover and a leaver, a held night and its approval, one with errors, one
// with a profile, one that is not an import, and a wrong token.
func TestHRSync(t *testing.T) {
	t.Parallel()
	for _, script := range []struct {
		name  string
		needs []string
	}{
		{"sync.sh", []string{"sh", "curl", "jq", "sha256sum"}},
		{"sync.py", []string{"python3", "curl"}},
	} {
		t.Run(script.name, func(t *testing.T) {
			t.Parallel()
			for _, program := range script.needs {
				if _, err := exec.LookPath(program); err != nil {
					if os.Getenv("ROLLCALL_REQUIRE_ALL") == "1" {
						t.Fatalf("%s is required", program)
					}
					t.Skipf("there is no %s here", program)
				}
			}
			h := newTestEnv(t, smallRedis(t))
			h.startAPI()
			h.startWorker()
			const header, ada, bob = "external_id,email,name,department\n", "007,ada@example.com,Ada,R&D\n", "008,bob@example.com,Bob,Sales\n"
			const good = header + ada + bob
			s := h.sync(script.name, good, programtest.Token)
			s.want(0, "2 imported, 0 updated, 0 unchanged, 0 disabled, 0 failed")
			if len(s.results) != 3 || s.results[1][3] != "imported" || len(s.results[1][4]) != 36 {
				t.Errorf("results %q", s.results)
			}
			again := h.sync(script.name, good, programtest.Token)
			again.want(0, "2 imported, 0 updated, 0 unchanged, 0 disabled, 0 failed") // the same import, not another
			if again.results[1][4] != s.results[1][4] {
				t.Errorf("results %q, then %q", s.results, again.results)
			}
			// Ada has married and has another address; Bob has left, which is half of all.
			const moved = header + "007,ada.lovelace@example.com,Ada Lovelace,R&D\n"
			held := h.sync(script.name, moved, programtest.Token)
			held.want(3, "1 users are missing from the file", "the limit is 0", "Nothing was changed", `{"allow_disable": 1}`)
			if held.results != nil {
				t.Errorf("results of a held import: %q", held.results)
			}
			h.sync(script.name, moved, programtest.Token).want(3, "1 users are missing") // still waiting
			h.approve(held.output)
			s = h.sync(script.name, moved, programtest.Token)
			s.want(0, "0 imported, 1 updated, 0 unchanged, 1 disabled, 0 failed")
			if s.results[1][4] != again.results[1][4] {
				t.Errorf("Ada is %q, and was %q", s.results[1], again.results[1])
			}
			// Bob comes back with a joiner, whom a refused row does not keep out.
			const rejoined = moved + bob + "009,cy@example.com,Cy,\n"
			h.sync(script.name, rejoined+"010,nobody,No One,\n", programtest.Token, "HR_MAX_DISABLE=0").
				want(2, "1 imported, 1 updated, 1 unchanged, 0 disabled, 1 failed", "row 5: ")
			h.put("/api/admin/import-profiles/nightly", `{"mapping": {"email": "Mail"}, "on_duplicate": "update", "missing": "disable", "max_disable": "1"}`)
			h.sync(script.name, strings.Replace(moved+bob, "email", "Mail", 1), programtest.Token, "HR_PROFILE=nightly").
				want(0, "0 imported, 0 updated, 2 unchanged, 1 disabled, 0 failed")
			h.sync(script.name, good, programtest.Token, "HR_PROFILE=nightly").want(1, "missing_column", `import profile "nightly"`, "Mail")
			h.sync(script.name, "name\nAda\n", programtest.Token).want(1, "missing_column", "email")
			h.sync(script.name, good, "wrong").want(1, "invalid_token")
		})
	}
}

// synced is the result of a run of an example.
type synced struct {
	t       *testing.T
	output  string
	code    int
	results [][]string // of results.csv, header included; nil: none was written
}

// approve runs the command that a held run has printed, as a token that may.
func (h *testEnv) approve(output string) {
	h.Helper()
	for line := range strings.Lines(output) {
		if command := strings.TrimSpace(line); strings.HasPrefix(command, "curl ") {
			run := exec.CommandContext(h.Context(), "sh", "-c", command+" --fail --silent --show-error")
			run.Env = append(os.Environ(), "ADMIN_TOKEN="+programtest.Token)
			if out, err := run.CombinedOutput(); err != nil {
				h.Fatalf("%s: %v\n%s", command, err, out)
			}
			return
		}
	}
	h.Fatalf("no command in %q", output)
}

// put sends a JSON body with the full-scope token.
func (h *testEnv) put(path, body string) {
	h.Helper()
	r, err := http.NewRequestWithContext(h.Context(), http.MethodPut, h.url+path, strings.NewReader(body))
	if err != nil {
		h.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+programtest.Token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		h.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		h.Fatalf("PUT %s: %s", path, answer.Status)
	}
}

func (h *testEnv) sync(script, people, token string, env ...string) synced {
	h.Helper()
	dir := h.TempDir()
	file, results := filepath.Join(dir, "people.csv"), filepath.Join(dir, "results.csv")
	if err := os.WriteFile(file, []byte(people), 0o600); err != nil {
		h.Fatal(err)
	}
	run := exec.CommandContext(h.Context(), filepath.Join("..", "..", "examples", "hr-sync", script), file, results)
	run.Env = append(os.Environ(), "ROLLCALL_URL="+h.url, "ADMIN_API_TOKEN="+token)
	run.Env = append(run.Env, env...)
	out, err := run.CombinedOutput()
	if run.ProcessState == nil {
		h.Fatal(err)
	}
	s := synced{t: h.T, output: string(out), code: run.ProcessState.ExitCode()}
	raw, err := os.ReadFile(results)
	if errors.Is(err, os.ErrNotExist) {
		return s
	}
	if err != nil {
		h.Fatal(err)
	}
	if s.results, err = csv.NewReader(strings.NewReader(string(raw))).ReadAll(); err != nil {
		h.Fatal(err)
	}
	return s
}

// want fails the test unless the run ended with the code and its output
// contains all of said.
func (s synced) want(code int, said ...string) {
	s.t.Helper()
	for _, text := range said {
		if s.code != code || !strings.Contains(s.output, text) || code == 1 && s.results != nil {
			s.t.Fatalf("exit code %d, want %d and %q\n%s", s.code, code, text, s.output)
		}
	}
}
