package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// maxBlockRows is how many row numbers one block of import_actions holds.
const maxBlockRows = 20_000

// ActionRows are the numbers of valid rows by what the import does with them.
type ActionRows map[roster.Action][]int64

// packRuns makes a block of row numbers in order, which unpackRuns reads: for each
// run of consecutive rows, by how much it is behind the run before, and its length.
func packRuns(rows []int64) (data []byte) {
	var before int64
	for i := 0; i < len(rows); {
		n := 1
		for i+n < len(rows) && rows[i+n] == rows[i]+int64(n) {
			n++
		}
		data = binary.AppendUvarint(binary.AppendUvarint(data, uint64(rows[i]-before)), uint64(n))
		i += n
		before = rows[i-1]
	}
	return data
}

func unpackRuns(data []byte) (rows []int64, err error) {
	var last uint64
	for len(data) > 0 {
		gap, a := binary.Uvarint(data)
		n, b := binary.Uvarint(data[max(a, 0):])
		if a <= 0 || b <= 0 || n > maxBlockRows {
			return nil, errors.New("a block of row numbers is damaged")
		}
		for data = data[a+b:]; n > 0; n-- {
			last += gap
			rows, gap = append(rows, int64(last)), 1
		}
	}
	return rows, nil
}

// insertActions stores which rows of a batch have which action. It sorts the
// numbers in place.
func insertActions(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, rows ActionRows) error {
	type block struct {
		action      roster.Action
		first, last int64
		data        []byte
	}
	var blocks []block
	for action, numbers := range rows {
		slices.Sort(numbers)
		for part := range slices.Chunk(numbers, maxBlockRows) {
			blocks = append(blocks, block{action, part[0], part[len(part)-1], packRuns(part)})
		}
	}
	if len(blocks) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO import_actions (import_id, action, first_row, last_row, data)
		SELECT $1, action, first_row, last_row, data
		  FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bytea[]) AS b (action, first_row, last_row, data)`,
		id,
		texts(blocks, func(b *block) string { return string(b.action) }),
		bigints(blocks, func(b *block) int64 { return b.first }),
		bigints(blocks, func(b *block) int64 { return b.last }),
		byteas(blocks, func(b *block) []byte { return b.data }))
	return err
}

// ActionRows lists the numbers of the valid rows behind row after for which the
// check of an import planned this action, in order, at most limit. Imports that
// did not stop after their check have none.
func (s *Store) ActionRows(ctx context.Context, id uuid.UUID, action roster.Action, after int64, limit int) (rows []int64, err error) {
	defer translate(&err, "list rows of import %s by action", id)
	next := func(begun int64) (blocks []rowBlock, err error) {
		return blocks, s.db.SelectContext(ctx, &blocks, `
			SELECT first_row, data FROM import_actions
			 WHERE import_id = $1 AND action = $2 AND first_row > $3 AND last_row > $4
			 ORDER BY first_row LIMIT $5`, id, string(action), begun, after, blocksAtOnce)
	}
	rows, err = rowsAfter(next, after, limit, unpackRuns, func(row int64) int64 { return row }, nil)
	return rows[:min(limit, len(rows))], err
}
