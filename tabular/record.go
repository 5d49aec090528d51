package tabular

import "fmt"

// Position is where a record starts: enough to go on reading there in another
// process. Positions come from a [Record] and are of use only with the Format
// of the same Reader.
type Position struct {
	// Row and Line number the record that starts here, from 1: see [Record].
	Row  int64 `json:"row"`
	Line int64 `json:"line"`
	// Offset counts bytes of the file as it was received. A reader given to
	// [Resume] starts there.
	Offset int64 `json:"offset"`
	// Skip counts bytes of UTF-8 to drop after decoding from Offset. It is
	// always 0 in a UTF-8 file. In other encodings a record may start
	// between two points at which decoding can begin.
	Skip int64 `json:"skip"`
}

// Record is one row of the file. It and everything it refers to are valid
// until the next call of [Reader.Next].
type Record struct {
	// Row is the number a spreadsheet shows. The header is row 1 unless
	// blank lines stand before it; blank lines count; a line break within
	// quotes starts no new row; an obeyed `sep=` line has no number.
	Row int64
	// Line is the physical line on which the record starts, from 1. A CR, an
	// LF and a CRLF each end one line, within quotes too.
	Line int64
	// Start is where this record begins, End where reading goes on behind it.
	Start, End Position
	// Cells are the values, without quotes and otherwise as they stand, in
	// valid UTF-8: white space around them is kept, but for that around
	// quotes. Their number may differ from that of other records.
	//
	// In a record with a Fault they are what could be made out, for showing:
	// bytes that are not valid stand as U+FFFD; from the first broken
	// quote on, quotes stand for themselves; never more than the cell limit;
	// and only the first few thousand bytes of what was too long.
	Cells [][]byte
	// Fault is nil for a sound record.
	Fault *Fault
}

// FaultKind says what is wrong with a record.
type FaultKind string

// The kinds of fault. Where several apply, the first in this order is told.
const (
	// FaultEncoding: bytes that are not valid in the file's encoding.
	FaultEncoding FaultKind = "encoding"
	// FaultNUL: a NUL character, which no text and no database column holds.
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

// Fault is why a record is not sound. It never holds any content of the file.
type Fault struct {
	Kind FaultKind
	// Cell is the index of the first cell at fault, from 0, or -1 where the
	// fault is not one of a cell.
	Cell int
	// Limit is the limit exceeded: bytes for FaultTooLong and
	// FaultUnbalancedQuote, cells for FaultTooManyCells, else 0.
	Limit int
}

// Message is a sentence for the person who has to mend the row. It never
// repeats any content of the file.
func (f *Fault) Message() string {
	switch f.Kind {
	case FaultEncoding:
		return fmt.Sprintf("%s has bytes that are not valid in the file's encoding.", f.place())
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

// place names the cell as people count.
func (f *Fault) place() string {
	if f.Cell < 0 {
		return "The row"
	}
	return fmt.Sprintf("Cell %d", f.Cell+1)
}
