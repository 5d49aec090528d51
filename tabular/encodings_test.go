package tabular_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"rollcall/tabular"
)

// TestLabels: encodings go by the names that people and programs give them.
func TestLabels(t *testing.T) {
	t.Parallel()
	for label, want := range map[string]string{
		"latin-1": "windows-1252", "Latin 1": "windows-1252", "LATIN1": "windows-1252", "ISO 8859-1": "windows-1252", "iso-8859-1": "windows-1252",
		"cp1252": "windows-1252", "win-1252": "windows-1252", "Windows 1252": "windows-1252", "ANSI": "windows-1252", "cp1250": "windows-1250",
		"CP-1254": "windows-1254", "cp874": "windows-874", "cp932": "shift_jis", "windows-932": "shift_jis", "Shift-JIS": "shift_jis", "sjis": "shift_jis",
		"cp949": "euc-kr", "uhc": "euc-kr", "cp936": "gbk", "cp950": "big5", "mac-roman": "macintosh", "MacRoman": "macintosh", "mac": "macintosh",
		"utf-16-le": "utf-16le", "UTF_16_BE": "utf-16be", "utf-8-sig": "utf-8", "UTF8": "utf-8", "utf8_sig": "utf-8", "koi8": "koi8-r",
		"cp437": "ibm437", "IBM850": "ibm850", "cp866": "ibm866", "utf-8-twice": "utf-8-twice", " UTF-8 ": "utf-8", "latin-2": "iso-8859-2",
		"UTF_8": "utf-8", "utf 8": "utf-8", "utf_16_le": "utf-16le", "ISO_8859_1": "windows-1252", "windows_1252": "windows-1252", "shift-jis": "shift_jis",
		"koi8_r": "koi8-r", "euc_kr": "euc-kr", "x_mac_cyrillic": "x-mac-cyrillic", "big5_hkscs": "big5", "GB_18030": "gb18030", "cp_1252": "windows-1252",
	} {
		file := "email,name\r\na@example.com,A\r\n"
		switch want {
		case "utf-16le":
			file = string(encode(t, file, "utf-16le"))
		case "utf-16be":
			file = string(encode(t, file, "utf-16be"))
		}
		reader, err := tabular.Open(strings.NewReader(file), tabular.Options{Encoding: label})
		if err != nil {
			t.Errorf("%s: %v", label, err)
			continue
		}
		if got := reader.Format().Encoding; got != want {
			t.Errorf("%s is %s, want %s", label, got, want)
		}
		if _, err := tabular.Resume(strings.NewReader(file), reader.Format(), tabular.Position{Row: 1, Line: 1}); err != nil {
			t.Errorf("%s, resumed: %v", label, err)
		}
	}
	for _, label := range []string{"latin-99", "cp0", "utf-9", "replacement", "x-user-defined", "auto-1", "ebcdic"} {
		if err := (tabular.Options{Encoding: label}).Validate(); err == nil {
			t.Errorf("%q is an encoding", label)
		}
	}
}

// TestGuessMore: names in the encodings that a list may have, beyond the most
// common.
func TestGuessMore(t *testing.T) {
	t.Parallel()
	for name, encoding := range map[string]string{
		"Ayşe Yılmaz, Gökhan Şahin, Çağrı İnan": "windows-1254",
		"דוד כהן, שרה לוי, משה מזרחי":           "windows-1255",
		"محمد علي, فاطمة حسن":                   "windows-1256",
		"สมชาย ใจดี, สมหญิง รักไทย":             "windows-874",
		"Ľubomír Šťastný, Žofia Ťažká":          "windows-1250",
		"Paweł Wąsik, Stanisław Źrebiec, Śliwa": "iso-8859-2",
		"山田 表, 大橋 ソフィア, ポール 能登":                 "shift_jis",
		"Jiří Dvořák, Přemysl":                  "windows-1250",
		"表":                                     "shift_jis?", "ﾔﾏﾀﾞ ﾀﾛｳ, ｻﾄｳ ﾊﾅｺ": "shift_jis",
		"山田 タロウ, 佐藤 はなこ":              "euc-jp",
		"Иван Петров, Ольга Сидорова": "ibm866",
	} {
		encoding, alone := strings.CutSuffix(encoding, "?")
		if alone {
			continue // one character is not enough to tell
		}
		data := encode(t, "email,name,role\r\na@example.com,\""+name+"\",user\r\n", encoding)
		if got := tabular.Guess(data); got != encoding {
			t.Errorf("%s in %s: got %s", name, encoding, got)
		}
	}
}

// TestGuessOfLanguages: lists in one language each, read in its encoding on
// Windows; where another reads them nearly as well, that is told.
func TestGuessOfLanguages(t *testing.T) {
	t.Parallel()
	for language, c := range map[string]struct{ encoding, names string }{
		"Lithuanian": {"windows-1257", "Jonas Žemaitis,Rūta Šimkutė,Kęstutis Čepėnas,Eglė Jūratė Paukštytė,Žydrūnas Ąžuolas,Gintarė Šakienė,Vytautas Kėdainis,Ąžuolas Įšganytojas,Ūla Grigaitė"},
		"Latvian":    {"windows-1257", "Jānis Bērziņš,Līga Ozoliņa,Kārlis Šķēle,Māra Kļaviņa,Ģirts Ķirsis,Žanete Krūmiņa,Ņikita Āboliņš,Inese Vējiņa,Ēriks Kalniņš"},
		"Polish":     {"windows-1250", "Łukasz Wąsik,Małgorzata Źródło,Paweł Śliwiński,Grażyna Kowalczyk-Żak,Stanisław Błaszczyk,Michał Wójcik,Zofia Jabłońska,Święta Dąbrowska,Józef Ćwik"},
		"Czech":      {"windows-1250", "Jiří Dvořák,Přemysl Černý,Tomáš Novák,Božena Němcová,Ludvík Šťastný,Zdeněk Růžička,Aleš Kříž,Věra Křečková,Ďáblice Řezník"},
		"Hungarian":  {"windows-1250", "Erdős Pál,Szőke Ágnes,Kovács Gergő,Fűzfa Ödön,Sütő Éva"},
		"Romanian":   {"windows-1250", "Ştefan Popescu,Ionuţ Călin,Maria Ţurcanu,Rareş Brânză"},
		"Croatian":   {"windows-1250", "Željko Šimić,Đorđe Čović,Marija Babić,Krešimir Jurišić"},
		"Turkish":    {"windows-1254", "Ayşe Yılmaz,Gökhan Şahin,Çağrı İnan,Işık Doğan,Müge Öztürk,Uğur Çelik"},
		"Greek":      {"windows-1253", "Γιώργος Παπαδόπουλος,Μαρία Οικονόμου,Άννα Αγγελοπούλου,Έλενα Ωραιοπούλου"},
		"Russian":    {"windows-1251", "Иван Петров,Мария Сидорова,Ольга Щербакова,Юрий Ёлкин"},
		"Hebrew":     {"windows-1255", "דוד כהן,שרה לוי,משה מזרחי,רחל אברהם"},
		"Arabic":     {"windows-1256", "محمد علي,فاطمة حسن,يوسف إبراهيم,ليلى منصور"},
		"Thai":       {"windows-874", "สมชาย ใจดี,สมหญิง รักไทย,วิชัย ศรีสุข"},
		"Icelandic":  {"windows-1252", "Guðrún Þórðardóttir,Jón Sigurðsson,Sigríður Ýr,Þór Ægisson"},
		"Estonian":   {"windows-1257", "Jüri Põder,Õie Mägi,Tõnu Šmidt,Žanna Kõrv"},
		"Western":    {"windows-1252", "José Núñez,Müller,Göteborg,François Lefèvre,Zoë,Søren Ødegård,Ångström,João Gonçalves,Weiß,Élodie"},
	} {
		names := strings.Split(c.names, ",")
		wrong := 0
		for _, list := range append([][]string{names}, split(names, 1)...) {
			data := encode(t, "email,name,role\r\na@example.com,"+strings.Join(list, ",user\r\nb@example.com,")+",user\r\n", c.encoding)
			if utf8.Valid(data) {
				continue
			}
			got, near := tabular.GuessAndNear(data)
			if got == c.encoding || near == c.encoding {
				continue
			}
			read, err := tabular.Open(strings.NewReader(string(data)), tabular.Options{Encoding: got})
			if err != nil {
				t.Fatal(err)
			}
			var text []string
			for {
				record, err := read.Next()
				if err != nil {
					break
				}
				text = append(text, string(record.Cells[1]))
			}
			if strings.Join(text[1:], ",") == strings.Join(list, ",") {
				continue // another encoding with these letters
			}
			if wrong++; len(list) > 1 {
				t.Errorf("%s in %s: got %s, near %q", language, c.encoding, got, near)
			}
			t.Logf("%s: %s is read as %s by %s, near %q", language, list, text[1:], got, near)
		}
		if 3*wrong > len(names) {
			t.Errorf("%s: %d of %d names alone are read wrong without a word", language, wrong, len(names))
		}
	}
}

func split(list []string, size int) (parts [][]string) {
	for i := 0; i < len(list); i += size {
		parts = append(parts, list[i:min(i+size, len(list))])
	}
	return parts
}

// TestGuessOfDOS: names in the code pages of MS-DOS.
func TestGuessOfDOS(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"M\x81ller, Gro\xe1, J\x94rg": "ibm850 ibm437", "Ra\xa3l N\xa3\xa4ez": "ibm850 ibm437"} {
		if got := tabular.Guess([]byte("email,name\na@example.com,\"" + text + "\"\n")); !strings.Contains(want, got) {
			t.Errorf("%q: got %s", text, got)
		}
	}
}

// TestLoneSigns: one sign between plain text does not make a file Polish.
func TestLoneSigns(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"budget £100", "a £ sign", "£", "at 20°C", "20 °", "Col·lell", "a · b", "§ 5", "© Acme"} {
		data := encode(t, "email,name,note\r\na@example.com,Ann,"+text+"\r\n", "windows-1252")
		if got := tabular.Guess(data); got != "windows-1252" {
			t.Errorf("%q: got %s", text, got)
		}
	}
}

// TestDoubt: where two encodings are as likely, none is advised.
func TestDoubt(t *testing.T) {
	t.Parallel()
	for text, sure := range map[string]bool{"Zo\xeb M\xfcller": true, "S\xf8ren Holm": true, "Mu\xf1oz": true, "Jo\xe3o": true, "x\xd7y\xf7": false} {
		if got := tabular.SureGuess([]byte("email,name\na@example.com," + text + "\n")); (got != "") != sure {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// TestReadTwice: text that became UTF-8 twice is read as it was, and other text
// as it is.
func TestReadTwice(t *testing.T) {
	t.Parallel()
	const text = "email,name\na@example.com,Renée Müller €ß“é”\nb@example.com,Ånger 李雷 😀 Ý\n"
	var doubled []rune
	for _, b := range []byte(text) {
		r := charmap.Windows1252.DecodeByte(b)
		if r == '\ufffd' {
			r = rune(b)
		}
		doubled = append(doubled, r)
	}
	twice := string(doubled)
	for what, file := range map[string]string{"twice": twice, "once": text, "with a mark": "\ufeff" + twice} {
		var got []string
		for _, r := range mustRead(t, strings.NewReader(file), tabular.Options{Encoding: "utf-8-twice"}) {
			got = append(got, strings.Join(r.cells, ","))
		}
		if strings.Join(got, "\n")+"\n" != text {
			t.Errorf("%s: %q", what, got)
		}
	}
	for s, want := range map[string]string{"RenÃ©e MÃ¼ller": "Renée Müller", "Renée": "Renée", "Ã": "Ã", "Ã©Ã": "éÃ", "naïve": "naïve", "Â°": "°", "": ""} {
		got, changed := tabular.RepairDoubled(s)
		if got != want || changed != (s != want) {
			t.Errorf("RepairDoubled(%q) = %q, %v", s, got, changed)
		}
	}
}
