package storage

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// alsoProblem is how the further problems of a row stand in the column also.
type alsoProblem struct {
	Field   roster.Column `json:"field"`
	Reason  roster.Code   `json:"reason"`
	Value   string        `json:"value,omitempty"`
	Message string        `json:"message"`
}

// insertRefusals writes one entry a row, all in one statement.
func insertRefusals(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, refusals []roster.Refusal) error {
	if len(refusals) == 0 {
		return nil
	}
	also := make([]string, len(refusals))
	for i, r := range refusals {
		if len(r.Problems) > 1 {
			raw, err := json.Marshal(alsoOf(r.Problems[1:]))
			if err != nil {
				return err
			}
			also[i] = string(raw)
		}
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO import_errors (import_id, row, line, reason, field, email, value, message, also)
		SELECT $1, row, line, reason, field, email, value, message, NULLIF(also, '')::jsonb
		  FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
		    AS e (row, line, reason, field, email, value, message, also)`,
		id,
		bigints(refusals, func(r *roster.Refusal) int64 { return r.Row }),
		bigints(refusals, func(r *roster.Refusal) int64 { return r.Line }),
		texts(refusals, func(r *roster.Refusal) string { return string(r.Problems[0].Code) }),
		texts(refusals, func(r *roster.Refusal) string { return string(r.Problems[0].Field) }),
		texts(refusals, func(r *roster.Refusal) string { return roster.Shown(r.Email) }),
		texts(refusals, func(r *roster.Refusal) string { return r.Problems[0].Value }),
		texts(refusals, func(r *roster.Refusal) string { return r.Problems[0].Message }),
		texts(also, itself))
	return err
}

func alsoOf(problems []roster.Problem) []alsoProblem {
	also := make([]alsoProblem, len(problems))
	for i, p := range problems {
		also[i] = alsoProblem{p.Field, p.Code, p.Value, p.Message}
	}
	return also
}

// refusalColumns are what a refusalRow scans.
const refusalColumns = `row, line, reason, field, COALESCE(email, '') AS email, COALESCE(value, '') AS value, message, also`

type refusalRow struct {
	Row     int64         `db:"row"`
	Line    int64         `db:"line"`
	Reason  roster.Code   `db:"reason"`
	Field   roster.Column `db:"field"`
	Email   string        `db:"email"`
	Value   string        `db:"value"`
	Message string        `db:"message"`
	Also    []byte        `db:"also"`
}

func asRefusals(rows []refusalRow) ([]roster.Refusal, error) {
	refusals := make([]roster.Refusal, len(rows))
	for i, r := range rows {
		refusals[i] = roster.Refusal{Row: r.Row, Line: r.Line, Email: r.Email,
			Problems: []roster.Problem{{Field: r.Field, Code: r.Reason, Value: r.Value, Message: r.Message}}}
		if r.Also == nil {
			continue
		}
		var also []alsoProblem
		if err := json.Unmarshal(r.Also, &also); err != nil {
			return nil, fmt.Errorf("read further problems of row %d: %w", r.Row, err)
		}
		for _, p := range also {
			refusals[i].Problems = append(refusals[i].Problems, roster.Problem{Field: p.Field, Code: p.Reason, Value: p.Value, Message: p.Message})
		}
	}
	return refusals, nil
}

// Refusals lists the refused rows of an import behind row after, in row order,
// at most limit. After retention addresses and values are "".
func (s *Store) Refusals(ctx context.Context, id uuid.UUID, after int64, limit int) (_ []roster.Refusal, err error) {
	defer translate(&err, "list errors of import %s", id)
	var rows []refusalRow
	if err := s.selectInOrder(ctx, &rows, `
		SELECT `+refusalColumns+` FROM import_errors WHERE import_id = $1 AND row > $2 ORDER BY row LIMIT $3`, id, after, limit); err != nil {
		return nil, err
	}
	return asRefusals(rows)
}

// RefusedRows lists the numbers of the refused rows behind row after, in order,
// at most limit: what the import pass leaves out.
func (s *Store) RefusedRows(ctx context.Context, id uuid.UUID, after int64, limit int) (rows []int64, err error) {
	defer translate(&err, "list refused rows of import %s", id)
	err = s.selectInOrder(ctx, &rows, `
		SELECT row FROM import_errors WHERE import_id = $1 AND row > $2 ORDER BY row LIMIT $3`, id, after, limit)
	return rows, err
}

// selectInOrder runs a query that pages through import_errors along its primary
// key. Right after an import PostgreSQL does not know how many refusals there
// are and would fetch and sort all that are left for every page.
func (s *Store) selectInOrder(ctx context.Context, dest any, query string, args ...any) error {
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := inOrderOfIndex(ctx, tx); err != nil {
			return err
		}
		return tx.SelectContext(ctx, dest, query, args...)
	})
}
