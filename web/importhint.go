package web

import (
	"context"
	"errors"
	"fmt"
	"io"

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

// sampleBytes is how much of a file is looked at to guess how it is to be read.
const sampleBytes = 64 << 10

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

// Columnless reports whether the file failed for want of a column.
func (v unusableView) Columnless() bool {
	return v.Failure.Code == roster.MissingColumn && len(v.Reading.Columns) > 0
}

// ColumnsMatter reports whether to choose columns is what would help.
func (v unusableView) ColumnsMatter() bool { return v.Columnless() && len(v.Hints) == 0 }

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
		if v.Hints, err = s.unusableHints(ctx, i); err != nil {
			return err
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
	if err == io.EOF || err == nil && record.Fault != nil {
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

// unusableHints are how a file that could not be read, or lacks a column, might
// be read after all.
func (s *Site) unusableHints(ctx context.Context, i *roster.Import) ([]hint, error) {
	sample := make([]byte, sampleBytes)
	n, err := io.ReadFull(s.Store.OpenUpload(ctx, i.ID, 0), sample)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	sample = sample[:n]
	switch i.Failure.Code {
	case roster.EncodingError:
		return encodingHint("", tabular.Guess(sample), i.Options.Encoding), nil
	case roster.MissingColumn, roster.DuplicateColumn, roster.MalformedFile:
		if d, ok := intake.BetterDelimiter(sample, i.Options); ok {
			name := delimiterNames[d]
			return []hint{{Text: "The file looks like one with a " + name + " between cells.", Button: "Read it with a " + name, Field: fieldDelimiter, Value: name}}, nil
		}
		if row, ok := intake.HeaderBelow(sample, i.Options); ok {
			return []hint{{Text: fmt.Sprintf("The names of the columns seem to stand in row %d, but the first row has to name them. "+
				"Delete everything above row %d in your spreadsheet, save it as CSV and upload it again.", row, row)}}, nil
		}
	}
	return nil, nil
}

// previewHints are what could be set right before the import.
func (s *Site) previewHints(ctx context.Context, i *roster.Import) (hints []hint, err error) {
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
		hints = encodingOfRows(i, counted(n, "row is", "rows are")+" not valid text in the encoding the file was read with.")
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

// encodingOfRows hints at the encoding of rows that are not valid text, by what
// the check has warned of.
func encodingOfRows(i *roster.Import, text string) []hint {
	for _, w := range i.Warnings {
		switch w.Code {
		case roster.WarnMixedEncodings:
			return []hint{{Text: text + " The rest of the file is as it should be, so no other encoding reads all of it: mend these cells alone.", Field: fieldEncoding}}
		case roster.WarnLikelyEncoding:
			return encodingHint(text, w.Encoding, i.Options.Encoding)
		}
	}
	return nil
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
