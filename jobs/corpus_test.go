package jobs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/htmlindex"

	"rollcall/jobs/importer"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
)

// corpusCase is a file of package userfile's corpus; see there.
type corpusCase struct {
	Name     string                    `json:"name"`
	File     string                    `json:"file"`
	Encode   string                    `json:"encode"`
	Encoding string                    `json:"encoding"`
	Delim    string                    `json:"delimiter"`
	Mapping  map[string]roster.Headers `json:"mapping"`

	People   []string               `json:"people"`
	Refused  map[string]roster.Code `json:"refused"`
	Warnings map[string]int64       `json:"warnings"`
	Failure  roster.Code            `json:"failure"`
}

// TestCorpus takes each file of the corpus through check, import, reports and
// re-import: the users are those the corpus lists, failed rows fail again, and
// our own reports change no user. It prints one line per file.
func TestCorpus(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
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
			t.Logf("%s/%s: %s", strings.TrimSuffix(filepath.Base(path), ".json"), c.Name, h.through(c))
			h.empty()
		}
	}
}

// through imports a file of the corpus, and then its reports.
func (h *testEnv) through(c corpusCase) string {
	h.Helper()
	file, o := c.File, roster.Options{Encoding: c.Encoding, Delimiter: c.Delim}
	if c.Encode != "" {
		e, err := htmlindex.Get(c.Encode)
		if err != nil {
			h.Fatal(err)
		}
		if file, err = e.NewEncoder().String(file); err != nil {
			h.Fatal(err)
		}
	}
	for column, headers := range c.Mapping {
		if o.Mapping == nil {
			o.Mapping = map[string]string{}
		}
		o.Mapping[column] = string(headers)
	}
	im := h.importer(importer.Config{BatchRows: 2, Slice: time.Nanosecond})
	i := h.run(im, h.upload(file, o).ID)
	if c.Failure != "" {
		if i.Failure == nil || i.Failure.Code != c.Failure {
			h.Errorf("%s: %+v", c.Name, i.Failure)
		}
		return "failed, " + string(c.Failure)
	}
	before := h.everyone()
	want := append([]string{}, c.People...)
	slices.Sort(want)
	if diff := cmp.Diff(want, before); diff != "" || i.Status != roster.Completed {
		h.Errorf("%s is %s, people: %s", c.Name, i.Status, diff)
	}
	refusals, err := h.store.RowErrors(h.Context(), i.ID, 0, 100)
	if err != nil {
		h.Fatal(err)
	}
	refused := map[string]roster.Code{}
	for _, r := range refusals {
		refused[fmt.Sprint(r.Row)] = r.Reason()
	}
	if len(refused) != len(c.Refused) || len(refused) > 0 && !cmp.Equal(refused, c.Refused) {
		h.Errorf("%s refuses %v, want %v", c.Name, refused, c.Refused)
	}
	warned := map[string]int64{}
	for _, w := range i.Warnings {
		if w.Code != roster.WarnUnknownColumns {
			warned[w.Code] = w.Rows
		}
	}
	if len(warned) != len(c.Warnings) || len(warned) > 0 && !cmp.Equal(warned, c.Warnings) {
		h.Errorf("%s warns of %v, want %v", c.Name, warned, c.Warnings)
	}
	h.reimport(c, i, o, before)
	return fmt.Sprintf("%d in, %d refused, %d warnings", i.Imported, i.Counts.Failed, len(i.Warnings))
}

// reimport uploads the reports on an import as they are.
func (h *testEnv) reimport(c corpusCase, i *roster.Import, o roster.Options, before []string) {
	h.Helper()
	reports := report.New(h.store)
	var errors, results bytes.Buffer
	if err := reports.WriteErrors(h.Context(), &errors, i.ID); err != nil {
		h.Fatal(err)
	}
	if err := reports.WriteResults(h.Context(), &results, i.ID); err != nil {
		h.Fatal(err)
	}
	im := h.importer(importer.Config{BatchRows: 2, Slice: time.Nanosecond})
	again := h.run(im, h.upload(errors.String(), roster.Options{Mapping: o.Mapping, OnDuplicate: roster.UpdateDuplicates}).ID)
	if again.Imported+again.Updated > 0 || again.Counts.Failed < i.Counts.Failed {
		h.Errorf("%s: its error report has %d imported, %d updated, %d refused, want %d:\n%s",
			c.Name, again.Imported, again.Updated, again.Counts.Failed, i.Counts.Failed, errors.String())
	}
	h.run(im, h.upload(results.String(), roster.Options{OnDuplicate: roster.UpdateDuplicates}).ID)
	if diff := cmp.Diff(before, h.everyone()); diff != "" {
		h.Errorf("%s: its reports change people: %s", c.Name, diff)
	}
}

// everyone lists all users, sorted by address.
func (h *testEnv) everyone() []string {
	h.Helper()
	users, err := h.store.Users(h.Context(), storage.UserFilter{Limit: 1000})
	if err != nil {
		h.Fatal(err)
	}
	people := make([]string, len(users))
	for i, u := range users {
		people[i] = strings.Join([]string{u.Email, u.Name, string(u.Role), u.Department}, "|")
	}
	slices.Sort(people)
	return people
}

// TestQuoteNeverClosed: a cell of megabytes whose quote is never closed is
// reported at once, and does not count as a million rows.
func TestQuoteNeverClosed(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	for name, file := range map[string]string{
		"short lines": "email,name,notes\nann@x.example,Ann,\"" + strings.Repeat("x\n", 1<<20) + "\"\nbob@x.example,Bob,\n",
		"sentences":   "email,name,notes\nann@x.example,Ann,\"" + strings.Repeat("some text, and more\n", 110_000) + "\"\nbob@x.example,Bob,\n",
	} {
		began := time.Now()
		i := h.run(h.importer(importer.Config{}), h.upload(file, roster.Options{}).ID)
		if i.Failure == nil || i.Failure.Code != roster.MalformedFile || !strings.Contains(i.Failure.Message, "Row 2 opens a quote") {
			t.Errorf("%s: %s, %+v", name, i.Status, i.Failure)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %s", name, took)
		} else {
			t.Logf("%s: %s", name, took)
		}
	}
	good := "email,name,notes\nann@x.example,Ann,\"" + strings.Repeat("x\n", 100) + "\nbob@x.example,Bob,\n" + strings.Repeat("x\n", 900) + "\ncy@x.example,Cy,\n"
	if i := h.run(h.importer(importer.Config{}), h.upload(good, roster.Options{}).ID); i.Imported != 2 {
		t.Errorf("a stray quote before good rows: %s, %d imported", i.Status, i.Imported)
	}
}
