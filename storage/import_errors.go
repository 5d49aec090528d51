package storage

import (
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// insertRowErrors writes failed rows in blocks, all in one statement.
func insertRowErrors(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, rowErrors []roster.RowError) error {
	if len(rowErrors) == 0 {
		return nil
	}
	blocks, err := packErrors(rowErrors)
	if err != nil {
		return err
	}
	return insertErrorBlocks(ctx, tx, id, blocks)
}

func insertErrorBlocks(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, blocks []packedErrors) error {
	if len(blocks) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO import_errors (import_id, first_row, last_row, counts, data)
		SELECT $1, first_row, last_row, counts::jsonb, data
		  FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bytea[]) AS b (first_row, last_row, counts, data)`,
		id,
		bigints(blocks, func(b *packedErrors) int64 { return b.first }),
		bigints(blocks, func(b *packedErrors) int64 { return b.last }),
		texts(blocks, func(b *packedErrors) string { return b.counts }),
		byteas(blocks, func(b *packedErrors) []byte { return b.data }))
	return err
}

// blocksAtOnce is how many blocks are fetched in one query.
const blocksAtOnce = 3

// rowBlock is a stored block of rows.
type rowBlock struct {
	First int64  `db:"first_row"`
	Data  []byte `db:"data"`
}

// failedRowsAfter reads the failed rows of an import behind row after: see
// rowsAfter. code, if not "", leaves out blocks in which no row failed for it.
func failedRowsAfter[T any](ctx context.Context, q sqlx.QueryerContext, id uuid.UUID, code roster.Code, after int64, limit int,
	unpack func([]byte) ([]T, error), row func(T) int64, keep func(T) bool) (found []T, err error) {
	next := func(begun int64) (blocks []rowBlock, err error) {
		return blocks, sqlx.SelectContext(ctx, q, &blocks, `
			SELECT first_row, data FROM import_errors
			 WHERE import_id = $1 AND first_row > $2 AND last_row > $3 AND ($4 = '' OR counts ? $4)
			 ORDER BY first_row LIMIT $5`, id, begun, after, string(code), blocksAtOnce)
	}
	return rowsAfter(next, after, limit, unpack, row, keep)
}

// rowsAfter reads rows behind row after from blocks, in row order: at least limit
// of them if there are so many, and then a few more. next reads the blocks that
// begin behind a row, blocksAtOnce of them, unpack reads a block, row tells the
// number of what it has read, and keep, if not nil, what of it to keep.
//
// Blocks may overlap, so a row is known to be the next only when no block that
// begins before it is left.
func rowsAfter[T any](next func(begun int64) ([]rowBlock, error), after int64, limit int,
	unpack func([]byte) ([]T, error), row func(T) int64, keep func(T) bool) (found []T, err error) {
	begun := int64(-1) // where the last block begins that has been read
	for {
		blocks, err := next(begun)
		if err != nil {
			return nil, err
		}
		for n, block := range blocks {
			rows, err := unpack(block.Data)
			if err != nil {
				return nil, err
			}
			for _, r := range rows {
				if row(r) > after && (keep == nil || keep(r)) {
					found = append(found, r)
				}
			}
			slices.SortFunc(found, func(a, b T) int { return cmp.Compare(row(a), row(b)) })
			begun = block.First
			bound := begun
			if n+1 < len(blocks) {
				bound = blocks[n+1].First - 1
			}
			if len(found) >= limit && row(found[limit-1]) <= bound {
				return found, nil
			}
		}
		if len(blocks) < blocksAtOnce {
			return found, nil
		}
	}
}

func rowErrorsAfter(ctx context.Context, q sqlx.QueryerContext, id uuid.UUID, code roster.Code, after int64, limit int) ([]roster.RowError, error) {
	var keep func(roster.RowError) bool
	if code != "" {
		keep = func(r roster.RowError) bool { return r.Reason() == code }
	}
	found, err := failedRowsAfter(ctx, q, id, code, after, limit, unpackErrors, func(r roster.RowError) int64 { return r.Row }, keep)
	return found[:min(limit, len(found))], err
}

// RowErrors lists the failed rows of an import behind row after, in row order,
// at most limit. After retention there are none.
func (s *Store) RowErrors(ctx context.Context, id uuid.UUID, after int64, limit int) (_ []roster.RowError, err error) {
	defer translate(&err, "list errors of import %s", id)
	return rowErrorsAfter(ctx, s.db, id, "", after, limit)
}

// RowErrorsByCode is [Store.RowErrors] for those that failed for one reason first
// of all.
func (s *Store) RowErrorsByCode(ctx context.Context, id uuid.UUID, reason roster.Code, after int64, limit int) (_ []roster.RowError, err error) {
	defer translate(&err, "list errors of import %s for one reason", id)
	return rowErrorsAfter(ctx, s.db, id, reason, after, limit)
}

// ImportWithRowErrors reads an import and its first failed rows, at most limit,
// both at the same revision. After retention there are no rows.
func (s *Store) ImportWithRowErrors(ctx context.Context, id uuid.UUID, limit int) (i *roster.Import, rowErrors []roster.RowError, err error) {
	defer translate(&err, "read import %s with its errors", id)
	var of importRow
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, `SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY`); err != nil {
			return err
		}
		if err := tx.GetContext(ctx, &of, `SELECT `+importColumns+` FROM imports WHERE id = $1`, id); err != nil {
			return err
		}
		rowErrors, err = rowErrorsAfter(ctx, tx, id, "", 0, limit)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	i, err = of.asImport()
	return i, rowErrors, err
}

// FailedRows lists the numbers of the failed rows behind row after, in order, at
// most limit: what the import pass leaves out.
func (s *Store) FailedRows(ctx context.Context, id uuid.UUID, after int64, limit int) (rows []int64, err error) {
	defer translate(&err, "list failed rows of import %s", id)
	rows, err = failedRowsAfter(ctx, s.db, id, "", after, limit, unpackRows, func(row int64) int64 { return row }, nil)
	return rows[:min(limit, len(rows))], err
}

// eachErrorBlock reads every block of failed rows of all imports and hands its
// rows on, a few blocks in memory at a time. Where visit reports a change, the
// rows take the place of those that were there.
func eachErrorBlock(ctx context.Context, tx *sqlx.Tx, of uuid.UUID, visit func(id uuid.UUID, rows []roster.RowError) (changed bool)) error {
	type entry struct {
		ImportID uuid.UUID `db:"import_id"`
		First    int64     `db:"first_row"`
		Data     []byte    `db:"data"`
	}
	at := entry{First: -1}
	for {
		var blocks []entry
		if err := tx.SelectContext(ctx, &blocks, `
			SELECT import_id, first_row, data FROM import_errors
			 WHERE (import_id, first_row) > ($1, $2) AND ($3 = '00000000-0000-0000-0000-000000000000'::uuid OR import_id = $3)
			 ORDER BY import_id, first_row LIMIT 16`, at.ImportID, at.First, of); err != nil {
			return err
		}
		if len(blocks) == 0 {
			return nil
		}
		for _, block := range blocks {
			at = block
			rows, err := unpackErrors(block.Data)
			if err != nil {
				return err
			}
			if !visit(block.ImportID, rows) {
				continue
			}
			packed, err := packErrors(rows)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM import_errors WHERE import_id = $1 AND first_row = $2`, block.ImportID, block.First); err != nil {
				return err
			}
			if err := insertErrorBlocks(ctx, tx, block.ImportID, packed); err != nil {
				return err
			}
		}
	}
}
