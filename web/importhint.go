package web

import (
	"context"
	"errors"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"rollcall/intake"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
)

// hint is something about a file that one click sets right: the file is read
// again with one option changed.
type hint struct {
	Text         string
	Button       string // "": there is nothing to click
	Field, Value string // the option
}

const (
	// sampleBytes is how much of a file is looked at to guess its encoding.
	sampleBytes = 64 << 10
	// sampleRows bounds the rows read to guess what some of them are encoded in.
	sampleRows = 5000
)

// unusableView shows why a file as a whole could not be used, and how it might
// be after all.
type unusableView struct {
	*roster.Import
	Problem string // why the last try to read it another way did not work
	Hints   []hint
	Reading readingView
	Kin     storage.Kin
}

func (v unusableView) frame() frame {
	return frame{Template: "unusable", Title: "Import of " + v.Filename, Section: sectionImports}
}

// ColumnsMatter reports whether the file failed for want of a column.
func (v unusableView) ColumnsMatter() bool {
	return v.Failure.Code == roster.MissingColumn && len(v.Reading.Columns) > 0
}

// showUnusable shows why a file could not be used.
func (s *Site) showUnusable(c *gin.Context, status int, admin *roster.User, i *roster.Import, problem string) (err error) {
	ctx := c.Request.Context()
	v := unusableView{Import: i, Problem: problem}
	if v.Kin, err = s.Store.ImportKin(ctx, i.ID); err != nil {
		return err
	}
	if createdBy(i, admin) && !i.Purged() {
		header, err := s.header(ctx, i)
		if err != nil {
			return err
		}
		v.Reading = newReading(i, header)
		if i.Failure.Code == roster.EncodingError {
			if v.Hints, err = s.encodingOfAll(ctx, i); err != nil {
				return err
			}
		}
	}
	return s.show(c, status, admin, v)
}

// header reads the first record of a file, nil if there is none to be had.
func (s *Site) header(ctx context.Context, i *roster.Import) ([]string, error) {
	options := tabular.Options{Encoding: i.Options.Encoding, Delimiter: i.Options.Delimiter}
	var unusable *tabular.FileError
	reader, err := tabular.Open(s.Store.OpenUpload(ctx, i.ID, 0), options)
	if errors.As(err, &unusable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	record, err := reader.Next()
	if errors.Is(err, io.EOF) || err == nil && record.Fault != nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	header := make([]string, len(record.Cells))
	for k, cell := range record.Cells {
		header[k] = string(cell)
	}
	return header, nil
}

// encodingOfAll hints at the encoding of a file that could not be read at all.
func (s *Site) encodingOfAll(ctx context.Context, i *roster.Import) ([]hint, error) {
	sample := make([]byte, sampleBytes)
	n, err := io.ReadFull(s.Store.OpenUpload(ctx, i.ID, 0), sample)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return encodingHint("", tabular.Guess(sample[:n]), i.Options.Encoding), nil
}

// previewHints are what could be set right before the import.
func (s *Site) previewHints(ctx context.Context, i *roster.Import, layout storage.Layout) (hints []hint, err error) {
	refused := map[roster.Code]int64{}
	if i.Failed > 0 {
		reasons, err := s.Store.RefusalReasons(ctx, i.ID)
		if err != nil {
			return nil, err
		}
		for _, r := range reasons {
			refused[r.Reason] = r.Rows
		}
	}
	if n := refused[roster.EncodingError]; n > 0 {
		likely, err := s.encodingOfRows(ctx, i, layout)
		if err != nil {
			return nil, err
		}
		text := counted(n, "row is", "rows are") + " not valid text in the encoding the file was read with."
		if likely == mixedEncodings {
			hints = []hint{{Text: text + " The rest of the file is as it should be, so no other encoding reads all of it: mend these cells alone.", Field: fieldEncoding}}
		} else {
			hints = encodingHint(text, likely, i.Options.Encoding)
		}
	}
	switch n := refused[roster.DuplicateEmail]; {
	case i.Options.OnDuplicate == roster.UpdateDuplicates:
		hints = append(hints, hint{
			Text:   "Accounts that are already there get the name, role and department of the file.",
			Button: "Leave existing accounts alone", Field: fieldOnDuplicate, Value: string(roster.SkipDuplicates),
		})
	case n > 0:
		hints = append(hints, hint{
			Text:   counted(n, "row has an address", "rows have addresses") + " with an account already, or that stood earlier in the file. Accounts are left as they are.",
			Button: "Update existing accounts instead", Field: fieldOnDuplicate, Value: string(roster.UpdateDuplicates),
		})
	}
	return hints, nil
}

// mixedEncodings is what rows are encoded in of which some, with letters beyond
// ASCII, are UTF-8 and others are not: typed together from two programs.
const mixedEncodings = "mixed"

// encodingOfRows guesses what the rows are encoded in that are not UTF-8.
func (s *Site) encodingOfRows(ctx context.Context, i *roster.Import, layout storage.Layout) (string, error) {
	first, err := s.Store.RefusalsFor(ctx, i.ID, roster.EncodingError, 0, 1)
	if err != nil || len(first) == 0 {
		return "", err
	}
	start := make([]byte, len(utf8Mark))
	if _, err := io.ReadFull(s.Store.OpenUpload(ctx, i.ID, 0), start); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", err
	}
	if string(start) == utf8Mark {
		return mixedEncodings, nil
	}
	mark, err := s.Store.MarkBefore(ctx, i.ID, first[0].Row)
	if err != nil || mark.Row == 0 {
		return "", err
	}
	sheet, err := intake.Resume(s.Store.OpenUpload(ctx, i.ID, mark.Offset), layout.Format, layout.Header, i.Options.Mapping, mark)
	if err != nil {
		return "", err
	}
	for range sampleRows {
		row, err := sheet.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		if beyondASCII(row) {
			return mixedEncodings, nil
		}
	}
	return sheet.LikelyEncoding(), nil
}

// utf8Mark begins a file that says of itself that it is UTF-8.
const utf8Mark = "\ufeff"

// beyondASCII reports whether a row is valid text with more than ASCII in it.
func beyondASCII(row *intake.Row) bool {
	for _, p := range row.Problems {
		if p.Code == roster.EncodingError {
			return false
		}
	}
	return slices.ContainsFunc(row.Cells, func(cell []byte) bool {
		return slices.ContainsFunc(cell, func(b byte) bool { return b >= utf8.RuneSelf })
	})
}

// encodingHint offers to read a file in the likely encoding, if that is another
// one than it was read in and one we can read.
func encodingHint(text, likely, now string) []hint {
	if likely == "" || likely == "utf-8" && now == "" || likely == now ||
		intake.CheckOptions(roster.Options{Encoding: likely}) != nil {
		return nil
	}
	if text != "" {
		text += " "
	}
	return []hint{{Text: text + "The file looks like " + likely + ".", Button: "Read it as " + likely, Field: fieldEncoding, Value: likely}}
}
