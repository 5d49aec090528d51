package web_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/text/encoding/htmlindex"

	"rollcall/internal/humanize"
	"rollcall/roster"
)

// TestCorpusInPanel uploads every file of the corpus in userfile/testdata as a
// dry run, and looks for everything that was found out about it on the page:
// messages, fixes and suggestions of failed rows, what to do about a file that
// cannot be used, and warnings. What a page says in its own words is listed in
// rephrased.
func TestCorpusInPanel(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	paths, err := filepath.Glob("../userfile/testdata/corpus/*.json")
	if err != nil || len(paths) < 6 {
		t.Fatal(paths, err)
	}
	files := 0
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var cases []corpusFile
		if err := json.Unmarshal(raw, &cases); err != nil {
			t.Fatal(path, err)
		}
		for _, c := range cases {
			files++
			c.name = strings.TrimSuffix(filepath.Base(path), ".json") + "/" + c.Name
			c.inPanel(t, b)
		}
	}
	t.Logf("%d files", files)
}

// corpusFile is a file of the corpus; see package userfile for the members.
type corpusFile struct {
	name     string
	Name     string                    `json:"name"`
	File     string                    `json:"file"`
	Encode   string                    `json:"encode"`
	Encoding string                    `json:"encoding"`
	Delim    string                    `json:"delimiter"`
	Mapping  map[string]roster.Headers `json:"mapping"`
}

func (c corpusFile) inPanel(t *testing.T, b *browser) {
	t.Helper()
	content := c.File
	if c.Encode != "" {
		e, err := htmlindex.Get(c.Encode)
		if err != nil {
			t.Fatal(err)
		}
		if content, err = e.NewEncoder().String(content); err != nil {
			t.Fatal(err)
		}
	}
	fields := []string{"dry_run", "true"}
	if c.Encoding != "" {
		fields = append(fields, "encoding", c.Encoding)
	}
	if c.Delim != "" {
		fields = append(fields, "delimiter", c.Delim)
	}
	if len(c.Mapping) > 0 {
		mapping, err := json.Marshal(c.Mapping)
		if err != nil {
			t.Fatal(err)
		}
		fields = append(fields, "mapping", string(mapping))
	}
	location := b.upload("corpus.csv", content, fields...).header.Get("Location")
	id, err := uuid.Parse(strings.TrimPrefix(location, "/admin/imports/"))
	if err != nil {
		t.Fatalf("%s: not uploaded: %v", c.name, err)
	}
	b.worker.wait()
	i, err := b.store.Import(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	shown := b.get(location).text("main")
	says := func(what, text string) {
		t.Helper()
		if text = strings.Join(strings.Fields(text), " "); !strings.Contains(shown, text) {
			t.Errorf("%s: the page does not show the %s %q: %s", c.name, what, text, shown)
		}
	}
	if f := i.Failure; f != nil {
		if f.Code != roster.MissingColumn || !strings.Contains(shown, "Some required columns weren't found.") {
			says("message", f.Message)
			if f.Code != roster.MissingColumn {
				says("fix", f.Fix)
			}
		}
		if f.Delimiter != "" || f.Encoding != "" {
			says("suggestion", "Use ")
		}
	}
	errors, err := b.store.RowErrors(t.Context(), id, 0, 50)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range errors {
		for _, p := range e.Problems {
			says("message", p.Message)
			if p.Suggestion != "" {
				says("suggestion", "Did you mean “"+p.Suggestion+"”?")
			}
		}
		says("fix", e.Problems[0].Advice())
	}
	for _, w := range i.Warnings {
		text, own := rephrased[w.Code]
		if !own {
			text = w.Message
		}
		if w.Sample != "" {
			says("sample of "+w.Code, w.Sample)
		}
		for _, column := range w.Columns {
			says("column of "+w.Code, column)
		}
		says("warning "+w.Code, text)
	}
	for _, secret := range []string{"hunter2", "s3cret"} { // passwords of the corpus
		if strings.Contains(shown, secret) {
			t.Errorf("%s: the page shows a password: %s", c.name, shown)
		}
	}
	if i.Failure == nil && i.Valid > 0 {
		says("button", "Import "+humanize.Count(i.Valid, "user", "users"))
	}
}

// rephrased are the warnings that the page tells in words of its own.
var rephrased = map[string]string{
	roster.WarnUnknownColumns: "These columns are not used: ",
	roster.WarnReadAs:         "which was detected automatically.",
	roster.WarnDoubleEncoded:  "text that was encoded twice.",
	roster.WarnLikelyEncoding: "The file seems to be ",
	roster.WarnMixedEncodings: "The rest of the file is fine, so changing the encoding won't help",
}
