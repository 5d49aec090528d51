package tabular_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"rollcall/tabular"
)

// FuzzReader reads anything with tight limits. It must end, keep to the limits,
// number rows upwards, find the same however the file is cut in reads, and find
// the same from any record on.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"", "a,b\n1,2\n", "\uFEFFsep=;\r\na;b\r\n\"1\r2\";3\r", "a,\"b\n\"\"c\",d\n", "a,b\n\"x\ny,z\n",
		"a\n\xff\n\x00\n", strings.Repeat("x", 100) + "\r\n1\n", ",,,,,,,,,\na", "\"a\"b\n\"c\n\"d\n",
		"a,\"\"\"\nb,\"\"\"\n", "\xFF\xFEa\x00\n\x00", " \"a\" , \"b\" \r\r\n", "\x1b$B;3\x1b(B\na", "\x84\x31\xA4\x37\n\xff",
	} {
		for i := range fuzzEncodings {
			f.Add([]byte(seed), uint8(i), uint8(30), uint8(5))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, encoding, maxBytes, maxCells uint8) {
		o := tabular.Options{
			Encoding:       fuzzEncodings[int(encoding)%len(fuzzEncodings)],
			MaxRecordBytes: 1 + int(maxBytes),
			MaxCells:       1 + int(maxCells),
		}
		r, err := tabular.Open(bytes.NewReader(data), o)
		if err != nil {
			var refused *tabular.FileError
			if !errors.As(err, &refused) || err.Error() == "" {
				t.Fatalf("Open: %v", err)
			}
			return
		}
		rows, err := readAll(r)
		if err != nil {
			t.Fatal(err)
		}
		checkRows(t, rows, r.Format())
		cut := mustRead(t, iotest.OneByteReader(bytes.NewReader(data)), o)
		if fmt.Sprint(cut) != fmt.Sprint(rows) {
			t.Fatalf("one byte a read:\n got %v\nwant %v", cut, rows)
		}
		resumeEverywhere(t, data, o, 1+len(rows)/16)
	})
}

var fuzzEncodings = []string{"", "auto", "utf-16", "windows-1252", "gb18030", "shift_jis", "big5", "euc-jp", "euc-kr", "iso-2022-jp"}

func checkRows(t *testing.T, rows []row, f tabular.Format) {
	t.Helper()
	last := row{}
	for _, r := range rows {
		size := 0
		for _, c := range r.cells {
			size += len(c)
			if !utf8.ValidString(c) {
				t.Fatalf("%v: a cell is not valid UTF-8", r)
			}
		}
		switch {
		case r.number <= last.number || r.line <= last.line || r.line < r.number:
			t.Fatalf("%v follows %v", r, last)
		case len(r.cells) > f.MaxCells, r.fault == "" && size > f.MaxRecordBytes:
			t.Fatalf("%v is beyond the limits %+v", r, f)
		}
		last = r
	}
}

// FuzzAgainstEncodingCSV holds the Reader against encoding/csv. Where the
// latter finds a file sound, so must the former, and find the same; and where
// it finds the first record faulty, that must have a fault too.
func FuzzAgainstEncodingCSV(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", "\"a\nb\",\"\"\"\"\n,\n\nc,d", "a\r\nb,\"c\r\nd\"\r\n", "\"a\" b\n", "a\"b\n", "\"a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		// These are read differently on purpose: bare CRs end lines, white
		// space may stand around quotes, ="text" is a quoted cell, marks at the
		// end are nothing, and NULs and bad bytes are faults.
		if !utf8.ValidString(in) || strings.Contains(strings.ReplaceAll(in, "\r\n", "\n"), "\r") ||
			strings.ContainsAny(in, "\x00\x1a \t") || strings.Contains(in, `="`) || strings.LastIndex(in, "\uFEFF") > 0 || strings.HasPrefix(strings.ToLower(in), "sep=") {
			return
		}
		std := csv.NewReader(strings.NewReader(strings.TrimPrefix(in, "\uFEFF")))
		std.FieldsPerRecord = -1
		want, stdErr := std.ReadAll()

		r, err := tabular.Open(strings.NewReader(in), tabular.Options{Delimiter: ",", MaxCells: len(in) + 1}) // encoding/csv has no bounds
		if err != nil {
			return
		}
		rows, err := readAll(r)
		if err != nil {
			t.Fatal(err)
		}
		faulty := slices.IndexFunc(rows, func(r row) bool { return r.fault != "" })
		if (faulty >= 0) != (stdErr != nil) {
			t.Fatalf("%q: got %v, encoding/csv %v", in, rows, stdErr)
		}
		if stdErr != nil {
			return
		}
		want = slices.DeleteFunc(want, blankRecord)
		if len(want) != len(rows) {
			t.Fatalf("%q: got %v, encoding/csv %q", in, rows, want)
		}
		for i, rec := range want {
			got := strings.ReplaceAll(strings.Join(rows[i].cells, "\x00"), "\r\n", "\n") // as encoding/csv does
			if got != strings.Join(rec, "\x00") {
				t.Fatalf("%q: got %v, encoding/csv %q", in, rows[i], rec)
			}
		}
	})
}

// FuzzGuess looks at anything.
func FuzzGuess(f *testing.F) {
	f.Add([]byte("Jos\x8e"))
	f.Fuzz(func(t *testing.T, sample []byte) {
		name := tabular.Guess(sample)
		if err := (tabular.Options{Encoding: name}).Validate(); err != nil && !strings.HasPrefix(name, "utf-32") {
			t.Errorf("%q: %v", name, err)
		}
	})
}

// FuzzWriter writes any two cells and reads them back.
func FuzzWriter(f *testing.F) {
	f.Add("a", "b")
	f.Add(" \"", "\r\n,;")
	f.Fuzz(func(t *testing.T, one, two string) {
		if !utf8.ValidString(one) || !utf8.ValidString(two) || strings.Contains(one+two, "\x00") {
			return
		}
		data := write(t, tabular.WriterOptions{Mark: true}, cells("one", "two"), cells(one, two), cells("last", "row"))
		r, err := tabular.Open(bytes.NewReader(data), tabular.Options{})
		if err != nil {
			return // more control characters than text
		}
		want := []string{"one", "two", one, two, "last", "row"}
		if blankRecord(cells(tabular.EscapeFormula(one), tabular.EscapeFormula(two))) {
			want = []string{"one", "two", "last", "row"}
		}
		var got []string
		for {
			rec, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || rec.Fault != nil {
				t.Fatalf("%q: %v, %+v", data, err, rec)
			}
			for _, cell := range keep(rec).cells {
				got = append(got, tabular.UnescapeFormula(cell))
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q comes back as %q", want, got)
		}
	})
}
