package userfile

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"

	"rollcall/roster"
	"rollcall/tabular"
)

// swappedRows is how many rows there must be at least with the name and the address
// in each other's place for the columns to be swapped, rather than a row.
const swappedRows = 2

// swapped finds out whether most rows at the beginning of a file have the address
// where the name is to be, and none where the address is. Then the file has one
// problem, not each row: the error proposes the mapping that reads it.
func swapped(sample []byte, format tabular.Format, headerRow int64, c columns, header []string) error {
	email, name := c.at[0], c.at[1]
	reader, err := tabular.Open(bytes.NewReader(sample), tabular.Options{Encoding: format.Encoding, Delimiter: format.Delimiter, Sheet: format.Sheet})
	if err != nil || len(c.nameParts) > 0 {
		return nil
	}
	if _, err := readHeader(reader, headerRow); err != nil {
		return nil
	}
	rows, found := 0, 0
	for rows < surveyRows {
		record, err := reader.Next()
		if err != nil {
			break
		}
		if record.Fault != nil || len(record.Cells) <= max(email, name) || !isBlank(record.Cells[min(c.full, len(record.Cells)):]) {
			continue // with more cells than headers, the rows begin with a column that has none
		}
		if rows++; isSwapped(string(record.Cells[email]), string(record.Cells[name])) {
			found++
		}
	}
	if found < swappedRows || 2*found <= rows {
		return nil
	}
	e := fileError(roster.MissingColumn, fmt.Sprintf("The columns %q and %q are swapped: most rows have an address in %q and none in %q.",
		shownHeader(header[email]), shownHeader(header[name]), shownHeader(header[name]), shownHeader(header[email])))
	e.Mapping = map[roster.Column]roster.Headers{
		roster.ColumnEmail: roster.Headers(headerName(header[name])), roster.ColumnName: roster.Headers(headerName(header[email])),
	}
	e.Fix = "Exchange the two headers, or send the mapping"
	e.Message += " Exchange the two headers, or send mapping " + mappingText(e.Mapping) + "."
	return e
}

// isSwapped reports whether a row's cell for the name has an address, and the one
// for the address has something like a name.
func isSwapped(email, name string) bool {
	if strings.Contains(email, "@") || !strings.ContainsFunc(email, unicode.IsLetter) {
		return false
	}
	_, err := roster.EmailKey(strings.TrimSpace(name))
	return err == nil
}

// tellSwapped says of a refused row that its name and address are in each other's
// place, if they are.
func tellSwapped(r *Row) {
	for i := range r.Problems {
		if p := &r.Problems[i]; p.Field == roster.ColumnEmail && p.Code == roster.InvalidEmail && isSwapped(r.Person.Email, r.Person.Name) {
			p.Message, p.Fix = "The name and the address are in each other's place.", "Exchange the two values"
		}
	}
}
