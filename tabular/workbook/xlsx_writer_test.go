package workbook_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"
	"pgregory.net/rapid"

	"rollcall/tabular/workbook"
)

// written is a workbook of a Writer with one sheet.
func written(t testing.TB, rows ...[]workbook.Cell) []byte {
	t.Helper()
	var b bytes.Buffer
	w := workbook.NewWriter(&b)
	err := w.BeginSheet("Sheet", true)
	for _, row := range rows {
		if err == nil {
			err = w.Row(row...)
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestWrittenTextsComeBack: whatever a cell has, it is read as it was written.
func TestWrittenTextsComeBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		texts := rapid.SliceOfN(rapid.OneOf(
			rapid.String(),
			rapid.StringOf(rapid.SampledFrom([]rune("a \t\r\n\"'<>&_x000D_=+-@,;|\u0001\u001f\ufffe\uffff😀"))),
		), 1, 6).Draw(r, "texts")
		cells := []workbook.Cell{{Text: "first"}}
		for _, text := range texts {
			cells = append(cells, workbook.Cell{Text: text, Style: workbook.Faulty, Note: text})
		}
		rows, _ := mustRead(t, written(t, cells), workbook.Options{})
		for i, text := range texts {
			want := strings.NewReplacer("\x00", "\uFFFD", workbook.Fault, "\uFFFD").Replace(text)
			got := ""
			if i+1 < len(rows[1]) {
				got = rows[1][i+1]
			}
			if got != want {
				r.Fatalf("%q is read as %q", want, got)
			}
		}
	})
}

// TestWrittenWorkbookInExcelize: another program finds the texts, marks, notes and
// lists, and takes nothing for a formula.
func TestWrittenWorkbookInExcelize(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := workbook.NewWriter(&b)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.BeginSheet("Users & <more>", true, workbook.ColumnLayout{Width: 20}, workbook.ColumnLayout{Width: 10, Values: []string{"user", "admin"}, Prompt: `One of "two" & no more`}))
	must(w.Row(workbook.Cell{Text: "id", Style: workbook.Heading}, workbook.Cell{Text: "role", Style: workbook.Heading}))
	must(w.Row(workbook.Cell{Text: "00123"}, workbook.Cell{Text: "=1+1", Style: workbook.Faulty, Note: "Not <a> role.\nChoose one & only one."}))
	must(w.Row())
	must(w.Row(workbook.Cell{}, workbook.Cell{Style: workbook.Faulty, Note: "Empty."}))
	must(w.BeginSheet("Help", false))
	must(w.Row(workbook.Cell{Text: "Read me", Style: workbook.Wrapped}))
	must(w.Close())

	f, err := excelize.OpenReader(bytes.NewReader(b.Bytes()))
	must(err)
	defer f.Close()
	const sheet = "Users & <more>"
	if got := fmt.Sprint(f.GetSheetList()); got != "["+sheet+" Help]" {
		t.Error(got)
	}
	for cell, want := range map[string]string{"A1": "id", "B1": "role", "A2": "00123", "B2": "=1+1", "B4": ""} {
		got, err := f.GetCellValue(sheet, cell)
		must(err)
		formula, err := f.GetCellFormula(sheet, cell)
		must(err)
		kind, err := f.GetCellType(sheet, cell)
		must(err)
		if got != want || formula != "" || want != "" && kind != excelize.CellTypeInlineString {
			t.Errorf("%s: %q, formula %q, type %v", cell, got, formula, kind)
		}
		style, err := f.GetCellStyle(sheet, cell)
		must(err)
		look, err := f.GetStyle(style)
		must(err)
		const solid = 1
		if filled := look.Fill.Pattern == solid; look.NumFmt != 49 || filled == (cell == "A2") {
			t.Errorf("%s: %+v", cell, look)
		}
	}
	comments, err := f.GetComments(sheet)
	must(err)
	told := map[string]string{}
	for _, c := range comments {
		told[c.Cell] = c.Text
	}
	if len(told) != 2 || told["B2"] != "Not <a> role.\nChoose one & only one." || told["B4"] != "Empty." {
		t.Errorf("%q", told)
	}
	lists, err := f.GetDataValidations(sheet)
	must(err)
	if len(lists) != 1 || lists[0].Sqref != "B2:B1048576" || strings.Trim(lists[0].Formula1, `"`) != "user,admin" {
		t.Errorf("%+v", lists)
	}
	panes, err := f.GetPanes(sheet)
	must(err)
	if !panes.Freeze || panes.YSplit != 1 {
		t.Errorf("%+v", panes)
	}
}

// counter counts what is written, and how often it is flushed.
type counter struct{ bytes, flushes int64 }

func (c *counter) Write(p []byte) (int, error) { c.bytes += int64(len(p)); return len(p), nil }
func (c *counter) Flush()                      { c.flushes++ }

// TestWriterIsAStream: rows leave when they are flushed, and memory doesn't grow with
// them, notes included. It is not parallel, because other tests' memory would count.
func TestWriterIsAStream(t *testing.T) {
	const rows, most = 100_000, 8 << 20
	peak := watchHeap()
	var out counter
	w := workbook.NewWriter(&out)
	if err := w.BeginSheet("Sheet", true); err != nil {
		t.Fatal(err)
	}
	row := []workbook.Cell{{Text: "ann@x.example", Style: workbook.Faulty, Note: strings.Repeat("why ", 20)}, {Text: "Ann"}, {Text: strings.Repeat("x", 100)}}
	for n := range rows {
		if err := w.Row(row...); err != nil {
			t.Fatal(err)
		}
		if n%10_000 != 0 {
			continue
		}
		before := out
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if out.bytes == before.bytes || out.flushes != before.flushes+1 {
			t.Fatalf("row %d: %+v after %+v", n, out, before)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if used := peak(); used > most {
		t.Errorf("%d KiB", used>>10)
	}
}

// TestFullSheet: a row too many is an error, not a damaged file.
func TestFullSheet(t *testing.T) {
	t.Parallel()
	w := workbook.NewWriter(io.Discard)
	if err := w.BeginSheet("Sheet", false); err != nil {
		t.Fatal(err)
	}
	for range workbook.MaxRows {
		if err := w.Row(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Row(); !errors.Is(err, workbook.ErrSheetFull) {
		t.Error(err)
	}
}
