package tabular

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// TestParseSimple requires that the shortcut for simple records gives the same
// result as the full parser, and that it recognizes plain records.
func TestParseSimple(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "B", "7", " ", "-", "~", "+", ",", ";", "\t", "|", "grace@example.com", "Ada Lovelace"}
	special := []string{"\"", "'", "`", "\r", "\x00", "\x01", "\x1f", "\x7f", "\x80", "\xff", "é", "\u00a0", "“", "\uFEFF", ",,,,,,,,", "\n"}
	simple := 0
	for range 50_000 {
		var b strings.Builder
		for range random.IntN(12) {
			if random.IntN(12) == 0 {
				b.WriteString(special[random.IntN(len(special))])
			} else {
				b.WriteString(pieces[random.IntN(len(pieces))])
			}
		}
		b.WriteString([]string{"\n", "\r\n", "\r", "", "\nnext,\"row\"\n"}[random.IntN(5)])
		if checkSimple(t, b.String(), delimiters[random.IntN(len(delimiters))]) {
			simple++
		}
	}
	if simple < 20_000 {
		t.Errorf("only %d records were simple", simple)
	}
}

// TestPlainBytes tests each byte at each place of a word.
func TestPlainBytes(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		for at := range 8 {
			text := []byte("abcdefgh,\n")
			text[at] = byte(c)
			checkSimple(t, string(text), ',')
		}
	}
}

func FuzzParseSimple(f *testing.F) {
	for _, text := range []string{"a,b\n", "a,b\r\n", "a\rb\n", "o'brien,a\n", "\"a\",b\n", "\x00,\xff\n", ",-,-,-,-,-\n", "a,b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { checkSimple(t, text, ',') })
}

// checkSimple reports whether the text begins with a simple record.
func checkSimple(t *testing.T, text string, delim byte) bool {
	t.Helper()
	read := func(parse func(r *Reader) (extent, bool)) (extent, bool, *Reader) {
		r := &Reader{format: Format{Encoding: encodingUTF8, Delimiter: string(delim), MaxRecordBytes: 100, MaxCells: 9}, delim: delim}
		r.buf, r.end = []byte(text), len(text)
		e, ok := parse(r)
		return e, ok, r
	}
	e, ok, quick := read(func(r *Reader) (extent, bool) { return r.parseSimple(r.buf) })
	if !ok {
		return false
	}
	want, sure, full := read(func(r *Reader) (extent, bool) { return r.parseAny(r.buf, true) })
	plain := !bytes.ContainsFunc(bytes.Join(quick.cells, nil), func(c rune) bool { return c < ' ' || c >= 0x7F || strings.ContainsRune("\"'`", c) })
	if e.plain != plain {
		t.Errorf("%q: plain = %v, want %v", text, e.plain, plain)
	}
	e.plain = false
	if !sure || e != want || !reflect.DeepEqual(quick.cells, full.cells) || quick.genuine != full.genuine || !bytes.Equal(quick.invalidSample, full.invalidSample) {
		t.Errorf("%q with %q: read as %+v %q (genuine %v), want %+v %q (genuine %v)", text, delim, e, quick.cells, quick.genuine, want, full.cells, full.genuine)
	}
	return true
}
