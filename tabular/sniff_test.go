package tabular_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/text/encoding/unicode/utf32"

	"rollcall/tabular"
)

const people = "email,name\nzoe@example.com,Zoë\n"

// TestEncoding shows which encoding a file is read in, or why it is not.
func TestEncoding(t *testing.T) {
	t.Parallel()
	utf16 := func(mark, name string) []byte { return append([]byte(mark), encode(t, people, name)...) }
	utf32le, err := utf32.UTF32(utf32.LittleEndian, utf32.UseBOM).NewEncoder().Bytes([]byte(people))
	if err != nil {
		t.Fatal(err)
	}
	utf32be, err := utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM).NewEncoder().Bytes([]byte(people))
	if err != nil {
		t.Fatal(err)
	}
	marked := append([]byte("\uFEFF"), people...)
	le, be := utf16("\xFF\xFE", "utf-16le"), utf16("\xFE\xFF", "utf-16be")
	bareLE, bareBE := utf16("", "utf-16le"), utf16("", "utf-16be")
	latin := encode(t, people, "windows-1252")
	latinHeader := encode(t, "e-mail,prénom,ville\n", "windows-1252")
	for name, test := range map[string]struct {
		in       []byte
		declared string
		want     string // the encoding it is read in, or
		likely   string // the one it seems to be in
	}{
		"nothing declared":                    {[]byte(people), "", "utf-8", ""},
		"nothing declared, mark":              {marked, "", "utf-8", ""},
		"nothing declared, UTF-16LE":          {le, "", "", "utf-16le"},
		"nothing declared, UTF-16BE":          {be, "", "", "utf-16be"},
		"nothing declared, bare UTF-16LE":     {bareLE, "", "", "utf-16le"},
		"nothing declared, bare UTF-16BE":     {bareBE, "", "", "utf-16be"},
		"nothing declared, UTF-32":            {utf32le, "", "", "utf-32le"},
		"nothing declared, bare UTF-32":       {utf32be, "", "", "utf-32be"},
		"nothing declared, latin row":         {latin, "", "utf-8", ""},
		"nothing declared, latin header":      {latinHeader, "", "", "windows-1252"},
		"nothing declared, mac header":        {encode(t, "e-mail,prénom,ville\n", "macintosh"), "", "", "macintosh"},
		"nothing declared, ISO-2022-JP":       {encode(t, "email,name\na@example.com,山田\n", "iso-2022-jp"), "", "", "iso-2022-jp"},
		"utf-16, LE mark":                     {le, "utf-16", "utf-16le", ""},
		"utf-16, BE mark":                     {be, "UTF-16", "utf-16be", ""},
		"utf-16, bare LE":                     {bareLE, "utf-16", "utf-16le", ""},
		"utf-16, bare BE":                     {bareBE, "utf-16", "utf-16be", ""},
		"utf-16, mostly not ASCII LE":         {encode(t, "名,姓名姓名姓名\n山田山田,太郎太郎\n", "utf-16le"), "utf-16", "utf-16le", ""},
		"utf-16, mostly not ASCII BE":         {encode(t, "名,姓名姓名姓名\n山田山田,太郎太郎\n", "utf-16be"), "utf-16", "utf-16be", ""},
		"utf-16, but UTF-8":                   {[]byte(people), "utf-16", "", "utf-8"},
		"utf-16, but UTF-8 with mark":         {marked, "utf-16", "", "utf-8"},
		"utf-16, but latin":                   {latin, "utf-16", "", "windows-1252"},
		"utf-16, but UTF-32":                  {utf32le, "utf-16", "", "utf-32le"},
		"utf-16le":                            {le, "utf-16le", "utf-16le", ""},
		"utf-16le, bare":                      {bareLE, "utf-16le", "utf-16le", ""},
		"utf-16le, but BE":                    {be, "utf-16le", "", "utf-16be"},
		"utf-16le, but bare BE":               {bareBE, "utf-16le", "", "utf-16be"},
		"utf-16be":                            {bareBE, "utf-16be", "utf-16be", ""},
		"windows-1252":                        {latin, "cp1252", "windows-1252", ""},
		"iso-8859-1 is windows-1252":          {latin, "iso-8859-1", "windows-1252", ""},
		"windows-1252, but UTF-8 with mark":   {marked, "windows-1252", "", "utf-8"},
		"windows-1252, but UTF-16":            {bareLE, "windows-1252", "", "utf-16le"},
		"auto, ASCII":                         {[]byte("a,b\n"), "auto", "utf-8", ""},
		"auto, UTF-8":                         {[]byte(people), "auto", "utf-8", ""},
		"auto, mark":                          {marked, "AUTO", "utf-8", ""},
		"auto, UTF-16LE":                      {le, "auto", "utf-16le", ""},
		"auto, bare UTF-16BE":                 {bareBE, "auto", "utf-16be", ""},
		"auto, UTF-32":                        {utf32be, "auto", "", "utf-32be"},
		"auto, latin":                         {latin, "auto", "windows-1252", ""},
		"auto, a character cut by the sample": {[]byte("ab\n" + strings.Repeat("é", 40<<10)), "auto", "utf-8", ""},
		"a few NULs":                          {[]byte("email,name\na\x00@example.com,\x00\n"), "", "utf-8", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := tabular.Open(bytes.NewReader(test.in), tabular.Options{Encoding: test.declared})
			var refused *tabular.FileError
			switch {
			case err == nil:
				if got := r.Format().Encoding; got != test.want {
					t.Errorf("read as %q, want %q, likely %q", got, test.want, test.likely)
				}
			case !errors.As(err, &refused):
				t.Error(err)
			case refused.Kind != tabular.FileEncoding || refused.Likely != test.likely:
				t.Errorf("got %+v, want likely %q", refused, test.likely)
			case !strings.Contains(err.Error(), test.likely):
				t.Errorf("message %q does not name %s", err, test.likely)
			}
		})
	}
}

func TestFileErrorAdvice(t *testing.T) {
	t.Parallel()
	for likely, want := range map[string]string{
		"macintosh": "The file is not valid utf-8 text; it looks like macintosh. Save it as CSV UTF-8 or declare its encoding as macintosh.",
		"utf-32le":  "The file looks like utf-32le, which cannot be read. Save it as CSV UTF-8.",
		"":          "The file is not valid utf-8 text. Save it as CSV UTF-8.",
	} {
		err := &tabular.FileError{Kind: tabular.FileEncoding, Declared: "utf-8", Likely: likely}
		if err.Error() != want {
			t.Errorf("likely %q:\n got %q\nwant %q", likely, err, want)
		}
	}
}

// TestEncodingNoneLikelier has a header that is not valid in an encoding that
// is still the likeliest.
func TestEncodingNoneLikelier(t *testing.T) {
	t.Parallel()
	in := "\xFF\n" + string(encode(t, "王小明 李丽 张伟", "gb18030"))
	_, err := tabular.Open(strings.NewReader(in), tabular.Options{Encoding: "gb18030"})
	var refused *tabular.FileError
	if !errors.As(err, &refused) || refused.Kind != tabular.FileEncoding || refused.Likely != "" {
		t.Errorf("got %+v", err)
	}
}

func TestLikelyEncoding(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"windows-1252", "macintosh", "windows-1251"} {
		name := "José Müller"
		if encoding == "windows-1251" {
			name = "Иван Петров"
		}
		in := "email,name\n" + strings.Repeat("a@example.com,"+string(encode(t, name, encoding))+"\n", 1000)
		r, err := tabular.Open(strings.NewReader(in), tabular.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.LikelyEncoding(); got != "" {
			t.Errorf("before anything is read: %q", got)
		}
		if _, err := readAll(r); err != nil {
			t.Fatal(err)
		}
		if got := r.LikelyEncoding(); got != encoding {
			t.Errorf("got %q, want %q", got, encoding)
		}
	}
}

// TestMixed has files of which some records are UTF-8 beyond doubt.
func TestMixed(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"\ufeffname\nZo\xeb\n":            true,
		"name\nZo\xeb\nSøren\n":           true,
		"name\nSøren\nZo\xeb\n":           true,
		"name\n\"Søren\nHolm\"\nZo\xeb\n": true,
		"näme\nZo\xeb\n":                  true,
		"name\nZo\xeb\nAda\n":             false,
		"\ufeffname\nSøren\nZoë\n":        false,
	} {
		r, err := tabular.Open(strings.NewReader(in), tabular.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readAll(r); err != nil {
			t.Fatal(err)
		}
		if r.Mixed() != want || want && r.LikelyEncoding() != "" {
			t.Errorf("%q: mixed %v, likely %q", in, r.Mixed(), r.LikelyEncoding())
		}
	}
}

func TestEmptyFile(t *testing.T) {
	t.Parallel()
	for in, encoding := range map[string]string{
		"": "", "\uFEFF": "", " \n\r\n\t": "", "\uFEFF \n": "utf-8", "\u00a0\n": "",
		"\n": "utf-16", "\xFF\xFE": "utf-16", "\xFE\xFF\x00\n": "auto", " ": "windows-1252",
	} {
		_, err := tabular.Open(strings.NewReader(in), tabular.Options{Encoding: encoding})
		var refused *tabular.FileError
		if !errors.As(err, &refused) || refused.Kind != tabular.FileEmpty {
			t.Errorf("%q in %q: %v", in, encoding, err)
		}
	}
}

func TestForeignFile(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"PK\x03\x04\x14\x00[Content_Types].xml":                            ".xlsx",
		"PK\x03\x04\x14\x00xl/workbook.xml":                                ".xlsx",
		"PK\x03\x04\x14\x00word/document.xml":                              ".docx",
		"PK\x03\x04mimetypeapplication/vnd.oasis.opendocument.spreadsheet": ".ods",
		"PK\x03\x04Index/Document.iwa":                                     "Numbers",
		"PK\x03\x04users.csv":                                              "ZIP",
		"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1\x00\x00":                         ".xls",
		"%PDF-1.7\n":                          "PDF",
		"\x1F\x8B\x08\x00":                    "gzip",
		"\x89PNG\r\n\x1A\n":                   "PNG",
		"\xFF\xD8\xFF\xE0":                    "JPEG",
		"\uFEFF\n<!DOCTYPE html><html>":       "HTML",
		"  <HTML><table>":                     "HTML",
		"<?xml version=\"1.0\"?>":             "XML",
		"[{\"email\": \"a@example.com\"}]":    "JSON",
		"BEGIN:VCARD\n":                       "vCard",
		"\x01\x02\x03\x04a\x05\x06\x07\x08\n": "not a text file",
		"sep=:\na:b\n":                        "sep=",
	} {
		_, err := tabular.Open(strings.NewReader(in), tabular.Options{})
		var refused *tabular.FileError
		if !errors.As(err, &refused) || refused.Kind != tabular.FileMalformed || !strings.Contains(refused.Reason, want) {
			t.Errorf("%q: got %v, want %s", in, err, want)
		}
	}
	html := encode(t, "<html><body><table>", "utf-16le")
	if _, err := tabular.Open(bytes.NewReader(html), tabular.Options{Encoding: "utf-16"}); err == nil || !strings.Contains(err.Error(), "HTML") {
		t.Errorf("HTML in UTF-16: %v", err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		opts tabular.Options
		want error
	}{
		"zero":                {tabular.Options{}, nil},
		"label":               {tabular.Options{Encoding: " Latin1 "}, nil},
		"utf-16":              {tabular.Options{Encoding: "utf-16"}, nil},
		"auto":                {tabular.Options{Encoding: "auto"}, nil},
		"delimiters":          {tabular.Options{Delimiter: "\t"}, nil},
		"named delimiter":     {tabular.Options{Delimiter: "Semicolon"}, nil},
		"no such encoding":    {tabular.Options{Encoding: "klingon"}, tabular.ErrUnknownEncoding},
		"not for text":        {tabular.Options{Encoding: "x-user-defined"}, tabular.ErrUnknownEncoding},
		"replacement":         {tabular.Options{Encoding: "iso-2022-kr"}, tabular.ErrUnknownEncoding},
		"no such delimiter":   {tabular.Options{Delimiter: "::"}, tabular.ErrUnknownDelimiter},
		"negative record cap": {tabular.Options{MaxRecordBytes: -1}, tabular.ErrInvalidLimit},
		"negative cell cap":   {tabular.Options{MaxCells: -1}, tabular.ErrInvalidLimit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := test.opts.Validate(); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if _, err := tabular.Open(strings.NewReader("a,b\n"), test.opts); test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("Open: got %v, want %v", err, test.want)
			}
		})
	}
}

func TestDelimiter(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ in, want string }{
		"comma":                               {"a,b\n1,2\n", ","},
		"semicolon":                           {"a;b\n1;2\n", ";"},
		"tab":                                 {"a\tb\n1\t2\n", "\t"},
		"pipe":                                {"a|b\n1|2\n", "|"},
		"header only":                         {"a;b", ";"},
		"single column":                       {"email\na@example.com\n", ","},
		"single column, commas in values":     {"name\nHopper, Grace\nLovelace; Ada\n", ","},
		"semicolons, commas in values":        {"name;email\nHopper, Grace;g@example.com\nLovelace, Ada;a@example.com\n", ";"},
		"commas, semicolons in values":        {"name,groups\nGrace,a;b;c\nAda,d;e;f\n", ","},
		"semicolons, a comma in the header":   {"name;address, city;email\nG;x;g@example.com\nA;y;a@example.com\n", ";"},
		"both in the header":                  {"a;b,c\n1;2\n3;4\n", ";"},
		"commas in all, semicolons make more": {"a;b, c;d\n1;2, 3;4\n5;6, 7;8\n", ";"},
		"semicolons within quotes":            {"\"a;b;c\",d\n\"1;2;3\",4\n", ","},
		"commas within quotes":                {"\"a,b,c\" ; d\n\"1,2,3\" ; 4\n", ";"},
		"line ends within quotes":             {"a;b\n\"1\n,,,\n\";2\n", ";"},
		"doubled quotes":                      {"a;b\n\"1\"\",,,\";2\n", ";"},
		"one row with a quote too many":       {"a;b\n\"1;2\n3;4,5\n6;7,8\n", ";"},
		"stray quotes":                        {"a;b\n5\" pipe;2,3\n6\" pipe;4,5\n", ";"},
		"bare CR":                             {"a;b\r1,5;2\r", ";"},
		"blank lines first":                   {"\n,,,\na;b\n1;2\n", ";"},
		"wide header, a few odd rows":         {"a;b;c,d;e\n1;2;3,4;5\n1;2;3,4\n1;2;3,4;5\n1;2;3,4;5\n", ";"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := tabular.Open(strings.NewReader(test.in), tabular.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Format().Delimiter; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestDelimiterCutBySample(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"a;b\n" + strings.Repeat("1,5;2\n", 50_000),
		"a;b\n\"" + strings.Repeat("1,5;2\n", 50_000), // a quote open to the end of the sample
	} {
		r, err := tabular.Open(strings.NewReader(in), tabular.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Format().Delimiter; got != ";" {
			t.Errorf("got %q", got)
		}
	}
}
