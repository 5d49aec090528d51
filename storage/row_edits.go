package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// MaxRowEdits is how many rows of an import may be edited.
const MaxRowEdits = 1000

var (
	// ErrTooManyEdits: more than [MaxRowEdits] rows of the import would be edited.
	ErrTooManyEdits = errors.New("too many edited rows")
	// ErrNotEditable: the import was checked by a version that edits no rows.
	ErrNotEditable = errors.New("rows cannot be edited")
	// ErrNoValidRow: no row of a full roster would be left, and everyone disabled.
	ErrNoValidRow = errors.New("no valid row in a full roster")
	// ErrEditConflict: the import changed meanwhile. Read it again, and try again.
	ErrEditConflict = errors.New("import changed meanwhile")
)

// RowEdit is a row of an import with cells that were changed after the upload.
type RowEdit struct {
	Row   int64
	Cells map[roster.Column]string
	// Whole: the row can't be read in the file, so that its other cells are blank.
	Whole bool
	// Line is the row's line in the file, and FileText its address there, or else its
	// name: an erasure finds it by them.
	Line     int64
	FileText string
	// FileProblems are why a row can't be read, which it has again once the edit is
	// undone.
	FileProblems []roster.Problem
	// EmailKey and ExternalID are what the row is known by now; "" for nothing.
	EmailKey, ExternalID string
}

// RowEdits are edited rows by number.
type RowEdits map[int64]RowEdit

// ForReader are the edits as a reader of the file needs them.
func (e RowEdits) ForReader() map[int64]roster.RowEdit {
	if len(e) == 0 {
		return nil
	}
	edits := make(map[int64]roster.RowEdit, len(e))
	for row, edit := range e {
		edits[row] = roster.RowEdit{Cells: edit.Cells, Whole: edit.Whole}
	}
	return edits
}

// RowEdits reads the edited rows of an import, by row.
func (s *Store) RowEdits(ctx context.Context, id uuid.UUID) (_ RowEdits, err error) {
	defer translate(&err, "read edits of import %s", id)
	return rowEdits(ctx, s.db, id)
}

func rowEdits(ctx context.Context, q sqlx.QueryerContext, id uuid.UUID) (RowEdits, error) {
	var stored []struct {
		Row          int64  `db:"row"`
		Cells        []byte `db:"cells"`
		Whole        bool   `db:"whole"`
		Line         int64  `db:"line"`
		FileText     string `db:"file_text"`
		FileProblems []byte `db:"file_problems"`
		EmailKey     string `db:"email_key"`
		ExternalID   string `db:"external_id"`
	}
	if err := sqlx.SelectContext(ctx, q, &stored, `
		SELECT row, cells, whole, line, file_text, file_problems, email_key, external_id FROM import_edits WHERE import_id = $1`, id); err != nil {
		return nil, err
	}
	edits := make(RowEdits, len(stored))
	for _, r := range stored {
		e := RowEdit{Row: r.Row, Whole: r.Whole, Line: r.Line, FileText: r.FileText, EmailKey: r.EmailKey, ExternalID: r.ExternalID}
		if err := errors.Join(json.Unmarshal(r.Cells, &e.Cells), json.Unmarshal(r.FileProblems, &e.FileProblems)); err != nil {
			return nil, fmt.Errorf("read edit of row %d: %w", r.Row, err)
		}
		edits[r.Row] = e
	}
	return edits, nil
}

// EditableImport is an import whose rows can be edited.
type EditableImport struct {
	Import *roster.Import
	Layout Layout
	Edits  RowEdits
}

// EditableImport reads an import to edit rows of it. [ErrWrongState] unless it is
// ready or held, [ErrNotEditable] if it was checked by an earlier version.
func (s *Store) EditableImport(ctx context.Context, id uuid.UUID) (e *EditableImport, err error) {
	defer translate(&err, "read import %s to edit rows", id)
	var of struct {
		importRow
		Keyed int64 `db:"keyed_rows"`
	}
	e = &EditableImport{}
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, `SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY`); err != nil {
			return err
		}
		if err := tx.GetContext(ctx, &of, `SELECT `+importColumns+`, keyed_rows FROM imports WHERE id = $1`, id); err != nil {
			return err
		}
		e.Edits, err = rowEdits(ctx, tx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	switch {
	case of.Status != roster.Ready && of.Status != roster.Held:
		return nil, ErrWrongState
	case of.Keyed != of.Checked:
		return nil, ErrNotEditable
	}
	if e.Layout, err = of.layout(); err != nil {
		return nil, err
	}
	e.Import, err = of.asImport()
	return e, err
}

// RowVerdict is what the check, or the last edit, has found of a row: Error or
// Action is set.
type RowVerdict struct {
	Error  *roster.RowError
	Action roster.Action
}

// rowsIn is the condition for blocks that may have one of the rows $2.
const rowsIn = ` WHERE import_id = $1 AND EXISTS (SELECT FROM unnest($2::bigint[]) r WHERE r BETWEEN first_row AND last_row)`

// RowVerdicts reads what is known of rows. A row that waits for others has no
// action.
func (s *Store) RowVerdicts(ctx context.Context, id uuid.UUID, rows []int64) (verdicts map[int64]RowVerdict, err error) {
	defer translate(&err, "read verdicts of import %s", id)
	verdicts = make(map[int64]RowVerdict, len(rows))
	for _, row := range rows {
		verdicts[row] = RowVerdict{}
	}
	numbers := bigints(rows, func(r *int64) int64 { return *r })
	var failed [][]byte
	if err := s.db.SelectContext(ctx, &failed, `SELECT data FROM import_errors`+rowsIn, id, numbers); err != nil {
		return nil, err
	}
	for _, data := range failed {
		rowErrors, err := unpackErrors(data)
		if err != nil {
			return nil, err
		}
		for _, r := range rowErrors {
			if _, wanted := verdicts[r.Row]; wanted {
				verdicts[r.Row] = RowVerdict{Error: &r}
			}
		}
	}
	var actions []struct {
		Action roster.Action `db:"action"`
		Data   []byte        `db:"data"`
	}
	if err := s.db.SelectContext(ctx, &actions, `SELECT action, data FROM import_actions`+rowsIn, id, numbers); err != nil {
		return nil, err
	}
	for _, block := range actions {
		numbers, err := unpackRuns(block.Data)
		if err != nil {
			return nil, err
		}
		for _, row := range numbers {
			if _, wanted := verdicts[row]; wanted {
				verdicts[row] = RowVerdict{Action: block.Action}
			}
		}
	}
	return verdicts, nil
}

// EditNaming is an edit that gives a row a person's address.
type EditNaming struct {
	ImportID uuid.UUID `db:"import_id"`
	Ended    bool      `db:"ended"`
	Line     int64     `db:"line"`
	FileText string    `db:"file_text"`
}

// EditsNaming lists the edits, of imports whose files are still there, that give a row
// a person's address.
func (s *Store) EditsNaming(ctx context.Context, p DataSubject) (edits []EditNaming, err error) {
	defer translate(&err, "look for edits about user %s", p.UserID)
	return edits, s.db.SelectContext(ctx, &edits, `
		SELECT e.import_id, i.finished_at IS NOT NULL AS ended, e.line, e.file_text
		  FROM import_edits e JOIN imports i ON i.id = e.import_id
		 WHERE e.email_key = $1 AND i.purged_at IS NULL ORDER BY e.import_id, e.row`, p.EmailKey)
}
