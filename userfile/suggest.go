package userfile

import (
	"bytes"
	"errors"

	"rollcall/roster"
	"rollcall/tabular"
)

// How well a header row suits.
const (
	mismatch = iota // a needed column is not there
	possible        // those that are not there by name may be meant by other headers
	match           // the file can be read
)

// headerRows is how many rows of a file are searched for its header.
const headerRows = 20

// BetterDelimiter finds the delimiter with which a file that could not be used
// has the columns it needs, or likelier ones than it has as it is read with o.
// sample is the beginning of the file.
func BetterDelimiter(sample []byte, o roster.Options) (delimiter string, ok bool) {
	best := mismatch
	for header := range headers(sample, o, 1) {
		best = delimiterScore(header, o)
	}
	for _, d := range tabular.Delimiters() {
		other := o
		other.Delimiter = d
		for header := range headers(sample, other, 1) {
			if s := delimiterScore(header, o); s > best {
				delimiter, best, ok = d, s, true
			}
		}
	}
	return delimiter, ok
}

// delimiterScore prefers a delimiter that gives a needed column its very name over
// one that gives headers which may be meant.
func delimiterScore(header []string, o roster.Options) int {
	score := headerScore(header, o)
	if told := new(FileError); score == mismatch && errors.As(headerError(header, o), &told) && told.Code != roster.MissingColumn {
		return score
	}
	for _, h := range header {
		if column := roster.Column(canonicalHeader(h)); column.Required() {
			score += match
		}
	}
	return score
}

// FindHeaderRow finds the row that looks like the header of a file which begins
// with something else, as a title: with whatever delimiter and encoding.
func FindHeaderRow(sample []byte, o roster.Options) (row int64, ok bool) {
	for _, encoding := range []string{o.Encoding, "auto"} {
		for _, d := range tabular.Delimiters() {
			other := roster.Options{Encoding: encoding, Delimiter: d}
			for header, at := range headers(sample, other, headerRows) {
				if at > 1 && headerScore(header, o) > mismatch && (row == 0 || at < row) {
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

// headerScore judges a header row. One header is never taken for two columns.
func headerScore(header []string, o roster.Options) int {
	err := headerError(header, o)
	if err == nil {
		return match
	}
	if told := new(FileError); errors.As(err, &told) && told.Code == roster.MissingColumn && told.Mapping != nil {
		return possible
	}
	return mismatch
}

func headerError(header []string, o roster.Options) error {
	_, err := mapColumns(header, o)
	return err
}

// Fits reports whether a file with this header row has every column that the
// options map, and the required ones.
func Fits(header []string, o roster.Options) bool { return headerError(header, o) == nil }
