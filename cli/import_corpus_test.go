package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/text/encoding/htmlindex"

	"rollcall/cli/termtext"
	"rollcall/roster"
)

// corpusCase is a file of package userfile's corpus; see there.
type corpusCase struct {
	Name     string                    `json:"name"`
	File     string                    `json:"file"`
	Encode   string                    `json:"encode"`
	Encoding string                    `json:"encoding"`
	Delim    string                    `json:"delimiter"`
	Mapping  map[string]roster.Headers `json:"mapping"`
	Refused  map[string]roster.Code    `json:"refused"`
	Warnings map[string]int64          `json:"warnings"`
	Failure  roster.Code               `json:"failure"`
}

// args are the flags to check the file with.
func (c corpusCase) args(path string) []string {
	args := []string{"import", path, "--dry-run", "--force-new", "--errors", path + "-errors.csv"}
	if c.Encoding != "" {
		args = append(args, "--encoding", c.Encoding)
	}
	if c.Delim != "" {
		args = append(args, "--delimiter", c.Delim)
	}
	for column, headers := range c.Mapping {
		for _, header := range headers.List() {
			args = append(args, "--mapping", column+"="+header)
		}
	}
	return args
}

// TestCorpus checks each file of the corpus: every problem of the first rows, every
// warning and the failure of a file is shown with its message and what to do.
func TestCorpus(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	token := strings.TrimSpace(h.mustRun("token", "create", "--name", "corpus", "--scope", "admin").stdout)
	h.environ = append(h.environ, "ADMIN_API_TOKEN="+token) // some rows are administrators
	paths, err := filepath.Glob("../userfile/testdata/corpus/*.json")
	if err != nil || len(paths) < 6 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var cases []corpusCase
		if err := json.Unmarshal(raw, &cases); err != nil {
			t.Fatal(path, err)
		}
		for _, c := range cases {
			h.shows(strings.TrimSuffix(filepath.Base(path), ".json")+"/"+c.Name, c)
		}
	}
}

// shows checks a file and what is printed of it.
func (h *testEnv) shows(name string, c corpusCase) {
	h.Helper()
	content := c.File
	if c.Encode != "" {
		e, err := htmlindex.Get(c.Encode)
		if err != nil {
			h.Fatal(err)
		}
		if content, err = e.NewEncoder().String(content); err != nil {
			h.Fatal(err)
		}
	}
	r := h.run(c.args(h.file(content))...)
	i, err := h.store.Import(h.Context(), h.importQueue.last())
	if err != nil {
		h.Fatal(err)
	}
	rowErrors, err := h.store.RowErrors(h.Context(), i.ID, 0, 100)
	if err != nil {
		h.Fatal(err)
	}
	want := 0
	switch {
	case c.Failure != "":
		want = 1
	case len(c.Refused) > 0:
		want = 2
	}
	if r.code != want {
		h.Errorf("%s: exit code %d, want %d", name, r.code, want)
	}
	says := func(texts ...string) {
		h.Helper()
		for _, text := range texts {
			if text = termtext.Sanitize(text); text == "" || !strings.Contains(r.stdout, text) {
				h.Errorf("%s does not show %q:\n%s", name, text, r.stdout)
			}
		}
	}
	if i.Failure != nil {
		says(i.Failure.Message, i.Failure.Fix)
	}
	for _, w := range i.Warnings {
		says(w.Message)
		if w.Sample != "" {
			says(w.Sample)
		}
	}
	for _, e := range rowErrors[:min(len(rowErrors), 5)] {
		p := e.Problems[0]
		says(p.Message, p.Advice())
		if p.Suggestion != "" && len(p.Suggestion) < 60 {
			says(p.Suggestion)
		}
	}
	if len(rowErrors) != len(c.Refused) {
		h.Errorf("%s: %d rows failed, want %d", name, len(rowErrors), len(c.Refused))
	}
}

// last is the import that was started last.
func (q *importQueue) last() uuid.UUID {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.rung[len(q.rung)-1]
}
