package tabular_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rollcall/tabular"
)

func write(t interface{ Fatal(...any) }, o tabular.WriterOptions, records ...[]string) []byte {
	var b bytes.Buffer
	w := tabular.NewWriter(&b, o)
	for _, rec := range records {
		if err := w.Write(rec...); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWriter(t *testing.T) {
	t.Parallel()
	got := write(t, tabular.WriterOptions{Mark: true},
		cells("email", "full name", `say "hi"`),
		cells("a;b", "a,b", "a\tb", "a|b", "a\nb", "a\rb"),
		cells(" a", "a ", "\u00a0a", "'=1", "=1", "a\x00b", "", "é"),
		cells(""), cells("", ""), cells(`"`))
	const want = "\uFEFFemail,full name,\"say \"\"hi\"\"\"\r\n" +
		"\"a;b\",\"a,b\",\"a\tb\",\"a|b\",\"a\nb\",\"a\rb\"\r\n" +
		"\" a\",\"a \",\"\u00a0a\",''=1,'=1,a\uFFFDb,,é\r\n" +
		"\"\"\r\n,\r\n\"\"\"\"\r\n"
	if string(got) != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := write(t, tabular.WriterOptions{Mark: true}); string(got) != "\uFEFF" {
		t.Errorf("no records: got %q", got)
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestWriterError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	w := tabular.NewWriter(brokenWriter{broken}, tabular.WriterOptions{})
	if err := w.Write(strings.Repeat("x", 100_000)); !errors.Is(err, broken) {
		t.Errorf("Write: %v", err)
	}
	if err := w.Write("x"); !errors.Is(err, broken) {
		t.Errorf("Write again: %v", err)
	}
	if err := w.Flush(); !errors.Is(err, broken) {
		t.Errorf("Flush: %v", err)
	}
}

// TestRoundTrip writes any records and reads them back, with the delimiter
// found and with this package and encoding/csv alike.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	cell := rapid.StringOf(rapid.SampledFrom([]rune("aé,;|\t\"\n \u00a0'=1")))
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(1, 4).Draw(t, "width")
		header := cells("email", "name", "role", "x,y")[:width]
		body := rapid.SliceOf(rapid.SliceOfN(cell, width, width)).Draw(t, "body")
		records := append([][]string{header}, body...)
		data := write(t, tabular.WriterOptions{}, records...)

		for _, rec := range records { // as they come back, which Unguard undoes
			for i := range rec {
				rec[i] = tabular.EscapeFormula(rec[i])
			}
		}
		std, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(std, records, slices.Equal) {
			t.Fatalf("encoding/csv reads %q back as %q", records, std)
		}
		r, err := tabular.Open(bytes.NewReader(data), tabular.Options{})
		if err != nil {
			t.Fatal(err)
		}
		rows, err := readAll(r)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.DeleteFunc(slices.Clone(records), blankRecord)
		if !slices.EqualFunc(rows, want, func(got row, want []string) bool {
			return got.fault == "" && slices.Equal(got.cells, want)
		}) {
			t.Fatalf("%q come back as %v, delimiter %q", want, rows, r.Format().Delimiter)
		}
	})
}

func blankRecord(rec []string) bool {
	return !slices.ContainsFunc(rec, func(c string) bool { return strings.TrimSpace(c) != "" })
}
