package userfile_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/htmlindex"

	"rollcall/roster"
	"rollcall/userfile"
)

// corpusCase is a small file as people have it, and what is to become of it.
// The corpus is in testdata/corpus, one file a kind; package jobs takes it
// through the database.
type corpusCase struct {
	Name     string                    `json:"name"`
	File     string                    `json:"file"`
	Encode   string                    `json:"encode"` // what to write the file in, "" for UTF-8
	Encoding string                    `json:"encoding"`
	Delim    string                    `json:"delimiter"`
	Mapping  map[string]roster.Headers `json:"mapping"`

	People     []string               `json:"people"` // email|name|role|department
	Refused    map[string]roster.Code `json:"refused"`
	Warnings   map[string]int64       `json:"warnings"` // by code, how many rows
	Suggestion string                 `json:"suggestion"`
	SaysRow    string                 `json:"says_row"` // part of the message of a refused row

	Failure   roster.Code `json:"failure"`
	HeaderRow int64       `json:"header_row"`
	Says      string      `json:"says"` // part of the failure's message
}

func (c corpusCase) options() roster.Options {
	o := roster.Options{Encoding: c.Encoding, Delimiter: c.Delim}
	for column, headers := range c.Mapping {
		if o.Mapping == nil {
			o.Mapping = map[string]string{}
		}
		o.Mapping[column] = string(headers)
	}
	return o
}

func TestCorpus(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/corpus/*.json")
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
			kind := strings.TrimSuffix(filepath.Base(path), ".json")
			t.Run(kind+"/"+c.Name, func(t *testing.T) {
				t.Parallel()
				t.Logf("%s: %s", kind, c.check(t))
			})
		}
	}
}

// check reads the file and compares; it returns a line on what became of it.
func (c corpusCase) check(t *testing.T) string {
	t.Helper()
	file := c.File
	if c.Encode != "" {
		e, err := htmlindex.Get(c.Encode)
		if err != nil {
			t.Fatal(err)
		}
		if file, err = e.NewEncoder().String(file); err != nil {
			t.Fatal(err)
		}
	}
	sheet, err := userfile.Open(strings.NewReader(file), c.options())
	var told *userfile.FileError
	if errors.As(err, &told) {
		if told.Code != c.Failure || told.HeaderRow != c.HeaderRow || !strings.Contains(told.Message, c.Says) {
			t.Errorf("failure %+v, want %s, row %d, %q", told.Failure, c.Failure, c.HeaderRow, c.Says)
		}
		return told.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	if c.Failure != "" {
		t.Errorf("no failure, want %s", c.Failure)
	}
	people, refused := []string{}, map[string]roster.Code{}
	suggestion, said := "", c.SaysRow == ""
	for {
		row, err := sheet.Next()
		if err != nil {
			break
		}
		if len(row.Problems) == 0 {
			p := row.Person
			people = append(people, strings.Join([]string{p.Email, p.Name, string(p.Role), p.Department}, "|"))
			continue
		}
		first := row.Problems[0]
		refused[fmt.Sprint(row.Row)] = first.Code
		suggestion += first.Suggestion
		said = said || strings.Contains(first.Message, c.SaysRow)
	}
	warnings := map[string]int64{}
	for _, w := range sheet.Warnings() {
		if w.Code != roster.WarnUnknownColumns {
			warnings[w.Code] = w.Rows
		}
	}
	want := c
	if want.Refused == nil {
		want.Refused = map[string]roster.Code{}
	}
	if want.Warnings == nil {
		want.Warnings = map[string]int64{}
	}
	for what, diff := range map[string]string{
		"people": cmp.Diff(append([]string{}, want.People...), people), "refused": cmp.Diff(want.Refused, refused),
		"warnings": cmp.Diff(want.Warnings, warnings), "suggestion": cmp.Diff(want.Suggestion, suggestion),
	} {
		if diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	if !said {
		t.Errorf("no row says %q", c.SaysRow)
	}
	codes := make([]string, 0, len(warnings))
	for code := range warnings {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return fmt.Sprintf("%d people, %d refused, %s", len(people), len(refused), strings.Join(codes, " "))
}

// TestNoPersonInFailure: what is told of a file without a header does not repeat
// the person in its place, since it is kept longer than the file.
func TestNoPersonInFailure(t *testing.T) {
	t.Parallel()
	_, err := userfile.Open(strings.NewReader("ann@x.example,Ann Lee\n"), roster.Options{})
	if err == nil || strings.Contains(err.Error(), "ann@") || strings.Contains(err.Error(), "Lee") {
		t.Error(err)
	}
}
