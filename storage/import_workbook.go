package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// UploadBegin reads the first bytes of an import's file, at most n of them.
func (s *Store) UploadBegin(ctx context.Context, id uuid.UUID, n int) (begin []byte, err error) {
	defer translate(&err, "read the beginning of import %s", id)
	err = s.db.GetContext(ctx, &begin, `SELECT substring(data FROM 1 FOR $2) FROM import_chunks WHERE import_id = $1 AND seq = 0`, id, n)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil // an empty file has no chunk
	}
	return begin, err
}

// BeginSheet makes room for the converted sheet of a claimed import whose file is a
// workbook, and stores what is known of it. Chunks of an earlier attempt are
// deleted: no worker can add to them any more, since this claim's fence is higher.
// [ErrClaimLost] means that nothing was written.
func (s *Store) BeginSheet(ctx context.Context, c *Claim, w roster.Workbook) (err error) {
	defer translate(&err, "begin sheet of import %s", c.Import.ID)
	text, err := jsonText(w)
	if err != nil {
		return err
	}
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		r, err := tx.ExecContext(ctx, `
			UPDATE imports SET workbook = $3, lease_until = clock_timestamp() + make_interval(secs => $4)
			 WHERE id = $1 AND fence = $2 AND status = 'checking' AND converted_bytes IS NULL`, c.Import.ID, c.Fence, text, seconds(c.Lease))
		if err != nil {
			return err
		}
		if err := affectedOne(r, ErrClaimLost); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM import_sheets WHERE import_id = $1`, c.Import.ID)
		return err
	})
	if err == nil {
		c.Import.Workbook = &w
	}
	return err
}

// AddSheetChunk stores the next [ChunkSize] bytes of a converted sheet, fewer only at
// its end, and renews the lease. It does not wait for the disk: the commit of
// [Store.SaveSheet], which comes later in the same log, does.
func (s *Store) AddSheetChunk(ctx context.Context, c *Claim, seq int, chunk []byte) (err error) {
	defer translate(&err, "add to sheet of import %s", c.Import.ID)
	r, err := s.db.ExecContext(ctx, `
		WITH claim AS (
			UPDATE imports SET lease_until = clock_timestamp() + make_interval(secs => $3)
			 WHERE id = $1 AND fence = $2 AND status = 'checking' AND converted_bytes IS NULL
			RETURNING id)
		INSERT INTO import_sheets (import_id, seq, data)
		SELECT claim.id, $4, $5 FROM claim, set_config('synchronous_commit', 'off', true)`,
		c.Import.ID, c.Fence, seconds(c.Lease), seq, chunk)
	if err != nil {
		return err
	}
	return affectedOne(r, ErrClaimLost)
}

// RenewLease keeps a claim of an import that is being checked.
func (s *Store) RenewLease(ctx context.Context, c *Claim) (err error) {
	defer translate(&err, "renew lease of import %s", c.Import.ID)
	r, err := s.db.ExecContext(ctx, `
		UPDATE imports SET lease_until = clock_timestamp() + make_interval(secs => $3)
		 WHERE id = $1 AND fence = $2 AND status = 'checking'`, c.Import.ID, c.Fence, seconds(c.Lease))
	if err != nil {
		return err
	}
	return affectedOne(r, ErrClaimLost)
}

// SaveSheet ends the conversion of a workbook: from now on its rows are read from the
// size bytes of the converted sheet. Earlier crashes of the import don't count any
// more.
func (s *Store) SaveSheet(ctx context.Context, c *Claim, size int64, w roster.Workbook, warnings []roster.Warning) (err error) {
	defer translate(&err, "save sheet of import %s", c.Import.ID)
	text, err := jsonText(w)
	if err != nil {
		return err
	}
	told, err := json.Marshal(append([]roster.Warning{}, warnings...))
	if err != nil {
		return err
	}
	r, err := s.db.ExecContext(ctx, `
		UPDATE imports
		   SET workbook = $3, converted_bytes = $4, warnings = $5, failed_claims = LEAST(failed_claims, 1),
		       lease_until = clock_timestamp() + make_interval(secs => $6)
		 WHERE id = $1 AND fence = $2 AND status = 'checking' AND converted_bytes IS NULL`,
		c.Import.ID, c.Fence, text, size, string(told), seconds(c.Lease))
	if err != nil {
		return err
	}
	if err := affectedOne(r, ErrClaimLost); err != nil {
		return err
	}
	w.Converted = true
	c.Import.Workbook, c.Import.Warnings, c.Crashes = &w, warnings, 0
	return nil
}
