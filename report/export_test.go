package report

import "io"

// WriteCells writes records as reports do.
func WriteCells(w io.Writer, delimiter string, records ...[]string) error {
	s := newSheetWriter(w, delimiter)
	s.mark()
	for _, cells := range records {
		for _, cell := range cells {
			s.cell(cell)
		}
		if err := s.end(); err != nil {
			return err
		}
	}
	return s.flush()
}
