package userfile_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"rollcall/roster"
	"rollcall/userfile"
)

// FuzzSheet: whatever bytes come in, and however they are said to be encoded,
// what is stored has a name with something to see and an address without
// anything hidden, rows are numbered upwards, warnings and refusals are text.
func FuzzSheet(f *testing.F) {
	paths, _ := filepath.Glob("testdata/corpus/*.json")
	for _, path := range paths {
		var cases []corpusCase
		raw, err := os.ReadFile(path)
		if err != nil || json.Unmarshal(raw, &cases) != nil {
			f.Fatal(path, err)
		}
		for _, c := range cases {
			if len(c.File) < 1000 {
				f.Add([]byte(c.File), c.Encoding)
			}
		}
	}
	f.Add([]byte("email,name\na@x.example,Zo\xeb\n"), "auto")
	f.Fuzz(func(t *testing.T, file []byte, encoding string) {
		o := roster.Options{Encoding: encoding}
		if userfile.CheckOptions(o) != nil {
			o.Encoding = "auto"
		}
		sheet, err := userfile.Open(bytes.NewReader(file), o)
		if told := new(userfile.FileError); errors.As(err, &told) {
			if told.Message == "" || told.Fix == "" || !utf8.ValidString(told.Message) {
				t.Errorf("%+v", told)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		last := int64(1)
		for {
			row, err := sheet.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if row.Row <= last && last > 1 {
				t.Errorf("row %d behind row %d", row.Row, last)
			}
			last = row.Row
			stored(t, row)
		}
		for _, w := range sheet.Warnings() {
			if w.Message == "" || !utf8.ValidString(w.Message+w.Sample+strings.Join(w.Columns, "")) {
				t.Errorf("%+v", w)
			}
		}
	})
}

// stored checks what would be stored of a row.
func stored(t *testing.T, row *userfile.Row) {
	t.Helper()
	if len(row.Problems) > 0 {
		for _, p := range row.Problems {
			if p.Message == "" || p.Advice() == "" || !utf8.ValidString(p.Message+p.Suggestion+p.Value) {
				t.Errorf("%+v", p)
			}
		}
		return
	}
	p := row.Person
	if !roster.HasVisible(p.Name) || roster.WithoutHidden(p.Name) != p.Name || strings.TrimSpace(p.Name) != p.Name {
		t.Errorf("the name %q is stored", p.Name)
	}
	if roster.WithoutHidden(p.Email) != p.Email || strings.ContainsAny(p.Email, " <>\"") {
		t.Errorf("the address %q is stored", p.Email)
	}
	if key, err := roster.EmailKey(p.Email); err != nil || key != p.EmailKey {
		t.Errorf("%q has the key %q, %v", p.Email, p.EmailKey, err)
	}
	if p.Role != roster.RoleUser && p.Role != roster.RoleAdmin {
		t.Errorf("role %q", p.Role)
	}
}
