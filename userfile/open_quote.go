package userfile

import (
	"fmt"

	"rollcall/roster"
)

// openQuoteRows is how many rows without a good one behind an open quote show
// that they are the inside of a cell and no rows.
const openQuoteRows = 1000

// OpenQuote watches the rows of a file for a quote that is never closed and
// behind which nothing is a row any more, as with a long text in a cell. The
// zero value is ready.
type OpenQuote struct {
	row   int64 // the row that opens the quote, 0: none
	since int   // rows behind it, none of them good
}

// Row takes the next row. The error is a *[FileError] that names the row with
// the quote.
func (q *OpenQuote) Row(r *Row) error {
	switch {
	case len(r.Problems) == 0:
		*q = OpenQuote{}
	case q.row > 0:
		q.since++
	case r.OpensQuote:
		q.row = r.Row
	}
	if q.since < openQuoteRows {
		return nil
	}
	return fileError(roster.MalformedFile, fmt.Sprintf(
		"Row %d opens a quote that is never closed, or is not closed within 1 MiB, and none of the %d rows behind it is good. Close the quote, or remove it.",
		q.row, openQuoteRows))
}
