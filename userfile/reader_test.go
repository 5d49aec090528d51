package userfile_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"pgregory.net/rapid"

	"rollcall/roster"
	"rollcall/tabular"
	"rollcall/userfile"
)

// verdict is what a test looks at in a row.
type verdict struct {
	Row, Line int64
	Person    roster.UserFields
	Problems  []roster.Problem
}

func rest(t interface{ Fatal(...any) }, sheet *userfile.Reader) (verdicts []verdict, starts []tabular.Position) {
	for {
		row, err := sheet.Next()
		if errors.Is(err, io.EOF) {
			return verdicts, starts
		}
		if err != nil {
			t.Fatal(err)
		}
		verdicts = append(verdicts, verdict{row.Row, row.Line, row.Person, row.Problems})
		starts = append(starts, row.Start)
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	malformed := func(message string) *roster.Problem {
		return &roster.Problem{Code: roster.MalformedRow, Message: message}
	}
	for name, c := range map[string]struct {
		header, row string
		o           roster.Options
		want        *roster.Problem // nil: the row is good
		email       string
	}{
		"extra empty cells": {"email,name", "g@example.com,Grace,,\" \",", roster.Options{}, nil, "g@example.com"},
		"an extra cell": {"email,name", "g@example.com,Hopper, Grace", roster.Options{},
			malformed("The row has 3 cells for the 2 columns email, name; a value that contains the delimiter must be quoted."), "g@example.com"},
		"too few":                                {"email,name,department", "g@example.com", roster.Options{}, malformed("The row has 1 cell; the header has 3: \"name\", \"department\" are missing."), "g@example.com"},
		"empty headers at the end need no cells": {"email,name,,,", "g@example.com,Grace", roster.Options{}, nil, "g@example.com"},
		"values behind the last header are not dropped": {"email,name,,", "g@example.com,Hopper,Grace,", roster.Options{},
			malformed("The row has 4 cells for the 2 columns email, name; a value that contains the delimiter must be quoted."), "g@example.com"},
		"too many for many columns": {"email,name,c,d,e,f,g,h,i,j,k,l,m,n", "g@example.com,Grace,,,,,,,,,,,,,x", roster.Options{},
			malformed("The row has 15 cells for the 14 columns email, name, c, d, e, f, g, h, i, j, k, l and 2 more; a value that contains the delimiter must be quoted."), "g@example.com"},
		"stray quote": {"email,name", `g@example.com,Gra"ce`, roster.Options{},
			malformed("Cell 2 has a quote in the wrong place: put the whole cell in quotes and write a quote inside it twice."), "g@example.com"},
		"NUL":     {"email,name", "g@example.com,Gra\x00ce", roster.Options{}, malformed("Cell 2 has a NUL character."), "g@example.com"},
		"foreign": {"email,name", "g@example.com,Andr\xe9", roster.Options{}, &roster.Problem{Code: roster.EncodingError, Message: "Cell 2 contains characters that can't be read with the selected encoding."}, "g@example.com"},
		"too long": {"email,name", "g@example.com," + strings.Repeat("x", 1<<20), roster.Options{},
			&roster.Problem{Code: roster.ValueTooLong, Message: "The row is longer than 1048576 bytes."}, "g@example.com"},
		"no column of the e-mail": {"name,email", "Grace", roster.Options{}, malformed("The row has 1 cell; the header has 2: \"email\" is missing."), ""},
		"semicolons":              {"email;name", "g@example.com;Hopper, Grace", roster.Options{}, nil, "g@example.com"},
		"declared delimiter":      {"email|name", "g@example.com|Grace;", roster.Options{Delimiter: "|"}, nil, "g@example.com"},
		"windows-1252":            {"email,name", "g@example.com,Andr\xe9", roster.Options{Encoding: "windows-1252"}, nil, "g@example.com"},
		"what could not be read": {"email,name", "g@example.com,Andr\ufffd", roster.Options{},
			&roster.Problem{Field: "name", Code: roster.MalformedRow, Value: "Andr\ufffd",
				Message: "The name contains a replacement character (U+FFFD): part of it was lost when the file was saved."}, "g@example.com"},
		"an apostrophe is kept where it is no report": {"email,name", "g@example.com,'=Grace", roster.Options{}, nil, "g@example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sheet := open(t, c.header+"\n"+c.row+"\n\nlast@example.com,Last,\n", c.o)
			row, err := sheet.Next()
			if err != nil {
				t.Fatal(err)
			}
			var want []roster.Problem
			if c.want != nil {
				want = []roster.Problem{*c.want}
			}
			if diff := cmp.Diff(want, row.Problems); diff != "" {
				t.Error(diff)
			}
			if row.Row != 2 || row.Person.Email != c.email {
				t.Errorf("row %d of %q", row.Row, row.Person.Email)
			}
			if next, err := sheet.Next(); err != nil || next.Row != 4 {
				t.Errorf("behind it row %+v, %v", next, err)
			}
		})
	}
}

func TestRowError(t *testing.T) {
	t.Parallel()
	sheet := open(t, "email,name\n\n\"a\nb\",Grace\nc,\n", roster.Options{})
	if _, err := sheet.Next(); err != nil {
		t.Fatal(err)
	}
	row, err := sheet.Next()
	if err != nil {
		t.Fatal(err)
	}
	got := row.RowError()
	if got.Row != 4 || got.Line != 5 || got.Email != "c" || got.Reason() != roster.InvalidEmail || len(got.Problems) != 2 {
		t.Errorf("%+v", got)
	}
}

func TestSheetTellsWhatItIs(t *testing.T) {
	t.Parallel()
	sheet := open(t, "Name;E-Mail;x\nAndr\xe9;a@example.com;\nZo\xeb;z@example.com;\n", roster.Options{})
	if diff := cmp.Diff([]string{"Name", "E-Mail", "x"}, sheet.Header()); diff != "" {
		t.Error(diff)
	}
	if f := sheet.Format(); f.Delimiter != ";" || f.Encoding != "utf-8" {
		t.Errorf("%+v", f)
	}
	for column, want := range map[roster.Column]bool{"email": true, "name": true, "role": false, "department": false, "x": false} {
		if sheet.Has(column) != want {
			t.Errorf("Has(%s) = %v", column, !want)
		}
	}
	if sheet.LikelyEncoding() != "" {
		t.Errorf("likely %q", sheet.LikelyEncoding())
	}
	rest(t, sheet)
	if got := sheet.LikelyEncoding(); got != "windows-1252" {
		t.Errorf("likely encoding %q", got)
	}
}

func TestErrorReport(t *testing.T) {
	t.Parallel()
	const header = "\ufeffemail,name,department,error_row,error_code,error_field,error_message,error_fix\n"
	sheet := open(t, header+
		"'+g@example.com,'=Grace,''-Navy,2,invalid_email,email,'=1,Check\n"+
		"h@example.com,Andr\ufffd,,3,encoding_error,,x,y\n"+
		"i@example.com,Ida,,4,a\ufffd,,x,y\n", roster.Options{})
	if !sheet.IsReport() || sheet.Warnings() != nil {
		t.Fatalf("report %v, warnings %v", sheet.IsReport(), sheet.Warnings())
	}
	row, err := sheet.Next()
	if err != nil {
		t.Fatal(err)
	}
	if p := row.Person; p.Email != "+g@example.com" || p.Name != "=Grace" || p.Department != "'-Navy" {
		t.Errorf("%+v", p)
	}
	if diff := cmp.Diff([]string{"+g@example.com", "=Grace", "'-Navy", "2", "invalid_email", "email", "=1", "Check"}, sheet.Values(row)); diff != "" {
		t.Error(diff)
	}
	row, err = sheet.Next()
	if err != nil {
		t.Fatal(err)
	}
	if len(row.Problems) != 1 || row.Problems[0].Code != roster.EncodingError || row.Person.Email != "h@example.com" {
		t.Errorf("a row that was not mended: %+v", row)
	}
	person(t, sheet) // U+FFFD in a column of the report matters to nobody
	if got := userfile.ReportColumns(); !cmp.Equal(got, strings.Split(strings.TrimSpace(header), ",")[3:]) {
		t.Errorf("report columns %q", got)
	}
}

func TestErrorsOfTheReaderPass(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	if _, err := userfile.Open(iotest.ErrReader(away), roster.Options{}); !errors.Is(err, away) {
		t.Errorf("Open: %v", err)
	}
	broken := io.MultiReader(strings.NewReader("email,name\n"+strings.Repeat("a@example.com,A\n", 1<<14)), iotest.ErrReader(away))
	sheet, err := userfile.Open(broken, roster.Options{})
	for err == nil {
		_, err = sheet.Next()
	}
	if !errors.Is(err, away) {
		t.Errorf("Next: %v", err)
	}
	header := []string{"email", "name"}
	if _, err := userfile.Resume(strings.NewReader(""), tabular.Format{Encoding: "nonsense", Delimiter: ","}, header, roster.Options{}, tabular.Position{Row: 2, Line: 2}); err == nil {
		t.Error("Resume accepts a format that is none")
	}
	if _, err := userfile.Resume(strings.NewReader(""), tabular.Format{}, nil, roster.Options{}, tabular.Position{}); err == nil {
		t.Error("Resume accepts a header without our columns")
	}
	if err := userfile.CheckOptions(roster.Options{Encoding: "ebcdic-x"}); !errors.Is(err, tabular.ErrUnknownEncoding) {
		t.Error(err)
	}
	if err := userfile.CheckOptions(roster.Options{Encoding: "utf-16", Delimiter: ";"}); err != nil {
		t.Error(err)
	}
}

// TestResumeEqualsOpen: from whatever row reading goes on, the rows from there
// on are those that one pass over the file sees, but for the first if the row
// before it had it refused.
func TestResumeEqualsOpen(t *testing.T) {
	t.Parallel()
	encoders := map[string]func(string) (string, error){
		"utf-8":        func(s string) (string, error) { return s, nil },
		"utf-16le":     unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String,
		"windows-1252": charmap.Windows1252.NewEncoder().String,
	}
	line := rapid.SampledFrom([]string{
		"g@example.com,Grace,admin", "bad,,", "\"g\n@x\",\"Ho\"\"pper\",", "", "  ", "a@b.de,André,user", "x@example.com,\"a,b\",,", "one", "q@example.com,Qu\"x,",
	})
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(line, 1, 25).Draw(t, "lines")
		encoding := rapid.SampledFrom([]string{"utf-8", "utf-16le", "windows-1252"}).Draw(t, "encoding")
		newline := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "newline")
		file, err := encoders[encoding]("email,name,role" + newline + strings.Join(lines, newline))
		if err != nil {
			t.Fatal(err)
		}
		sheet, err := userfile.Open(strings.NewReader(file), roster.Options{Encoding: encoding})
		if err != nil {
			t.Fatal(err)
		}
		whole, starts := rest(t, sheet)
		for i, at := range starts {
			again, err := userfile.Resume(strings.NewReader(file[at.Offset:]), sheet.Format(), sheet.Header(), roster.Options{}, at)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := rest(t, again)
			if len(got) == len(whole[i:]) && len(got) > 0 && len(got[0].Problems) == 0 && len(whole[i].Problems) > 0 {
				got[0] = whole[i] // refused for the row before it, which is not known here
			}
			if !cmp.Equal(got, whole[i:]) {
				t.Fatalf("from row %d: %s", at.Row, cmp.Diff(whole[i:], got))
			}
		}
	})
}
