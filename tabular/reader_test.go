package tabular_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"rollcall/tabular"
)

// row is a record as a test writes it down and as it outlives the next call.
type row struct {
	number, line int64
	cells        []string
	fault        tabular.FaultKind // "" if sound
	cell         int               // at fault
}

func keep(rec *tabular.Record) row {
	got := row{number: rec.Row, line: rec.Line}
	for _, c := range rec.Cells {
		got.cells = append(got.cells, string(c))
	}
	if rec.Fault != nil {
		got.fault, got.cell = rec.Fault.Kind, rec.Fault.Cell
	}
	return got
}

func (r row) String() string {
	s := fmt.Sprintf("row %d line %d %q", r.number, r.line, r.cells)
	if r.fault != "" {
		s += fmt.Sprintf(" %s in cell %d", r.fault, r.cell)
	}
	return s
}

// readAll reads to the end of the file.
func readAll(r *tabular.Reader) ([]row, error) {
	var rows []row
	for {
		rec, err := r.Next()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows = append(rows, keep(rec))
	}
}

func mustRead(t *testing.T, r io.Reader, o tabular.Options) []row {
	t.Helper()
	reader, err := tabular.Open(r, o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	rows, err := readAll(reader)
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	return rows
}

func compare(t *testing.T, got, want []row) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("record %d: none, want %v", i, want[i])
		case i >= len(want):
			t.Errorf("record %d: got %v, want none", i, got[i])
		case got[i].String() != want[i].String():
			t.Errorf("record %d:\n got %v\nwant %v", i, got[i], want[i])
		}
	}
}

func cells(c ...string) []string { return c }

func TestNext(t *testing.T) {
	t.Parallel()
	small := tabular.Options{Delimiter: ",", MaxRecordBytes: 20, MaxCells: 4}
	comma := tabular.Options{Delimiter: ","}
	tests := map[string]struct {
		in   string
		opts tabular.Options
		want []row
	}{
		"plain": {in: "a,b\n1,2\n", want: []row{
			{number: 1, line: 1, cells: cells("a", "b")},
			{number: 2, line: 2, cells: cells("1", "2")},
		}},
		"no line end at the end": {in: "a,b\n1,2", want: []row{
			{number: 1, line: 1, cells: cells("a", "b")},
			{number: 2, line: 2, cells: cells("1", "2")},
		}},
		"byte order mark": {in: "\uFEFFa,b\n", want: []row{
			{number: 1, line: 1, cells: cells("a", "b")},
		}},
		"every line end": {in: "a\r\nb\nc\rd\r\r\ne", opts: comma, want: []row{
			{number: 1, line: 1, cells: cells("a")},
			{number: 2, line: 2, cells: cells("b")},
			{number: 3, line: 3, cells: cells("c")},
			{number: 4, line: 4, cells: cells("d")},
			{number: 6, line: 6, cells: cells("e")},
		}},
		"blank lines count": {in: "\n \t\na,b\n\n,,,\n\"\",\" \"\n\u00a0\n1,2\n", opts: comma, want: []row{
			{number: 3, line: 3, cells: cells("a", "b")},
			{number: 8, line: 8, cells: cells("1", "2")},
		}},
		"white space is kept": {in: " a , b\n", want: []row{
			{number: 1, line: 1, cells: cells(" a ", " b")},
		}},
		"cells need not be as many": {in: "a,b\n1\n1,2,\n", want: []row{
			{number: 1, line: 1, cells: cells("a", "b")},
			{number: 2, line: 2, cells: cells("1")},
			{number: 3, line: 3, cells: cells("1", "2", "")},
		}},
		"quotes": {in: "\"a\",\"b \"\"c\"\"\"\n\"\",\"\"\"\"\n", want: []row{
			{number: 1, line: 1, cells: cells("a", `b "c"`)},
			{number: 2, line: 2, cells: cells("", `"`)},
		}},
		"delimiter and line ends within quotes": {in: "\"a,\n\r\n\r\",b\nc,d\n", want: []row{
			{number: 1, line: 1, cells: cells("a,\n\r\n\r", "b")},
			{number: 2, line: 5, cells: cells("c", "d")},
		}},
		"white space around quotes": {in: " \"a\" ,\t\"b\"\t\n", opts: comma, want: []row{
			{number: 1, line: 1, cells: cells("a", "b")},
		}},
		"tabs are no white space around quotes if they delimit": {in: "\t\"a\"\t\n", opts: tabular.Options{Delimiter: "tab"}, want: []row{
			{number: 1, line: 1, cells: cells("", "a", "")},
		}},
		"quoted at the end of the file": {in: "a,\"b\"", want: []row{
			{number: 1, line: 1, cells: cells("a", "b")},
		}},
		"stray quote": {in: "a,b\n1,2\"3\n\"4\"5,6\n7,8\n", want: []row{
			{number: 1, line: 1, cells: cells("a", "b")},
			{number: 2, line: 2, cells: cells("1", `2"3`), fault: tabular.FaultStrayQuote, cell: 1},
			{number: 3, line: 3, cells: cells(`"4"5`, "6"), fault: tabular.FaultStrayQuote, cell: 0},
			{number: 4, line: 4, cells: cells("7", "8")},
		}},
		"a stray quote inside leaves the next cell its quotes": {in: "5\" pipe,\"a,b\",c\n", opts: comma, want: []row{
			{number: 1, line: 1, cells: cells(`5" pipe`, "a,b", "c"), fault: tabular.FaultStrayQuote, cell: 0},
		}},
		"stray quote on a later line": {in: "a,\"b\nc\"d,e\nf,g\n", opts: comma, want: []row{
			{number: 1, line: 1, cells: cells("a", `"b`), fault: tabular.FaultStrayQuote, cell: 1},
			{number: 2, line: 2, cells: cells(`c"d`, "e"), fault: tabular.FaultStrayQuote, cell: 0},
			{number: 3, line: 3, cells: cells("f", "g")},
		}},
		"unbalanced quote": {in: "a,b\n1,\"2\n3,4\n5,6\n", want: []row{
			{number: 1, line: 1, cells: cells("a", "b")},
			{number: 2, line: 2, cells: cells("1", `"2`), fault: tabular.FaultUnbalancedQuote, cell: 1},
			{number: 3, line: 3, cells: cells("3", "4")},
			{number: 4, line: 4, cells: cells("5", "6")},
		}},
		"unbalanced quote on the last line": {in: "a,\"", want: []row{
			{number: 1, line: 1, cells: cells("a", `"`), fault: tabular.FaultUnbalancedQuote, cell: 1},
		}},
		"unbalanced quote before a CR": {in: "\"a\rb\r", opts: comma, want: []row{
			{number: 1, line: 1, cells: cells(`"a`), fault: tabular.FaultUnbalancedQuote},
			{number: 2, line: 2, cells: cells("b")},
		}},
		"quoted up to the limit": {in: "\"123456789012345678\"\r\nb\n", opts: small, want: []row{
			{number: 1, line: 1, cells: cells("123456789012345678")},
			{number: 2, line: 2, cells: cells("b")},
		}},
		"quoted beyond the limit": {in: "\"1234567890\n123456789\"\r\nb\n", opts: small, want: []row{
			{number: 1, line: 1, cells: cells(`"1234567890`), fault: tabular.FaultTooLong, cell: -1},
			{number: 2, line: 2, cells: cells(`123456789"`), fault: tabular.FaultStrayQuote},
			{number: 3, line: 3, cells: cells("b")},
		}},
		"unbalanced up to the limit": {in: "\"1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11", opts: small, want: []row{
			{number: 1, line: 1, cells: cells(`"1`), fault: tabular.FaultUnbalancedQuote},
			{number: 2, line: 2, cells: cells("2")}, {number: 3, line: 3, cells: cells("3")},
			{number: 4, line: 4, cells: cells("4")}, {number: 5, line: 5, cells: cells("5")},
			{number: 6, line: 6, cells: cells("6")}, {number: 7, line: 7, cells: cells("7")},
			{number: 8, line: 8, cells: cells("8")}, {number: 9, line: 9, cells: cells("9")},
			{number: 10, line: 10, cells: cells("10")}, {number: 11, line: 11, cells: cells("11")},
		}},
		"as long as the limit": {in: "12345678901234567890\r\nb\n", opts: small, want: []row{
			{number: 1, line: 1, cells: cells("12345678901234567890")},
			{number: 2, line: 2, cells: cells("b")},
		}},
		"longer than the limit": {in: "123456789012345678901\r\nb\n1,2345678901234567890123456789\rc", opts: small, want: []row{
			{number: 1, line: 1, cells: cells("12345678901234567890"), fault: tabular.FaultTooLong, cell: -1},
			{number: 2, line: 2, cells: cells("b")},
			{number: 3, line: 3, cells: cells("1", "234567890123456789"), fault: tabular.FaultTooLong, cell: -1},
			{number: 4, line: 4, cells: cells("c")},
		}},
		"longer than the limit by a CR": {in: "1234567890123456789012\r\nb", opts: small, want: []row{
			{number: 1, line: 1, cells: cells("12345678901234567890"), fault: tabular.FaultTooLong, cell: -1},
			{number: 2, line: 2, cells: cells("b")},
		}},
		"cut within a character": {in: "123456789012345678\u20ac\nb\n", opts: small, want: []row{
			{number: 1, line: 1, cells: cells("123456789012345678"), fault: tabular.FaultTooLong, cell: -1},
			{number: 2, line: 2, cells: cells("b")},
		}},
		"as many cells as the limit": {in: "1,2,3,4\n\"1\",2,3,\n", opts: small, want: []row{
			{number: 1, line: 1, cells: cells("1", "2", "3", "4")},
			{number: 2, line: 2, cells: cells("1", "2", "3", "")},
		}},
		"more cells than the limit": {in: "1,2,3,4,5\n\"1\",2,3,\"4\",\"5\n\"\n6\n", opts: small, want: []row{
			{number: 1, line: 1, cells: cells("1", "2", "3", "4"), fault: tabular.FaultTooManyCells, cell: -1},
			{number: 2, line: 2, cells: cells("1", "2", "3", "4"), fault: tabular.FaultTooManyCells, cell: -1},
			{number: 3, line: 4, cells: cells("6")},
		}},
		"empty cells beyond the limit": {in: "1,2,3,4,,, \t,\n\"1\",2,3,\"4\",\" \",\n6\n", opts: small, want: []row{
			{number: 1, line: 1, cells: cells("1", "2", "3", "4")},
			{number: 2, line: 2, cells: cells("1", "2", "3", "4")},
			{number: 3, line: 3, cells: cells("6")},
		}},
		"text as formulas": {in: "a,b\n=\"0042\", =\"a,b\"\n=\"x\"&\"y\",1\n", want: []row{
			{number: 1, line: 1, cells: cells("a", "b")},
			{number: 2, line: 2, cells: cells("0042", "a,b")},
			{number: 3, line: 3, cells: cells("=\"x\"&\"y\"", "1"), fault: tabular.FaultStrayQuote, cell: 0},
		}},
		"Ctrl-Z at the end":                 {in: "a,b\r\n1,2\r\n\x1a", want: []row{{number: 1, line: 1, cells: cells("a", "b")}, {number: 2, line: 2, cells: cells("1", "2")}}},
		"Ctrl-Z on a line at the end":       {in: "a,b\n1,2\n\x1a\r\n", want: []row{{number: 1, line: 1, cells: cells("a", "b")}, {number: 2, line: 2, cells: cells("1", "2")}}},
		"Ctrl-Z and blank lines at the end": {in: "a,b\n1,2\n\x1a\x1a\n\n \n\x1a\n", want: []row{{number: 1, line: 1, cells: cells("a", "b")}, {number: 2, line: 2, cells: cells("1", "2")}}},
		"a mark on a line at the end":       {in: "a,b\n1,2\n\ufeff\n", want: []row{{number: 1, line: 1, cells: cells("a", "b")}, {number: 2, line: 2, cells: cells("1", "2")}}},
		"Ctrl-Z behind the last cell":       {in: "a,b\n1,2\x1a", want: []row{{number: 1, line: 1, cells: cells("a", "b")}, {number: 2, line: 2, cells: cells("1", "2")}}},
		"NULs up to the end":                {in: "a,b\n1,2\n" + strings.Repeat("\x00", 5000), want: []row{{number: 1, line: 1, cells: cells("a", "b")}, {number: 2, line: 2, cells: cells("1", "2")}}},
		"a byte order mark at the end":      {in: "a,b\n1,2\n\ufeff", want: []row{{number: 1, line: 1, cells: cells("a", "b")}, {number: 2, line: 2, cells: cells("1", "2")}}},
		"Ctrl-Z in mid-file is text":        {in: "a,b\n\x1a\n1,2\n", want: []row{{number: 1, line: 1, cells: cells("a", "b")}, {number: 2, line: 2, cells: cells("\x1a")}, {number: 3, line: 3, cells: cells("1", "2")}}},
		"NUL": {in: "a,b\n1,\x002\n3,4\n", want: []row{
			{number: 1, line: 1, cells: cells("a", "b")},
			{number: 2, line: 2, cells: cells("1", "\x002"), fault: tabular.FaultNUL, cell: 1},
			{number: 3, line: 3, cells: cells("3", "4")},
		}},
		"not valid UTF-8": {in: "a,b\n1,caf\xe9\n\"\xff\",3\n4,\uFFFD\n", want: []row{
			{number: 1, line: 1, cells: cells("a", "b")},
			{number: 2, line: 2, cells: cells("1", "caf\uFFFD"), fault: tabular.FaultEncoding, cell: 1},
			{number: 3, line: 3, cells: cells("\uFFFD", "3"), fault: tabular.FaultEncoding, cell: 0},
			{number: 4, line: 4, cells: cells("4", "\uFFFD")},
		}},
		"surrogates are not valid UTF-8": {in: "a\n\xed\xa0\x80\n", opts: comma, want: []row{
			{number: 1, line: 1, cells: cells("a")},
			{number: 2, line: 2, cells: cells("\uFFFD"), fault: tabular.FaultEncoding},
		}},
		"of several faults the encoding is told": {in: "a,b\n\x00,x\"\xff\n", want: []row{
			{number: 1, line: 1, cells: cells("a", "b")},
			{number: 2, line: 2, cells: cells("\x00", "x\"\uFFFD"), fault: tabular.FaultEncoding, cell: 1},
		}},
		"sep line": {in: "\uFEFFsep=;\r\na;b,c\r\n1;2\r\n", want: []row{
			{number: 1, line: 2, cells: cells("a", "b,c")},
			{number: 2, line: 3, cells: cells("1", "2")},
		}},
		"sep line, quoted, bare CR": {in: "\"SEP=|\"\ra|b\r", want: []row{
			{number: 1, line: 2, cells: cells("a", "b")},
		}},
		"sep line against the caller": {in: "sep=;\na,b\n", opts: comma, want: []row{
			{number: 1, line: 2, cells: cells("a", "b")},
		}},
		"a header that only begins like a sep line": {in: "sep=a,b\n", want: []row{
			{number: 1, line: 1, cells: cells("sep=a", "b")},
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compare(t, mustRead(t, strings.NewReader(test.in), test.opts), test.want)
			compare(t, mustRead(t, iotest.OneByteReader(strings.NewReader(test.in)), test.opts), test.want)
			compare(t, mustRead(t, iotest.HalfReader(strings.NewReader(test.in)), test.opts), test.want)
			compare(t, mustRead(t, iotest.DataErrReader(strings.NewReader(test.in)), test.opts), test.want)
		})
	}
}

// TestNextReaderError shows that what was read before an error is told before
// it, that a cut record is not, and that the error stays.
func TestNextReaderError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	long := strings.Repeat("a,b\n", 20_000) // longer than the sample
	for name, encoding := range map[string]string{"utf-8": "", "windows-1252": "windows-1252"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := io.MultiReader(strings.NewReader(long+"1,2"), iotest.ErrReader(broken))
			r, err := tabular.Open(in, tabular.Options{Encoding: encoding})
			if err != nil {
				t.Fatal(err)
			}
			rows, err := readAll(r)
			if len(rows) != 20_000 || !errors.Is(err, broken) {
				t.Errorf("got %d records and %v", len(rows), err)
			}
			if _, err := r.Next(); !errors.Is(err, broken) {
				t.Errorf("the next time: %v", err)
			}
		})
	}
	if _, err := tabular.Open(iotest.ErrReader(broken), tabular.Options{}); !errors.Is(err, broken) {
		t.Errorf("Open: %v", err)
	}
}

// TestReaderErrorIsNotTheEnd: a source whose own line has ended may say so with
// an error that is or wraps io.EOF, and has not come to the end of the file.
func TestReaderErrorIsNotTheEnd(t *testing.T) {
	t.Parallel()
	for _, broken := range []error{io.ErrUnexpectedEOF, fmt.Errorf("database: %w", io.EOF)} {
		for _, rows := range []int{0, 10, 20_000} { // in the sample and behind it
			for _, encoding := range []string{"utf-8", "windows-1252"} {
				in := io.MultiReader(strings.NewReader(strings.Repeat("a,b\n", rows)), iotest.ErrReader(broken))
				r, err := tabular.Open(in, tabular.Options{Encoding: encoding})
				if err == nil {
					_, err = readAll(r)
				}
				if err == io.EOF || !errors.Is(err, broken) {
					t.Errorf("%d rows of %s and then %q: %v", rows, encoding, broken, err)
				}
			}
		}
	}
}

// silent gives neither bytes nor an error.
type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

func TestNextNoProgress(t *testing.T) {
	t.Parallel()
	in := io.MultiReader(strings.NewReader(strings.Repeat("a,b\n", 20_000)), silent{})
	r, err := tabular.Open(in, tabular.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(r); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v", err)
	}
}

func TestFaultMessage(t *testing.T) {
	t.Parallel()
	for _, kind := range []tabular.FaultKind{
		tabular.FaultEncoding, tabular.FaultNUL, tabular.FaultUnbalancedQuote,
		tabular.FaultStrayQuote, tabular.FaultTooLong, tabular.FaultTooManyCells,
	} {
		fault := tabular.Fault{Kind: kind, Cell: 2, Limit: 77}
		msg := fault.Message()
		if !strings.Contains(msg, "Cell 3 ") && !strings.Contains(msg, "77") {
			t.Errorf("%s: message %q tells neither the cell nor the limit", kind, msg)
		}
		fault.Cell = -1
		if msg := fault.Message(); !strings.HasPrefix(msg, "The row") {
			t.Errorf("%s without a cell: message %q", kind, msg)
		}
	}
}
