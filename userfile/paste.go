package userfile

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"

	"rollcall/roster"
	"rollcall/tabular"
)

// Pasted is text that was pasted instead of a file being uploaded, as a file.
type Pasted struct {
	// File is CSV in UTF-8.
	File []byte
	// Header is the header row that was added because the text had none; nil: it had
	// one, or what its columns are could not be told.
	Header []string
	// Mapping are the options for that header, nil if its names say everything.
	Mapping map[string]string
}

// FromPaste turns pasted text into a file: cells copied from a spreadsheet, a list of
// addresses such as "Ann Lee <ann@x.example>" on lines of their own or separated by
// commas or semicolons, or CSV.
//
// Rows stay in their order, and blank lines stay. So row n of the file is the n-th row
// that was pasted, or the one before if a header was added.
func FromPaste(text string) Pasted {
	text = strings.TrimPrefix(text, "\uFEFF")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	text = strings.TrimRight(text, "\n")
	switch {
	case strings.Contains(text, "\t"):
		return withHeader(writeCSV(spreadsheetCells(text)))
	case isAddressList(text):
		header := []string{string(roster.ColumnName), string(roster.ColumnEmail)}
		return Pasted{File: writeCSV(append([][]string{header}, addressRows(text)...)), Header: header}
	}
	return withHeader([]byte(text + "\n"))
}

// Warning tells about the header that was added; nil if there is none.
func (p Pasted) Warning() *roster.Warning {
	if p.Header == nil {
		return nil
	}
	return &roster.Warning{Code: roster.WarnHeaderAdded, Columns: p.Header, Message: fmt.Sprintf(
		"The pasted rows have no header, so this one was added as row 1: %s. The first pasted row is row 2. Check that each column has the right values.",
		strings.Join(p.Header, ", "))}
}

func writeCSV(rows [][]string) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.WriteAll(rows) // a bytes.Buffer takes everything
	return b.Bytes()
}

// spreadsheetCells splits what a spreadsheet puts on the clipboard: cells separated by
// tabs, in rows. A cell with a line break is in quotes. Any other quote is part of a
// value, even at its beginning, which CSV doesn't allow.
func spreadsheetCells(text string) (rows [][]string) {
	row := []string{}
	for {
		cell, rest, ok := quotedCell(text)
		if !ok {
			end := strings.IndexAny(text, "\t\n")
			if end < 0 {
				end = len(text)
			}
			cell, rest = text[:end], text[end:]
		}
		row = append(row, cell)
		if rest == "" {
			return append(rows, row)
		}
		if rest[0] == '\n' {
			rows, row = append(rows, row), nil
		}
		text = rest[1:]
	}
}

// quotedCell reads a cell in quotes at the beginning of a text. A tab within quotes
// means that they don't belong together.
func quotedCell(text string) (cell, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		return "", "", false
	}
	for i := 1; i < len(text) && text[i] != '\t'; i++ {
		if text[i] != '"' {
			continue
		}
		if strings.HasPrefix(text[i+1:], `"`) {
			i++
			continue
		}
		rest = text[i+1:]
		ok = rest == "" || rest[0] == '\t' || rest[0] == '\n'
		return strings.ReplaceAll(text[1:i], `""`, `"`), rest, ok
	}
	return "", "", false
}

// pastedRows is how many rows are looked at to tell what columns are.
const pastedRows = 100

// withHeader adds a header to a file that begins with a person.
func withHeader(file []byte) Pasted {
	p := Pasted{File: file}
	sample := file[:min(len(file), sampleBytes)]
	var rows [][]string
	for cells := range headers(sample, roster.Options{}, pastedRows) {
		rows = append(rows, cells)
	}
	if len(rows) == 0 || !isPerson(rows[0]) {
		return p
	}
	p.Header, p.Mapping = proposeColumns(rows)
	delimiter := ","
	if reader, err := tabular.Open(bytes.NewReader(sample), tabular.Options{}); err == nil {
		delimiter = reader.Format().Delimiter
	}
	p.File = append([]byte(strings.Join(p.Header, delimiter)+"\n"), file...)
	return p
}

// isPerson reports whether a row has an address, which no header has.
func isPerson(cells []string) bool {
	return slices.ContainsFunc(cells, func(c string) bool {
		_, address := splitAddress(c)
		return isAddress(address)
	})
}

func isAddress(text string) bool {
	_, err := roster.EmailKey(strings.TrimSpace(text))
	return err == nil
}

// proposeColumns names the columns of rows without a header. It names only those of
// which it is certain enough: a department looks like anything else.
func proposeColumns(rows [][]string) (header []string, mapping map[string]string) {
	width := 0
	for _, row := range rows {
		width = max(width, len(row))
	}
	columns := make([][]string, width)
	header = make([]string, width)
	for i := range columns {
		header[i] = fmt.Sprintf("Column %d", i+1)
		for _, row := range rows {
			if i < len(row) && strings.TrimSpace(row[i]) != "" {
				columns[i] = append(columns[i], strings.TrimSpace(row[i]))
			}
		}
	}
	email, most := -1, 0
	for i, values := range columns {
		if n := count(values, isAddress); n > most {
			email, most = i, n
		}
	}
	var texts []int
	for i, values := range columns {
		switch {
		case len(values) == 0:
		case i == email:
			header[i] = string(roster.ColumnEmail)
		case all(values, roleWord) && !slices.Contains(header, string(roster.ColumnRole)):
			header[i] = string(roster.ColumnRole)
		case all(values, statusWord) && !slices.Contains(header, string(roster.ColumnStatus)):
			header[i] = string(roster.ColumnStatus)
		case 2*count(values, nameLike) > len(values):
			texts = append(texts, i)
		}
	}
	return header, nameColumns(header, columns, texts, email)
}

// nameColumns names the column with the names: the first with several words in most
// cells. If there is none, names may be in two columns side by side.
func nameColumns(header []string, columns [][]string, texts []int, email int) map[string]string {
	for _, i := range texts {
		if 2*count(columns[i], func(v string) bool { return strings.Contains(v, " ") }) >= len(columns[i]) {
			header[i] = string(roster.ColumnName)
			return nil
		}
	}
	if len(texts) == 0 {
		return nil
	}
	if len(texts) > 1 {
		first, second := texts[0], texts[1]
		if second == first+1 && (second < email || len(texts) > 2) {
			const given, family = "first_name", "last_name"
			header[first], header[second] = given, family
			return map[string]string{string(roster.ColumnName): string(roster.JoinHeaders(given, family))}
		}
	}
	header[texts[0]] = string(roster.ColumnName)
	return nil
}

func count(values []string, is func(string) bool) (n int) {
	for _, v := range values {
		if is(v) {
			n++
		}
	}
	return n
}

func all(values []string, is func(string) bool) bool { return count(values, is) == len(values) }

func roleWord(value string) bool {
	return strings.EqualFold(value, string(roster.RoleUser)) || strings.EqualFold(value, string(roster.RoleAdmin))
}

func statusWord(value string) bool {
	return strings.EqualFold(value, string(roster.Active)) || strings.EqualFold(value, string(roster.Disabled))
}

// nameLike reports whether a value may be a name: no digits, and at least two
// characters of which one is no ASCII sign.
func nameLike(value string) bool {
	return !strings.ContainsAny(value, "0123456789@_/\\") && strings.ContainsFunc(value, func(r rune) bool { return r >= 'A' })
}
