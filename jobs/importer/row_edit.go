package importer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
	"rollcall/userfile"
)

// RowEditor changes cells of rows of checked imports that wait to be confirmed. It is
// safe for concurrent use.
type RowEditor struct{ importer *Importer }

// NewRowEditor makes a RowEditor. Of cfg it uses AdminScopes and Timeout.
func NewRowEditor(store *storage.Store, cfg Config) *RowEditor {
	cfg.setDefaults()
	return &RowEditor{&Importer{store: store, cfg: cfg}}
}

// CellChanges are new values of a row's cells; nil: the file's own again.
type CellChanges map[roster.Column]*string

// MaxCellBytes is how long a new value may be.
const MaxCellBytes = 4000

// CellError is why a cell can't be changed. The Message is a sentence.
type CellError struct {
	Column  roster.Column
	Message string
}

func (e *CellError) Error() string { return "column " + string(e.Column) + ": " + e.Message }

// ErrTooManyTied: more rows have the address or key of an edited row, directly or by
// way of other rows and users, than one edit looks at.
var ErrTooManyTied = errors.New("too many rows are tied to the edited one")

// editTries is how often an edit is made again that met another one.
const editTries = 5

// Edit changes cells of rows, by row number, all or none of them, and judges again
// every row that this may concern: docs/adr/0048 says which. tied are the other rows
// of which that changed the verdict, in order.
//
// Errors: storage.ErrNotFound for an import or row that is not there,
// storage.ErrWrongState unless the import is ready or held, storage.ErrNotEditable,
// storage.ErrTooManyEdits, storage.ErrNoValidRow, [ErrTooManyTied], *[CellError].
func (e *RowEditor) Edit(ctx context.Context, id uuid.UUID, rows map[int64]CellChanges, by storage.AuditEntry) (tied []int64, err error) {
	for range editTries {
		if tied, err = e.try(ctx, id, rows, by); !errors.Is(err, storage.ErrEditConflict) {
			return tied, err
		}
	}
	return nil, err
}

func (e *RowEditor) try(ctx context.Context, id uuid.UUID, rows map[int64]CellChanges, by storage.AuditEntry) ([]int64, error) {
	of, err := e.importer.store.EditableImport(ctx, id)
	if err != nil {
		return nil, err
	}
	t := &editRun{
		run:    &importRun{importer: e.importer, claim: &storage.Claim{Import: of.Import, Layout: of.Layout}},
		of:     of,
		edits:  maps.Clone(of.Edits),
		before: map[int64]*fileRow{},
		rows:   map[int64]*fileRow{},
		starts: map[int64]tabular.Position{},
		tied:   map[int64]bool{},
		emails: map[string]bool{}, ids: map[string]bool{},
	}
	t.checker = &checker{run: t.run}
	if err := t.checker.loadAdminRights(ctx); err != nil {
		return nil, err
	}
	if err := t.change(ctx, rows); err != nil {
		return nil, err
	}
	if len(t.targets) == 0 {
		return nil, nil // all cells are so already
	}
	if err := t.findTied(ctx); err != nil {
		return nil, err
	}
	if err := t.judge(ctx); err != nil {
		return nil, err
	}
	if err := t.findMissing(ctx); err != nil {
		return nil, err
	}
	t.saved.Detail = detailOf(rows)
	return t.tiedRows(), e.importer.store.SaveEdits(ctx, of.Import, t.saved, by)
}

// detailOf is what the audit log says: which cells, and none of their values.
func detailOf(rows map[int64]CellChanges) map[string]any {
	if len(rows) != 1 {
		return map[string]any{"rows": len(rows)}
	}
	for row, cells := range rows {
		return map[string]any{"row": row, "columns": slices.Sorted(maps.Keys(cells))}
	}
	return nil
}

// editRun is one try of an edit.
type editRun struct {
	run     *importRun
	checker *checker
	of      *storage.EditableImport
	edits   storage.RowEdits           // as they will be
	targets []int64                    // the edited rows, in order
	before  map[int64]*fileRow         // the targets as they were
	rows    map[int64]*fileRow         // rows as they will be, tied or not
	starts  map[int64]tabular.Position // of rows that were read

	verdicts    map[int64]storage.RowVerdict // of the tied rows, before
	tied        map[int64]bool               // the targets, and rows that they concern
	emails, ids map[string]bool              // addresses and keys of tied rows and of their users
	saved       storage.EditedRows
	changed     []int64 // tied rows with another verdict
}

// change works out the edits of the targets.
func (t *editRun) change(ctx context.Context, rows map[int64]CellChanges) error {
	wanted := slices.Sorted(maps.Keys(rows))
	inFile, err := t.read(ctx, wanted, nil)
	if err != nil {
		return err
	}
	if t.verdicts, err = t.run.importer.store.RowVerdicts(ctx, t.of.Import.ID, wanted); err != nil {
		return err
	}
	var again []int64 // edited before
	for _, row := range wanted {
		file := inFile[row]
		old, known := t.of.Edits[row]
		e := storage.RowEdit{Row: row, Cells: maps.Clone(old.Cells), Whole: old.Whole, Line: file.line, FileText: fileText(file), FileProblems: old.FileProblems}
		if !known {
			e.Cells = map[roster.Column]string{}
			if v := t.verdicts[row].Error; v != nil && userfile.IsShape(v.Problems[0]) && !file.marked {
				e.Whole, e.FileProblems = true, v.Problems
			}
		}
		for column, value := range rows[row] {
			if err := t.changeCell(&e, file, column, value); err != nil {
				return err
			}
		}
		if maps.Equal(e.Cells, old.Cells) || len(e.Cells) == 0 && !known {
			continue
		}
		t.targets = append(t.targets, row)
		if t.before[row] = file; known {
			again = append(again, row)
		}
		if t.edits[row] = e; len(e.Cells) == 0 {
			delete(t.edits, row)
			t.saved.Undone = append(t.saved.Undone, row)
		}
	}
	if len(t.edits) > storage.MaxRowEdits {
		return storage.ErrTooManyEdits
	}
	if len(again) > 0 {
		edited, err := t.read(ctx, again, t.of.Edits)
		if err != nil {
			return err
		}
		maps.Copy(t.before, edited)
	}
	if t.rows, err = t.read(ctx, t.targets, t.edits); err != nil {
		return err
	}
	for _, row := range t.targets {
		if e, edited := t.edits[row]; edited {
			p := t.rows[row].person
			e.EmailKey, e.ExternalID = storage.ReadableEmail(p), p.ExternalID
			t.edits[row] = e
			t.saved.Edits = append(t.saved.Edits, e)
		}
	}
	return nil
}

// fileText is what an erasure finds the row by in the file.
func fileText(file *fileRow) string {
	for _, column := range []roster.Column{roster.ColumnEmail, roster.ColumnName} {
		if value := strings.TrimSpace(file.values[column]); value != "" && len(value) <= MaxCellBytes {
			return strings.ToValidUTF8(strings.ReplaceAll(value, "\x00", ""), "")
		}
	}
	return ""
}

// changeCell changes one cell of an edit. A value that the file has already is no
// change.
func (t *editRun) changeCell(e *storage.RowEdit, file *fileRow, column roster.Column, value *string) error {
	if _, has := file.values[column]; !has {
		return &CellError{column, "The file has no column " + string(column) + "."}
	}
	switch {
	case value == nil, !e.Whole && *value == file.values[column]:
		delete(e.Cells, column)
	case len(*value) > MaxCellBytes:
		return &CellError{column, "The value is too long."}
	case slices.Contains([]byte(*value), 0):
		return &CellError{column, "The value contains a NUL character."}
	default:
		e.Cells[column] = *value
	}
	return nil
}
