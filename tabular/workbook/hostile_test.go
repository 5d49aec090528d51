package workbook_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"rollcall/tabular/workbook"
)

// repeated is a reader of a text again and again.
func repeated(before, text string, times int, after string) io.Reader {
	return io.MultiReader(strings.NewReader(before), &repeater{text: text, left: times * len(text)}, strings.NewReader(after))
}

type repeater struct {
	text string
	at   int
	left int
}

func (r *repeater) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.left)], r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	r.left -= n
	return n, nil
}

// withPart is a workbook with one part from a reader.
func withPart(t *testing.T, name string, content io.Reader, more ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	files := plain(more...)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err == nil {
			_, err = io.WriteString(f, files[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := w.Create(name)
	if err == nil {
		_, err = io.Copy(f, content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const someCell = `<row r="1"><c r="A1" t="inlineStr"><is><t>email</t></is></c></row>`

// manyEntries is an archive whose table of contents has n entries, and claims one.
func manyEntries(t *testing.T, n int) []byte {
	t.Helper()
	file := zipped(t, "a", "")
	at := bytes.Index(file, []byte("PK\x01\x02"))
	end := bytes.Index(file, []byte("PK\x05\x06"))
	entry := file[at:end]
	many := append(append([]byte{}, file[:at]...), bytes.Repeat(entry, n)...)
	tail := append([]byte{}, file[end:]...)
	binary.LittleEndian.PutUint32(tail[12:], uint32(n*len(entry)))
	binary.LittleEndian.PutUint32(tail[16:], uint32(at))
	return append(many, tail...)
}

// smallLimits are such that a test takes little time. What they limit is the same.
var smallLimits = workbook.Limits{PartBytes: 64 << 20, TextBytes: 16 << 20}

// TestHostileWorkbooks: every one ends in an error that says what is wrong, soon and
// without much memory.
func TestHostileWorkbooks(t *testing.T) {
	row := func(cells string) string { return `<row r="1">` + cells + `</row>` }
	locked := excelize.NewFile()
	if err := locked.SetCellValue("Sheet1", "A1", "email"); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(filepath.Join("testdata", "libreoffice.xls"))
	if err != nil {
		t.Fatal(err)
	}
	good := saved(t, styled(t))
	cases := []struct {
		name string
		file []byte
		kind workbook.ErrorKind
		says string
	}{
		{"sheet larger than its limit", withPart(t, sheetPart, repeated(`<worksheet><sheetData>`, " ", 100<<20, someCell+`</sheetData></worksheet>`)), workbook.TooLarge, "MiB when unpacked"},
		{"text of megabytes", withPart(t, sheetPart, repeated(`<worksheet><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>`, "abcd", 12<<20, "")), workbook.Damaged, "ends early"},
		{"attribute of megabytes", withPart(t, sheetPart, repeated(`<worksheet a="`, "x", 32<<20, `"/>`)), workbook.Damaged, "too long"},
		{"comment without an end", withPart(t, sheetPart, repeated(`<worksheet><!--`, "x", 32<<20, ``)), workbook.Damaged, "ends early"},
		{"deeply nested", withPart(t, sheetPart, repeated("", "<a>", 1<<16, "")), workbook.Damaged, "nested too deeply"},
		{"billion laughs", withPart(t, sheetPart, strings.NewReader(`<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">]><worksheet><sheetData>`+row(`<c><v>&lol2;</v></c>`)+`</sheetData></worksheet>`)), workbook.Damaged, "document type"},
		{"external entity", withRows(t, row(`<c t="inlineStr"><is><t>&xxe;</t></is></c>`)), workbook.Damaged, "entity"},
		{"many entries", manyEntries(t, 200_000), workbook.TooLarge, "too many files"},
		{"a million texts too many", withPart(t, "xl/sharedStrings.xml", repeated("<sst>", "<si><t>"+strings.Repeat("x", 100)+"</t></si>", 200_000, "</sst>"), sheetPart, "<worksheet/>"), workbook.TooLarge, "16 MiB of different texts"},
		{"a million formats", withPart(t, "xl/styles.xml", repeated("<styleSheet><cellXfs>", `<xf numFmtId="14"/>`, 1_000_000, "</cellXfs></styleSheet>"), sheetPart, "<worksheet/>"), workbook.TooLarge, "cell formats"},
		{"many sheets", withPart(t, "xl/x", strings.NewReader(""), "xl/workbook.xml", ""), workbook.Damaged, "two files of the same name"},
		{"column 2^31", withRows(t, row(`<c r="FXSHRXX1"><v>1</v></c>`)), workbook.Damaged, "column"},
		{"row 2^31", withRows(t, `<row r="2147483647"><c><v>1</v></c></row>`), workbook.Damaged, "row 2147483647"},
		{"rows backwards", withRows(t, `<row r="5"/><row r="4"/>`), workbook.Damaged, "in order"},
		{"text that isn't there", withRows(t, row(`<c t="s"><v>4294967296</v></c>`)), workbook.Damaged, "refers to a text"},
		{"amplified text", withPart(t, sheetPart, repeated(`<worksheet><sheetData>`, `<row><c t="s"><v>0</v></c><c t="s"><v>0</v></c><c t="s"><v>0</v></c><c t="s"><v>0</v></c></row>`, 1000, `</sheetData></worksheet>`),
			"xl/sharedStrings.xml", "<sst><si><t>"+strings.Repeat("x", 32_000)+"</t></si></sst>"), workbook.TooLarge, "MiB of values"},
		{"ods with 2^31 columns", ods(t, `<table:table table:name="a"><table:table-row><table:table-cell table:number-columns-repeated="2147483647" office:value-type="string"><text:p>x</text:p></table:table-cell></table:table-row></table:table>`), workbook.Damaged, "column"},
		{"ods with 2^31 rows", ods(t, `<table:table table:name="a"><table:table-row table:number-rows-repeated="2147483647"><table:table-cell office:value-type="string"><text:p>x</text:p></table:table-cell></table:table-row></table:table>`), workbook.TooManyRows, "more than 100000 rows"},
		{"cut off", good[:len(good)/2], workbook.Damaged, "incomplete"},
		{"only a ZIP", zipped(t, "users.csv", "email,name\n"), workbook.Foreign, "ZIP archive"},
		{"empty ZIP", zipped(t), workbook.Foreign, "ZIP archive"},
		{"external sheet", zipped(t, "[Content_Types].xml", "<Types/>", "_rels/.rels", `<Relationships><Relationship Type="x/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
			"xl/workbook.xml", `<workbook><sheets><sheet name="a" r:id="r1"/></sheets></workbook>`,
			"xl/_rels/workbook.xml.rels", `<Relationships><Relationship Id="r1" Type="x/worksheet" Target="http://127.0.0.1/x" TargetMode="External"/></Relationships>`), workbook.NoSheet, "no worksheet"},
		{"sheet outside of the archive", zipped(t, "[Content_Types].xml", "<Types/>", "_rels/.rels", `<Relationships><Relationship Type="x/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
			"xl/workbook.xml", `<workbook><sheets><sheet name="a" r:id="r1"/></sheets></workbook>`,
			"xl/_rels/workbook.xml.rels", `<Relationships><Relationship Id="r1" Type="x/worksheet" Target="../../../../etc/passwd"/></Relationships>`), workbook.Damaged, "sheet is missing"},
		{"password", saved(t, locked, excelize.Options{Password: "secret"}), workbook.Protected, "password"},
		{"xls", old, workbook.Foreign, ".xls"},
		{"xlsb", zipped(t, "[Content_Types].xml", "<Types/>", "_rels/.rels", `<Relationships><Relationship Type="x/officeDocument" Target="xl/workbook.bin"/></Relationships>`, "xl/workbook.bin", "\x83\x01"), workbook.Foreign, ".xlsb"},
		{"docx", zipped(t, "[Content_Types].xml", "<Types/>", "_rels/.rels", `<Relationships><Relationship Type="x/officeDocument" Target="word/document.xml"/></Relationships>`, "word/document.xml", "<w:document/>"), workbook.Foreign, "Word document"},
		{"numbers", zipped(t, "Index/Document.iwa", ""), workbook.Foreign, "Numbers document"},
		{"odt", zipped(t, "mimetype", "application/vnd.oasis.opendocument.text", "content.xml", ""), workbook.Foreign, "not a spreadsheet"},
		{"macros only", zipped(t, "[Content_Types].xml", "<Types/>", "_rels/.rels", `<Relationships><Relationship Type="x/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
			"xl/workbook.xml", "<workbook><sheets/></workbook>", "xl/vbaProject.bin", "x"), workbook.NoSheet, "no worksheet"},
		{"encrypted ods", zipped(t, "mimetype", "application/vnd.oasis.opendocument.spreadsheet", "META-INF/manifest.xml", `<manifest:encryption-data/>`, "content.xml", "\x00"), workbook.Protected, "password"},
		{"no value", withRows(t, `<row r="1"><c r="A1" s="3"/></row>`), workbook.Empty, "No visible sheet"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			peak := watchHeap()
			err := convert(c.file)
			used := peak()
			told := new(workbook.Error)
			if !errors.As(err, &told) {
				t.Fatalf("%v", err)
			}
			if told.Kind != c.kind || !strings.Contains(told.Message, c.says) || told.Fix == "" && told.Kind != workbook.TooManyRows {
				t.Errorf("%s: %s (%s)", told.Kind, told.Message, told.Fix)
			}
			const most = 40 << 20
			if used > most {
				t.Errorf("%d MiB", used>>20)
			}
		})
	}
}

func convert(file []byte) error {
	book, err := workbook.Open(bytes.NewReader(file), int64(len(file)), smallLimits)
	if err != nil {
		return err
	}
	_, err = book.Convert(discard{io.Discard}, workbook.Options{MaxRows: 100_000, MaxBytes: 64 << 20})
	return err
}

type discard struct{ io.Writer }

func (discard) Restart() error { return nil }

// watchHeap returns a function that tells how much the heap has grown at most.
func watchHeap() func() uint64 {
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	done, result := make(chan bool), make(chan uint64)
	go func() {
		var most uint64
		for {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapInuse)
			select {
			case <-done:
				result <- most - min(most, before.HeapInuse)
				return
			default:
				time.Sleep(5 * time.Millisecond)
			}
		}
	}()
	return func() uint64 { done <- true; return <-result }
}

// TestEveryCutOfAWorkbook: a file that ends anywhere is damaged, and no panic.
func TestEveryCutOfAWorkbook(t *testing.T) {
	t.Parallel()
	sheet := `<worksheet><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>em&amp;ail</t></is></c><c r="B1"><f>1</f><v><![CDATA[7]]></v></c></row></sheetData></worksheet>`
	for n := range len(sheet) {
		if err := convert(zipped(t, plain(sheetPart, sheet[:n])...)); err == nil {
			t.Errorf("%q", sheet[:n])
		} else if told := new(workbook.Error); !errors.As(err, &told) {
			t.Errorf("%q: %v", sheet[:n], err)
		}
	}
}

// TestErrorOfTheReader: it isn't the workbook's.
func TestErrorOfTheReader(t *testing.T) {
	t.Parallel()
	file := saved(t, styled(t))
	away := errors.New("away")
	for n := 1; n < 40; n++ {
		left := n
		book, err := workbook.Open(failing{bytes.NewReader(file), &left, away}, int64(len(file)), workbook.Limits{})
		if err == nil {
			_, err = book.Convert(discard{io.Discard}, workbook.Options{})
		}
		if err != nil && !errors.Is(err, away) {
			t.Errorf("after %d reads: %v", n, err)
		}
		if err == nil && n < 3 {
			t.Error("no error")
		}
	}
}

type failing struct {
	io.ReaderAt
	left *int
	err  error
}

func (f failing) ReadAt(p []byte, at int64) (int, error) {
	if *f.left--; *f.left < 0 {
		return 0, fmt.Errorf("chunk: %w", f.err)
	}
	return f.ReaderAt.ReadAt(p, at)
}
