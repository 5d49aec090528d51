//go:build unix

package main

import (
	"archive/zip"
	"bufio"
	"context"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
)

// measureWorkbook times a dry run of a workbook, from POST to ready, against the same
// rows as CSV; and looks at the memory of worker and API with a large one.
func measureWorkbook(ctx context.Context, l *env) ([]Line, error) {
	rows, many := l.scaled(200_000), l.scaled(1_000_000)
	list, err := l.file(ctx, fileOf{rows: rows})
	if err != nil {
		return nil, err
	}
	var lines []Line
	for _, shared := range []bool{false, true} {
		line, err := l.compareWorkbook(ctx, list, rows, shared)
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	large, err := l.file(ctx, fileOf{rows: many})
	if err != nil {
		return nil, err
	}
	book, err := l.workbook(large, true)
	if err != nil {
		return nil, err
	}
	tiny, err := l.file(ctx, fileOf{rows: 10})
	if err != nil {
		return nil, err
	}
	_, much, err := l.timeReady(ctx, book, many)
	if err != nil {
		return nil, err
	}
	_, little, err := l.timeReady(ctx, tiny, 10)
	return append(lines,
		Line{What: "worker's memory, workbook of " + thousands(many) + " rows", Unit: "MB", Wanted: atMost(160), Ours: []float64{much.worker}},
		Line{What: "API's memory, the same", Unit: "MB", Against: "a file of 10 rows", Wanted: within(16), Ours: []float64{much.api}, Theirs: []float64{little.api}}), err
}

func (l *env) compareWorkbook(ctx context.Context, list string, rows int, shared bool) (line Line, err error) {
	kind := "texts in the cells"
	if shared {
		kind = "shared texts"
	}
	line = Line{What: fmt.Sprintf("dry run of %s rows as .xlsx, %s", thousands(rows), kind), Unit: "s", Against: "the same as CSV", Wanted: atMostTimes(4)}
	book, err := l.workbook(list, shared)
	if err != nil {
		return line, err
	}
	return line, l.rounds(3, func(int) error {
		ours, _, err := l.timeReady(ctx, book, rows)
		if err != nil {
			return err
		}
		theirs, _, err := l.timeReady(ctx, list, rows)
		line.Ours, line.Theirs = append(line.Ours, ours), append(line.Theirs, theirs)
		return err
	})
}

// peaks are the most memory that the programs used, in MB.
type peaks struct{ worker, api float64 }

// timeReady returns the seconds from POST to ready.
func (l *env) timeReady(ctx context.Context, path string, rows int) (took float64, peak peaks, err error) {
	h, err := l.open(ctx, settings{})
	if err != nil {
		return 0, peak, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	i, spent, err := h.run(ctx, path, "dry_run", "true")
	if err == nil && (i.Status != "ready" || i.Valid != int64(rows)) {
		err = fmt.Errorf("%d rows were checked as %+v", rows, i)
	}
	return spent.Seconds(), peaks{h.workers[0].peak(), h.api.peak()}, err
}

// workbook writes a CSV as a workbook, the way Excel does (shared) or programs that
// stream do.
func (l *env) workbook(list string, shared bool) (path string, err error) {
	in, err := os.Open(list)
	if err != nil {
		return "", err
	}
	defer in.Close()
	return l.write(func(out *bufio.Writer) error {
		z := zip.NewWriter(out)
		for _, part := range workbookParts {
			w, err := z.Create(part.name)
			if err == nil {
				_, err = io.WriteString(w, part.content)
			}
			if err != nil {
				return err
			}
		}
		texts, err := writeSheet(z, csv.NewReader(in), shared)
		if err == nil {
			err = writeTexts(z, texts)
		}
		return errors.Join(err, z.Close())
	})
}

const relationships = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"

var workbookParts = []struct{ name, content string }{
	{"[Content_Types].xml", `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>`},
	{"_rels/.rels", `<Relationships><Relationship Id="r1" Type="` + relationships + `/officeDocument" Target="xl/workbook.xml"/></Relationships>`},
	{"xl/workbook.xml", `<workbook xmlns:r="` + relationships + `"><sheets><sheet name="Users" sheetId="1" r:id="r1"/></sheets></workbook>`},
	{"xl/_rels/workbook.xml.rels", `<Relationships><Relationship Id="r1" Type="` + relationships + `/worksheet" Target="worksheets/sheet1.xml"/>` +
		`<Relationship Id="r2" Type="` + relationships + `/sharedStrings" Target="sharedStrings.xml"/></Relationships>`},
}

// writeSheet writes the rows, and returns the texts that they share, in order.
func writeSheet(z *zip.Writer, in *csv.Reader, shared bool) (texts []string, err error) {
	part, err := z.Create("xl/worksheets/sheet1.xml")
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriter(part)
	known := map[string]int{}
	fmt.Fprint(out, `<worksheet><sheetData>`)
	for row := 1; ; row++ {
		cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(out, `<row r="%d">`, row)
		for column, text := range cells {
			ref := fmt.Sprintf("%c%d", 'A'+column, row)
			if !shared {
				fmt.Fprintf(out, `<c r="%s" t="inlineStr"><is><t>`, ref)
				if err := xml.EscapeText(out, []byte(text)); err != nil {
					return nil, err
				}
				fmt.Fprint(out, `</t></is></c>`)
				continue
			}
			n, ok := known[text]
			if !ok {
				n = len(texts)
				known[text], texts = n, append(texts, text)
			}
			fmt.Fprintf(out, `<c r="%s" t="s"><v>%d</v></c>`, ref, n)
		}
		fmt.Fprint(out, `</row>`)
	}
	fmt.Fprint(out, `</sheetData></worksheet>`)
	return texts, out.Flush()
}

func writeTexts(z *zip.Writer, texts []string) error {
	part, err := z.Create("xl/sharedStrings.xml")
	if err != nil {
		return err
	}
	out := bufio.NewWriter(part)
	fmt.Fprint(out, `<sst>`)
	for _, text := range texts {
		fmt.Fprint(out, `<si><t>`)
		if err := xml.EscapeText(out, []byte(text)); err != nil {
			return err
		}
		fmt.Fprint(out, `</t></si>`)
	}
	fmt.Fprint(out, `</sst>`)
	return out.Flush()
}
