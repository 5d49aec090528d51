package storage

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// replaceVerdicts replaces what is stored of rows.
func replaceVerdicts(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, b EditedRows) error {
	again := make(map[int64]bool, len(b.Rows))
	for _, row := range b.Rows {
		again[row] = true
	}
	if err := replaceRowErrors(ctx, tx, id, b.Rows, again, b.RowErrors); err != nil {
		return err
	}
	for _, action := range []roster.Action{roster.ActionCreate, roster.ActionUpdate, roster.ActionUnchanged} {
		if err := replaceActions(ctx, tx, id, action, b.Rows, again, b.Actions[action]); err != nil {
			return err
		}
	}
	if err := deleteDeferred(ctx, tx, id, b.Rows); err != nil {
		return err
	}
	return insertDeferred(ctx, tx, id, b.Deferred)
}

// replaceRowErrors takes rows out of the failed ones and adds those that fail now,
// rewriting the blocks that have one of them, or are the last to begin before one:
// there is its place.
func replaceRowErrors(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, rows []int64, again map[int64]bool, rowErrors []roster.RowError) error {
	var blocks []rowBlock
	if err := tx.SelectContext(ctx, &blocks, `
		SELECT first_row, data FROM import_errors
		 WHERE import_id = $1 AND (
		       EXISTS (SELECT FROM unnest($2::bigint[]) r WHERE r BETWEEN first_row AND last_row)
		       OR first_row IN (SELECT (SELECT max(o.first_row) FROM import_errors o WHERE o.import_id = $1 AND o.first_row <= r) FROM unnest($2::bigint[]) r))
		 ORDER BY first_row`, id, bigints(rows, func(r *int64) int64 { return *r })); err != nil {
		return err
	}
	rest, changed, err := withoutRows(blocks, unpackErrors, func(r roster.RowError) bool { return again[r.Row] })
	if err != nil {
		return err
	}
	for _, r := range rowErrors {
		k := placeOf(blocks, r.Row)
		rest[k], changed[k] = append(rest[k], r), true
	}
	for k, failed := range rest {
		if !changed[k] {
			continue
		}
		if k < len(blocks) {
			if _, err := tx.ExecContext(ctx, `DELETE FROM import_errors WHERE import_id = $1 AND first_row = $2`, id, blocks[k].First); err != nil {
				return err
			}
		}
		if err := insertRowErrors(ctx, tx, id, failed); err != nil {
			return err
		}
	}
	return nil
}

// replaceActions does to the rows of one action what replaceRowErrors does to those
// that fail.
func replaceActions(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, action roster.Action, rows []int64, again map[int64]bool, numbers []int64) error {
	var blocks []rowBlock
	if err := tx.SelectContext(ctx, &blocks, `
		SELECT first_row, data FROM import_actions
		 WHERE import_id = $1 AND action = $3 AND (
		       EXISTS (SELECT FROM unnest($2::bigint[]) r WHERE r BETWEEN first_row AND last_row)
		       OR first_row IN (SELECT (SELECT max(o.first_row) FROM import_actions o WHERE o.import_id = $1 AND o.action = $3 AND o.first_row <= r)
		                          FROM unnest($2::bigint[]) r))
		 ORDER BY first_row`, id, bigints(rows, func(r *int64) int64 { return *r }), string(action)); err != nil {
		return err
	}
	rest, changed, err := withoutRows(blocks, unpackRuns, func(row int64) bool { return again[row] })
	if err != nil {
		return err
	}
	for _, row := range numbers {
		k := placeOf(blocks, row)
		rest[k], changed[k] = append(rest[k], row), true
	}
	for k, numbers := range rest {
		if !changed[k] {
			continue
		}
		if k < len(blocks) {
			if _, err := tx.ExecContext(ctx, `
				DELETE FROM import_actions WHERE import_id = $1 AND action = $2 AND first_row = $3`, id, string(action), blocks[k].First); err != nil {
				return err
			}
		}
		if err := insertActions(ctx, tx, id, ActionRows{action: numbers}); err != nil {
			return err
		}
	}
	return nil
}

// withoutRows unpacks blocks and leaves out rows: what is left of each, and whether
// that is less. The last element is for rows before all blocks.
func withoutRows[T any](blocks []rowBlock, unpack func([]byte) ([]T, error), out func(T) bool) (rest [][]T, changed []bool, err error) {
	rest, changed = make([][]T, len(blocks)+1), make([]bool, len(blocks)+1)
	for k, block := range blocks {
		unpacked, err := unpack(block.Data)
		if err != nil {
			return nil, nil, err
		}
		n := len(unpacked)
		rest[k] = slices.DeleteFunc(unpacked, out)
		changed[k] = len(rest[k]) < n
	}
	return rest, changed, nil
}

// placeOf is the block in which a row belongs: the last one that begins before it, or
// len(blocks) if none does.
func placeOf(blocks []rowBlock, row int64) int {
	for k := len(blocks) - 1; k >= 0; k-- {
		if blocks[k].First <= row {
			return k
		}
	}
	return len(blocks)
}
