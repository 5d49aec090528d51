package e2e_test

import (
	"encoding/csv"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/internal/programtest"
)

// TestHRSync runs the example integrations as they are: a good file, the same
// again, one with mistakes, one that is no import, and a wrong token.
func TestHRSync(t *testing.T) {
	t.Parallel()
	for _, script := range []struct {
		name  string
		needs []string
	}{
		{"sync.sh", []string{"sh", "curl", "jq", "sha256sum"}},
		{"sync.py", []string{"python3"}},
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
			h := newHouse(t, smallRedis(t))
			h.startAPI()
			h.startWorker()
			const good = "email,name,department\nada@example.com,Ada,R&D\nbob@example.com,Bob,Sales\n"
			s := h.sync(script.name, good, programtest.Token)
			s.want(0, "2 imported, 0 updated, 0 refused")
			if len(s.results) != 3 || s.results[1][3] != "imported" || len(s.results[1][4]) != 36 {
				t.Errorf("results %q", s.results)
			}
			again := h.sync(script.name, good, programtest.Token)
			again.want(0, "2 imported, 0 updated, 0 refused") // the same import, not another
			if again.results[1][4] != s.results[1][4] {
				t.Errorf("results %q, then %q", s.results, again.results)
			}
			h.sync(script.name, strings.Replace(good, "Sales", "Support", 1)+"nobody,No One,\n", programtest.Token).
				want(2, "0 imported, 2 updated, 1 refused", "row 4: ")
			h.sync(script.name, "name\nAda\n", programtest.Token).want(1, "missing_column", "email")
			h.sync(script.name, good, "wrong").want(1, "invalid_token")
		})
	}
}

// synced is what a run of an example left behind.
type synced struct {
	t       *testing.T
	output  string
	code    int
	results [][]string // of results.csv, header included; nil: none was written
}

func (h *house) sync(script, people, token string) synced {
	h.Helper()
	dir := h.TempDir()
	file, results := filepath.Join(dir, "people.csv"), filepath.Join(dir, "results.csv")
	if err := os.WriteFile(file, []byte(people), 0o600); err != nil {
		h.Fatal(err)
	}
	run := exec.CommandContext(h.Context(), filepath.Join("..", "examples", "hr-sync", script), file, results)
	run.Env = append(os.Environ(), "ROLLCALL_URL="+h.url, "ADMIN_API_TOKEN="+token)
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

// want fails the test unless the run ended with the code and said all that.
func (s synced) want(code int, said ...string) {
	s.t.Helper()
	for _, text := range said {
		if s.code != code || !strings.Contains(s.output, text) || code == 1 && s.results != nil {
			s.t.Fatalf("exit code %d, want %d and %q\n%s", s.code, code, text, s.output)
		}
	}
}
