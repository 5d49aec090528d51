package tabular_test

import (
	"bytes"
	"testing"
	"testing/iotest"

	"rollcall/tabular"
)

// TestFaultyBytes shows that what is not valid in an encoding is a fault of
// its row, and that a genuine U+FFFD is not.
func TestFaultyBytes(t *testing.T) {
	t.Parallel()
	utf16le := func(units ...uint16) string {
		var b []byte
		for _, u := range units {
			b = append(b, byte(u), byte(u>>8))
		}
		return string(b)
	}
	for name, test := range map[string]struct {
		encoding string
		in       string
		sound    bool
		want     string // second row
	}{
		"utf-16 genuine U+FFFD":        {"utf-16le", utf16le('a', '\n', 0xFFFD), true, "\uFFFD"},
		"utf-16 pair":                  {"utf-16le", utf16le('a', '\n', 0xD83D, 0xDE00), true, "😀"},
		"utf-16 high surrogate alone":  {"utf-16le", utf16le('a', '\n', 0xD83D, 'b'), false, "\uFFFDb"},
		"utf-16 low surrogate alone":   {"utf-16le", utf16le('a', '\n', 0xDE00, 'b'), false, "\uFFFDb"},
		"utf-16 surrogate at the end":  {"utf-16le", utf16le('a', '\n', 'b', 0xD83D), false, "b\uFFFD"},
		"utf-16 odd byte at the end":   {"utf-16le", utf16le('a', '\n', 'b') + "c", false, "b\uFFFD"},
		"gb18030 genuine U+FFFD":       {"gb18030", "a\n\x84\x31\xA4\x37", true, "\uFFFD"},
		"gb18030 bad byte":             {"gb18030", "a\nb\xFFc", false, "b\uFFFDc"},
		"gb18030 both":                 {"gb18030", "a\n\x84\x31\xA4\x37b\xFFc\x84\x31\xA4\x37", false, "\uFFFDb\uFFFDc\uFFFD"},
		"windows-1253 undefined":       {"windows-1253", "a\nb\xAAc", false, "b\uFFFDc"},
		"windows-1252 has no such":     {"windows-1252", "a\n\x80\x9F\xFF", true, "€Ÿÿ"},
		"shift_jis lead without trail": {"shift_jis", "a\nb\x82", false, "b\uFFFD"},
		"iso-2022-jp high byte":        {"iso-2022-jp", "a\nb\x82", false, "b\uFFFD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := mustRead(t, iotest.OneByteReader(bytes.NewReader([]byte(test.in))),
				tabular.Options{Encoding: test.encoding, Delimiter: ","})
			want := row{number: 2, line: 2, cells: cells(test.want)}
			if !test.sound {
				want.fault = tabular.FaultEncoding
			}
			compare(t, got, []row{{number: 1, line: 1, cells: cells("a")}, want})
		})
	}
}
