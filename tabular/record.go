package tabular

import "fmt"

// Position is where a record starts. With it, another process can continue reading
// there. Positions come from a [Record] and are valid only with the Format of the
// same Reader.
type Position struct {
	// Row and Line number the record that starts here, from 1: see [Record].
	Row  int64 `json:"row"`
	Line int64 `json:"line"`
	// Offset counts bytes of the file as received. The reader passed to [Resume]
	// must start there.
	Offset int64 `json:"offset"`
	// Skip is how many bytes of UTF-8 to skip after decoding from Offset. It is
	// always 0 in UTF-8 files. In other encodings a record may start between two
	// points at which decoding can begin.
	Skip int64 `json:"skip"`
}

// Record is one row of the file. It and everything it refers to are valid
// until the next call of [Reader.Next].
type Record struct {
	// Row is the number that a spreadsheet shows. The header is row 1 unless
	// there are blank lines before it, which count. A line break within quotes
	// starts no new row, and a `sep=` line that sets the delimiter isn't counted.
	Row int64
	// Line is the physical line on which the record starts, from 1. A CR, an
	// LF and a CRLF each end one line, also within quotes. In a sheet it is the row.
	Line int64
	// Start is where this record begins, End where the next one does.
	Start, End Position
	// Cells are the values without quotes, in valid UTF-8. White space around them
	// is kept, except around quotes. Records may have different numbers of cells.
	//
	// In a record with a Fault they are an approximation for display: U+FFFD
	// replaces bytes that are not valid, quotes are kept from the first broken one
	// on, cells beyond the limit are left out, and text that is too long is cut
	// after a few thousand bytes.
	Cells [][]byte
	// Plain is true if the record is known to be printable ASCII without quotes,
	// apostrophes and backticks, which saves searching its cells for other
	// characters. False means unknown.
	Plain bool
	// Fault is nil for a sound record.
	Fault *Fault
}

// FaultKind says what is wrong with a record.
type FaultKind string

// The kinds of faults. If several apply, the first in this order is reported.
const (
	// FaultEncoding: bytes that are not valid in the file's encoding.
	FaultEncoding FaultKind = "encoding"
	// FaultNUL: a NUL character, which text columns of the database can't store.
	FaultNUL FaultKind = "nul"
	// FaultUnbalancedQuote: a quoted cell that does not end before the end of
	// the file or the record limit.
	FaultUnbalancedQuote FaultKind = "unbalanced_quote"
	// FaultStrayQuote: a quote inside an unquoted cell, or text between the
	// closing quote and the next delimiter.
	FaultStrayQuote FaultKind = "stray_quote"
	// FaultTooLong: more text than the record limit.
	FaultTooLong FaultKind = "too_long"
	// FaultTooManyCells: more cells than the cell limit.
	FaultTooManyCells FaultKind = "too_many_cells"
)

// Fault says what is wrong with a record. It never contains content of the file.
type Fault struct {
	Kind FaultKind
	// Cell is the index of the first faulty cell, from 0, or -1 if the fault
	// concerns the whole record.
	Cell int
	// Limit is the limit that was exceeded: in bytes for FaultTooLong and
	// FaultUnbalancedQuote, in cells for FaultTooManyCells, otherwise 0.
	Limit int
}

// Message returns a sentence for the person who has to fix the row. It never
// repeats content of the file.
func (f *Fault) Message() string {
	switch f.Kind {
	case FaultEncoding:
		return fmt.Sprintf("%s contains characters that can't be read with the selected encoding.", f.place())
	case FaultNUL:
		return fmt.Sprintf("%s has a NUL character.", f.place())
	case FaultUnbalancedQuote:
		return fmt.Sprintf("%s opens a quote that is never closed.", f.place())
	case FaultStrayQuote:
		return fmt.Sprintf("%s has a quote in the wrong place: put the whole cell in quotes and write a quote inside it twice.", f.place())
	case FaultTooLong:
		return fmt.Sprintf("The row is longer than %d bytes.", f.Limit)
	case FaultTooManyCells:
		return fmt.Sprintf("The row has more than %d cells.", f.Limit)
	default:
		return "The row cannot be read."
	}
}

// place names the cell, counted from 1.
func (f *Fault) place() string {
	if f.Cell < 0 {
		return "The row"
	}
	return fmt.Sprintf("Cell %d", f.Cell+1)
}
