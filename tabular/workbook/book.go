package workbook

import (
	"bytes"
	"io"
	"strings"
)

// Sheet is a sheet of a workbook.
type Sheet struct {
	Name   string `json:"name"`
	Hidden bool   `json:"hidden,omitempty"`
}

// Book is an open workbook. It is not safe for concurrent use.
type Book struct {
	archive *archive
	format  interface {
		sheets() []Sheet
		// rows calls each for the rows of a sheet, in order. Rows without a value
		// may be left out. It returns the areas of merged cells that headerRow is in
		// and doesn't begin.
		rows(sheet, headerRow int, each func(*row) error) (merges, error)
	}
}

// Open finds out what a file is and reads the list of its sheets. Reads of r are
// small, near to each other, and at the beginning and the end of the file first.
// The error is an *[Error] if the file can't be used, or comes from r.
func Open(r io.ReaderAt, size int64, limits Limits) (*Book, error) {
	begin := make([]byte, len(compoundFile))
	if n, err := r.ReadAt(begin, 0); err != nil && err != io.EOF {
		return nil, err
	} else if begin = begin[:n]; bytes.Equal(begin, []byte(compoundFile)) {
		what, err := compound(r)
		if err != nil {
			return nil, err
		}
		return nil, what
	}
	a, err := openArchive(r, size, limits)
	if err != nil {
		return nil, err
	}
	b := &Book{archive: a}
	mimetype, err := a.begin("mimetype", 128)
	if err != nil {
		return nil, err
	}
	switch kind := string(bytes.TrimSpace(mimetype)); {
	case strings.HasPrefix(kind, "application/vnd.oasis.opendocument.spreadsheet"):
		b.format, err = openODS(a)
	case strings.HasPrefix(kind, "application/vnd.oasis.opendocument."):
		return nil, foreign("This is an OpenDocument file, but not a spreadsheet.", fixExport)
	case a.has("[Content_Types].xml"):
		b.format, err = openXLSX(a)
	default:
		return nil, otherArchive(a)
	}
	if err != nil {
		return nil, err
	}
	if len(b.format.sheets()) == 0 {
		return nil, &Error{NoSheet, "The workbook has no worksheet.", "Put the list in a worksheet, save the workbook and upload it again"}
	}
	return b, nil
}

// otherArchive says what a ZIP archive is that is no workbook.
func otherArchive(a *archive) *Error {
	switch {
	case a.hasPrefix("index/document.iwa"), a.has("index.zip"):
		return foreign("This is a Numbers document, which can't be read.", "In Numbers choose File > Export To > Excel, or CSV, and upload that")
	case a.has("encrypted-package"):
		return protected()
	case a.has("meta-inf/manifest.mf"):
		return foreign("This is a Java archive, not a list.", fixExport)
	}
	return foreign("This is a ZIP archive, not a workbook or a CSV.", "Unpack it and upload the file in it")
}

// Sheets lists the sheets in their order.
func (b *Book) Sheets() []Sheet { return b.format.sheets() }
