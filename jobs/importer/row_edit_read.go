package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
	"rollcall/userfile"
)

// fileRow is a row as it was read, without what other rows and users say about it.
type fileRow struct {
	row, line int64
	person    roster.UserFields
	problems  []roster.Problem
	values    map[roster.Column]string // of the columns that the file has
	marked    bool                     // as an error report marks rows
}

// read reads rows, by ascending numbers, with edits: nil for none.
func (t *editRun) read(ctx context.Context, numbers []int64, edits storage.RowEdits) (map[int64]*fileRow, error) {
	found := make(map[int64]*fileRow, len(numbers))
	var reader *userfile.Reader
	var at int64
	for _, number := range numbers {
		var err error
		if reader, err = t.seek(ctx, reader, at, number, edits); err != nil {
			return nil, err
		}
		row, err := rowAt(reader, number)
		if err != nil {
			return nil, err
		}
		found[number], at = t.fileRow(reader, row), number
		t.starts[number] = row.Start
	}
	return found, nil
}

// farAhead is the number of rows above which looking up a mark is faster than reading
// on.
const farAhead = 1000

// seek returns a reader that is at or before a row, behind row at: reader itself if it
// is near.
func (t *editRun) seek(ctx context.Context, reader *userfile.Reader, at, number int64, edits storage.RowEdits) (*userfile.Reader, error) {
	if reader != nil && number-at <= farAhead {
		return reader, nil
	}
	store, i := t.run.importer.store, t.of.Import
	mark, known := t.starts[number]
	var err error
	if !known {
		if mark, err = store.RowOffsetBefore(ctx, i.ID, number); err != nil || reader != nil && mark.Row <= at {
			return reader, err
		}
	}
	if mark == (tabular.Position{}) {
		options := i.Options
		options.Encoding, options.Delimiter = t.of.Layout.Format.Encoding, t.of.Layout.Format.Delimiter
		reader, err = userfile.OpenImport(store.OpenRows(ctx, i, 0), i, options)
	} else {
		reader, err = userfile.Resume(store.OpenRows(ctx, i, mark.Offset), t.of.Layout.Format, t.of.Layout.Header, i.Options, mark)
	}
	if err != nil {
		return nil, fmt.Errorf("open file at row %d: %w", mark.Row, err)
	}
	reader.SetEdits(edits.ForReader())
	return reader, nil
}

// rowAt reads ahead to a row. The error is storage.ErrNotFound for one that the file
// does not have.
func rowAt(reader *userfile.Reader, number int64) (*userfile.Row, error) {
	for {
		row, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF), err == nil && row.Row > number:
			return nil, storage.ErrNotFound
		case err != nil:
			return nil, err
		case row.Row == number:
			return row, nil
		}
	}
}

func (t *editRun) fileRow(reader *userfile.Reader, row *userfile.Row) *fileRow {
	r := &fileRow{row: row.Row, line: row.Line, marked: reader.Marked(row), values: map[roster.Column]string{}}
	for _, column := range t.of.Import.Options.Columns() {
		if reader.Has(column) {
			r.values[column] = reader.FileValue(row, column)
		}
	}
	t.checker.denyAdmin(row)
	r.person, r.problems = row.Person, slices.Clone(row.Problems)
	return r
}

// ownProblems are what is wrong with a row by itself. A row that is as in the file and
// whose cells could not be read has the problem that the check has found: a reader
// that begins in the middle of a file may not know it.
func (t *editRun) ownProblems(r *fileRow) []roster.Problem {
	if _, edited := t.edits[r.row]; edited {
		return r.problems
	}
	if old, undone := t.of.Edits[r.row]; undone {
		if old.Whole {
			return old.FileProblems
		}
		return r.problems
	}
	if v := t.verdicts[r.row].Error; v != nil && v.Problems[0].Field == "" {
		return v.Problems
	}
	return r.problems
}
