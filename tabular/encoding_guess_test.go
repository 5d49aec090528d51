package tabular_test

import (
	"testing"

	"rollcall/tabular"
)

// TestGuess reads names as people have them in each encoding, in a roster that
// is otherwise ASCII, and some of them alone.
func TestGuess(t *testing.T) {
	t.Parallel()
	western := []string{"José Núñez", "Müller", "Göteborg", "François Lefèvre", "Zoë", "Søren Ødegård",
		"Ångström", "João Gonçalves", "Weiß", "Élodie", "MÜLLER", "Übel"}
	for _, name := range western {
		for _, encoding := range []string{"windows-1252", "macintosh"} {
			expectGuess(t, name, encoding)
		}
	}
	for name, encoding := range map[string]string{
		"Sean O’Brien": "windows-1252", "Women’s Health": "windows-1252", "“Grace”": "windows-1252",
		"Łukasz Wąsik": "windows-1250", "Małgorzata": "windows-1250",
		"Иван Петров, Мария Сидорова": "windows-1251", "Александр": "koi8-r",
		"Γιώργος Παπαδόπουλος": "windows-1253",
		"やまだ 太郎、サトウ":           "shift_jis", "やまだ たろう": "euc-jp", "山田太郎": "iso-2022-jp",
		"王小明 李丽 张伟": "gb18030", "김민준 이서연": "euc-kr", "陳大文 李小龍 黃國強": "big5",
		"Zoë Müller": "utf-8", "ASCII": "utf-8", "Zoë": "utf-16le", "Ada": "utf-16be",
	} {
		expectGuess(t, name, encoding)
	}
}

func expectGuess(t *testing.T, name, encoding string) {
	t.Helper()
	data := encode(t, "email,name,role\r\na@example.com,"+name+",user\r\n", encoding)
	if encoding == "utf-8" || encoding == "iso-2022-jp" {
		data = encode(t, name, encoding)
	}
	if got := tabular.Guess(data); got != encoding {
		t.Errorf("%s in %s: got %s", name, encoding, got)
	}
}

func TestGuessMark(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"\xFF\xFEa\x00": "utf-16le", "\xFE\xFF\x00a": "utf-16be", "\uFEFFa": "utf-8",
		"\xFF\xFE\x00\x00": "utf-32le", "\x00\x00\xFE\xFF": "utf-32be",
		"a\xe2\x82":                  "utf-8", // cut within a character
		"\x00\x00\x00a\x00\x00\x00,": "utf-32be", "a\x00\x00\x00,\x00\x00\x00": "utf-32le",
		"": "utf-8",
	} {
		if got := tabular.Guess([]byte(in)); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}
