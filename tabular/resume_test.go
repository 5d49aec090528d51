package tabular_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"

	"rollcall/tabular"
)

// encode writes s in the encoding with that WHATWG name.
func encode(t testing.TB, s, name string) []byte {
	t.Helper()
	enc, err := htmlindex.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := enc.NewEncoder().Bytes([]byte(s))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}

// resumeEverywhere reads a file once and then again from the start and the end
// of every n-th record, which must give just the records that follow.
func resumeEverywhere(t testing.TB, data []byte, o tabular.Options, n int) {
	t.Helper()
	r, err := tabular.Open(bytes.NewReader(data), o)
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	var starts, ends []tabular.Position
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		rows, starts, ends = append(rows, keep(rec)), append(starts, rec.Start), append(ends, rec.End)
	}
	for i := 0; i < len(rows); i += n {
		expectRest(t, data, r.Format(), starts[i], rows[i:])
		expectRest(t, data, r.Format(), ends[i], rows[i+1:])
	}
}

func expectRest(t testing.TB, data []byte, f tabular.Format, at tabular.Position, want []row) {
	t.Helper()
	if at.Offset > int64(len(data)) {
		t.Fatalf("position %+v lies behind the file's %d bytes", at, len(data))
	}
	r, err := tabular.Resume(bytes.NewReader(data[at.Offset:]), f, at)
	if err != nil {
		t.Fatalf("Resume at %+v: %v", at, err)
	}
	got, err := readAll(r)
	if err != nil {
		t.Fatalf("after Resume at %+v: %v", at, err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("after Resume at %+v:\n got %.400v\nwant %.400v", at, got, want)
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("sep=;\r\nemail;name;\"a\nb\"\r\n\n")
	for i := range 1500 {
		switch i % 50 {
		case 10:
			b.WriteString("x;\"open\n")
		case 20:
			b.WriteString("x;st\"ray\r")
		case 30:
			b.WriteString(";;\r\n")
		case 40:
			b.WriteString("x;\"a \"\"quoted\"\"\r\ncell\"\r\n")
		default:
			fmt.Fprintf(&b, "p%d@example.com;%s;%d\r\n", i, "LATIN", i)
		}
	}
	for name, latin := range map[string]string{
		"utf-8": "Zoë Łuk 山田 😀", "windows-1252": "Zoë Müller", "macintosh": "Zoë Müller",
		"utf-16le": "Zoë Łuk 山田 😀", "utf-16be": "Zoë Łuk 山田 😀", "gb18030": "山田 Zoë \uFFFD 😀", "gbk": "王小明",
		"big5": "王小明", "shift_jis": "山田 ﾀﾛｳ", "euc-jp": "山田", "euc-kr": "김민준", "iso-2022-jp": "山田太郎",
		"windows-1251": "Иван",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := encode(t, strings.ReplaceAll(b.String(), "LATIN", latin), name)
			resumeEverywhere(t, data, tabular.Options{Encoding: name}, 97)
			got := mustRead(t, bytes.NewReader(data), tabular.Options{Encoding: name})
			if c := got[len(got)-1].cells[1]; c != latin {
				t.Errorf("the last name is %q", c)
			}
		})
	}
}

// TestResumeMark shows that offsets count the byte order mark.
func TestResumeMark(t *testing.T) {
	t.Parallel()
	for _, enc := range []encoding.Encoding{unicode.UTF8BOM,
		unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), unicode.UTF16(unicode.BigEndian, unicode.UseBOM)} {
		data, err := enc.NewEncoder().Bytes([]byte("a,b\n1,2\n3,4\n"))
		if err != nil {
			t.Fatal(err)
		}
		resumeEverywhere(t, data, tabular.Options{Encoding: "auto"}, 1)
	}
}

// TestPositionUTF8 shows that in UTF-8 a position is the place itself.
func TestPositionUTF8(t *testing.T) {
	t.Parallel()
	r, err := tabular.Open(strings.NewReader("\uFEFFa,é\r\n\r\n\"1\n\",2\n"), tabular.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][2]tabular.Position{
		{{Row: 1, Line: 1, Offset: 3}, {Row: 2, Line: 2, Offset: 9}},
		{{Row: 3, Line: 3, Offset: 11}, {Row: 4, Line: 5, Offset: 18}},
	} {
		rec, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]tabular.Position{rec.Start, rec.End}; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// TestFormatJSON shows that format and position can be stored.
func TestFormatJSON(t *testing.T) {
	t.Parallel()
	data := encode(t, "a\tb\n1\t2\n", "windows-1252")
	r, err := tabular.Open(bytes.NewReader(data), tabular.Options{Encoding: "latin1"})
	if err != nil {
		t.Fatal(err)
	}
	rec, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	stored, err := json.Marshal(struct {
		Format tabular.Format
		At     tabular.Position
	}{r.Format(), rec.End})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"Format":{"encoding":"windows-1252","delimiter":"\t","max_record_bytes":1048576,"max_cells":1000},` +
		`"At":{"row":2,"line":2,"offset":0,"skip":4}}`
	if string(stored) != want {
		t.Errorf("got %s\nwant %s", stored, want)
	}
}

func TestResumeRefused(t *testing.T) {
	t.Parallel()
	good := tabular.Format{Encoding: "utf-8", Delimiter: ","}
	first := tabular.Position{Row: 1, Line: 1}
	for name, test := range map[string]struct {
		format tabular.Format
		at     tabular.Position
		want   error
	}{
		"no position":       {good, tabular.Position{}, tabular.ErrInvalidPosition},
		"negative offset":   {good, tabular.Position{Row: 1, Line: 1, Offset: -1}, tabular.ErrInvalidPosition},
		"beyond the text":   {good, tabular.Position{Row: 1, Line: 1, Skip: 100}, tabular.ErrInvalidPosition},
		"no encoding":       {tabular.Format{Delimiter: ","}, first, tabular.ErrUnknownEncoding},
		"unknown encoding":  {tabular.Format{Encoding: "utf-32le", Delimiter: ","}, first, tabular.ErrUnknownEncoding},
		"unknown delimiter": {tabular.Format{Encoding: "utf-8", Delimiter: ":"}, first, tabular.ErrUnknownDelimiter},
		"negative limit":    {tabular.Format{Encoding: "utf-8", Delimiter: ",", MaxCells: -1}, first, tabular.ErrInvalidLimit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := tabular.Resume(strings.NewReader("a,b\n"), test.format, test.at); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}
