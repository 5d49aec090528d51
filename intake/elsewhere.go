package intake

import (
	"bytes"
	"errors"
	"slices"

	"rollcall/roster"
	"rollcall/tabular"
)

// How well a header row suits.
const (
	unfit  = iota // a needed column is not there
	likely        // those that are not there by name may be meant by other headers
	fit           // the file can be read
)

// headerRows is how many rows of a file are searched for its header.
const headerRows = 20

// BetterDelimiter finds the delimiter with which a file that could not be used
// has the columns it needs, or likelier ones than it has as it is read with o.
// sample is the beginning of the file.
func BetterDelimiter(sample []byte, o roster.Options) (delimiter string, ok bool) {
	best := unfit
	for header := range headers(sample, o, 1) {
		best = suits(header, o.Mapping)
	}
	for _, d := range tabular.Delimiters() {
		other := o
		other.Delimiter = d
		for header := range headers(sample, other, 1) {
			if s := suits(header, o.Mapping); s > best {
				delimiter, best, ok = d, s, true
			}
		}
	}
	return delimiter, ok
}

// HeaderBelow finds the row that looks like the header of a file which begins
// with something else, as a title: with whatever delimiter and encoding.
func HeaderBelow(sample []byte, o roster.Options) (row int64, ok bool) {
	for _, encoding := range []string{o.Encoding, "auto"} {
		for _, d := range tabular.Delimiters() {
			other := roster.Options{Encoding: encoding, Delimiter: d}
			for header, at := range headers(sample, other, headerRows) {
				if at > 1 && suits(header, o.Mapping) > unfit && (row == 0 || at < row) {
					row, ok = at, true
				}
			}
		}
	}
	return row, ok
}

// headers yields the first rows of a file that can be read, and their numbers.
func headers(sample []byte, o roster.Options, most int) func(func([]string, int64) bool) {
	return func(yield func([]string, int64) bool) {
		reader, err := tabular.Open(bytes.NewReader(sample), tabular.Options{Encoding: o.Encoding, Delimiter: o.Delimiter})
		if err != nil {
			return
		}
		for range most {
			record, err := reader.Next()
			if err != nil {
				return
			}
			if record.Fault == nil && !yield(texts(record.Cells), record.Row) {
				return
			}
		}
	}
}

// suits judges a header row. One header is never taken for two columns.
func suits(header []string, mapping map[string]string) int {
	_, err := mapColumns(header, mapping)
	if err == nil {
		return fit
	}
	if told := new(FileError); !errors.As(err, &told) || told.Code != roster.MissingColumn {
		return unfit
	}
	var taken []string
	for _, column := range roster.Columns {
		if !column.Required() {
			continue
		}
		i := slices.IndexFunc(header, func(h string) bool { return matching(h) == string(column) })
		h, ok := "", i >= 0
		if ok {
			h = header[i]
		} else {
			h, ok = Suggest(column, header)
		}
		if !ok || slices.Contains(taken, h) {
			return unfit
		}
		taken = append(taken, h)
	}
	return likely
}

func texts(cells [][]byte) []string {
	header := make([]string, len(cells))
	for i, cell := range cells {
		header[i] = string(cell)
	}
	return header
}
