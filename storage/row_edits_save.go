package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"rollcall/roster"
)

// EditedRows is what edits make of a checked import: the verdicts of all rows that
// they concern are replaced.
type EditedRows struct {
	Edits  []RowEdit // to keep
	Undone []int64   // rows that are as in the file again
	// Rows are those whose verdicts are replaced, by RowErrors, Actions and Deferred.
	Rows      []int64
	RowErrors []roster.RowError
	Actions   ActionRows
	Deferred  []DeferredRow
	// Valid, Admins, Plan and DepartmentsCleared are by how much counts change.
	Valid, Admins      int64
	Plan               roster.Plan
	DepartmentsCleared int64
	// AdminRows and AdminLostRows are those of Rows that make someone an
	// administrator, and that take the role away.
	AdminRows, AdminLostRows []int64
	Warnings                 []roster.Warning // nil: as they are
	Missing                  *MissingChange   // of a full roster; nil: no change
	Detail                   map[string]any   // for the audit log
}

// editedImport is what SaveEdits has to know of the import.
type editedImport struct {
	Status        roster.Status `db:"status"`
	DryRun        bool          `db:"dry_run"`
	Valid         int64         `db:"valid"`
	Missing       string        `db:"missing"`
	PlanDisable   int64         `db:"plan_disable"`
	DisableLimit  *int64        `db:"disable_limit"`
	AdminRows     pq.Int64Array `db:"admin_rows"`
	AdminLostRows pq.Int64Array `db:"admin_lost_rows"`
}

// SaveEdits stores edits of an import, as it was when it was read, and what becomes
// of its rows by them. [ErrEditConflict] if it has changed since, [ErrTooManyEdits]
// and [ErrNoValidRow] if that is so with these edits; nothing is written then.
func (s *Store) SaveEdits(ctx context.Context, i *roster.Import, b EditedRows, by AuditEntry) (err error) {
	defer translate(&err, "save edits of import %s", i.ID)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		var now editedImport
		err := tx.GetContext(ctx, &now, `
			SELECT status, dry_run, valid, missing, plan_disable, disable_limit, admin_rows, admin_lost_rows
			  FROM imports WHERE id = $1 AND revision = $2 AND status IN ('ready', 'held') FOR UPDATE`, i.ID, i.Revision)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrEditConflict
		}
		if err != nil {
			return err
		}
		if err := storeEdits(ctx, tx, i.ID, b); err != nil {
			return err
		}
		if err := replaceVerdicts(ctx, tx, i.ID, b); err != nil {
			return err
		}
		disable, err := changeMissing(ctx, tx, i, now.PlanDisable, b.Missing)
		if err != nil {
			return err
		}
		if now.Missing == string(roster.MissingDisable) && now.Valid+b.Valid < 1 {
			return ErrNoValidRow
		}
		status := statusAfterEdit(now, disable)
		if err := updateEdited(ctx, tx, i.ID, now, b, disable, status); err != nil {
			return err
		}
		if status == roster.Held && now.Status != roster.Held {
			if err := holdImport(ctx, tx, i.ID); err != nil {
				return err
			}
		}
		return audit(ctx, tx, by.on("import.edit", "import", i.ID).with(b.Detail))
	})
}

// statusAfterEdit is ready or held, as the check would have left the import. One that
// was not a dry run stays held, for with its last obstacle gone it would begin.
func statusAfterEdit(now editedImport, disable int64) roster.Status {
	switch {
	case now.DisableLimit != nil && disable > *now.DisableLimit:
		return roster.Held
	case now.DryRun:
		return roster.Ready
	}
	return now.Status
}

func updateEdited(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, now editedImport, b EditedRows, disable int64, status roster.Status) error {
	var warnings *string
	if b.Warnings != nil {
		var err error
		if warnings, err = jsonText(b.Warnings); err != nil {
			return err
		}
	}
	// Users may have changed since the check, so what is taken away may be more than
	// what was counted.
	_, err := tx.ExecContext(ctx, `
		UPDATE imports
		   SET edits = edits + 1, valid = valid + $2, failed = failed - $2, admins = GREATEST(admins + $3, 0),
		       plan_create = GREATEST(plan_create + $4, 0), plan_update = GREATEST(plan_update + $5, 0), plan_unchanged = GREATEST(plan_unchanged + $6, 0),
		       plan_admins_gained = GREATEST(plan_admins_gained + $7, 0), plan_admins_lost = GREATEST(plan_admins_lost + $8, 0),
		       plan_departments_cleared = GREATEST(plan_departments_cleared + $9, 0),
		       admin_rows = $10, admin_lost_rows = $11, warnings = COALESCE($12, warnings), plan_disable = $13, status = $14
		 WHERE id = $1`,
		id, b.Valid, b.Admins, b.Plan.Create, b.Plan.Update, b.Plan.Unchanged, b.Plan.AdminsGained, b.Plan.AdminsLost, b.DepartmentsCleared,
		shownRows(now.AdminRows, b.Rows, b.AdminRows), shownRows(now.AdminLostRows, b.Rows, b.AdminLostRows), warnings, disable, string(status))
	return err
}

// shownRows are the first of the rows shown before and of those added, without those
// that were judged again.
func shownRows(before, again, added []int64) pq.Int64Array {
	kept := slices.DeleteFunc(slices.Clone(before), func(row int64) bool { return slices.Contains(again, row) })
	kept = append(kept, added...)
	slices.Sort(kept)
	return append(pq.Int64Array{}, kept[:min(len(kept), shownAdmins)]...)
}

func storeEdits(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, b EditedRows) error {
	gone := slices.Clone(b.Undone)
	cells, problems := make([]string, len(b.Edits)), make([]string, len(b.Edits))
	for k, e := range b.Edits {
		gone = append(gone, e.Row)
		for _, each := range []struct {
			into *string
			v    any
		}{{&cells[k], e.Cells}, {&problems[k], append([]roster.Problem{}, e.FileProblems...)}} {
			raw, err := json.Marshal(each.v)
			if err != nil {
				return err
			}
			*each.into = string(raw)
		}
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM import_edits WHERE import_id = $1 AND row = ANY($2::bigint[])`,
		id, bigints(gone, func(r *int64) int64 { return *r })); err != nil {
		return err
	}
	if len(b.Edits) == 0 {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO import_edits (import_id, row, cells, whole, line, file_text, file_problems, email_key, external_id)
		SELECT $1, row, cells::jsonb, whole = 1, line, file_text, file_problems::jsonb, email_key, external_id
		  FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[])
		    AS e (row, cells, whole, line, file_text, file_problems, email_key, external_id)`,
		id, bigints(b.Edits, func(e *RowEdit) int64 { return e.Row }), texts(cells, itself),
		bigints(b.Edits, func(e *RowEdit) int64 {
			if e.Whole {
				return 1
			}
			return 0
		}),
		bigints(b.Edits, func(e *RowEdit) int64 { return e.Line }), texts(b.Edits, func(e *RowEdit) string { return e.FileText }), texts(problems, itself),
		texts(b.Edits, func(e *RowEdit) string { return e.EmailKey }), texts(b.Edits, func(e *RowEdit) string { return e.ExternalID })); err != nil {
		return err
	}
	var n int64
	if err := tx.GetContext(ctx, &n, `SELECT count(*) FROM import_edits WHERE import_id = $1`, id); err != nil {
		return err
	}
	if n > MaxRowEdits {
		return ErrTooManyEdits
	}
	return nil
}
