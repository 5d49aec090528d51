package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
	"rollcall/tabular"
)

// Claim is the right to work on an import until the lease runs out. Whatever is
// written under it is written only while its fence is the highest: a worker
// that slept through its lease can do no harm, only fail with [ErrClaimLost].
type Claim struct {
	Import *roster.Import
	Layout Layout
	Fence  int64
	// At is where the next batch of the present pass starts; the zero
	// Position is the beginning of the file.
	At tabular.Position
	// Crashes counts the claims before this one that ended at this very
	// place without a commit and without handing back, or what its batches
	// have left of that: see [Batch].
	Crashes int
	Lease   time.Duration
	// Others is how many other imports were being worked on when this claim was
	// made, by any worker.
	Others int
	// TraceParent is the span of the upload, as a W3C traceparent; "": the
	// import is not traced.
	TraceParent string
}

// ClaimImport takes an import in hand for lease, by the database's clock. A
// queued one begins to be checked. [ErrNotClaimable] if another worker holds it
// or there is nothing to do.
func (s *Store) ClaimImport(ctx context.Context, id uuid.UUID, lease time.Duration) (_ *Claim, err error) {
	defer translate(&err, "claim import %s", id)
	var r struct {
		importRow
		Others int `db:"others"`
	}
	err = s.db.GetContext(ctx, &r, `
		UPDATE imports
		   SET fence = fence + 1,
		       lease_until = clock_timestamp() + make_interval(secs => $2),
		       crashes = crashes + 1,
		       status = CASE status WHEN 'queued' THEN 'checking' ELSE status END,
		       started_at = COALESCE(started_at, now())
		 WHERE id = $1
		   AND status IN ('queued', 'checking', 'importing')
		   AND (lease_until IS NULL OR lease_until <= clock_timestamp())
		RETURNING `+importColumns+`,
		          (SELECT count(*) FROM imports o
		            WHERE o.status IN ('queued', 'checking', 'importing') AND o.id <> $1 AND o.lease_until > clock_timestamp()) AS others`,
		id, seconds(lease))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotClaimable
	}
	if err != nil {
		return nil, err
	}
	i, err := r.asImport()
	if err != nil {
		return nil, err
	}
	layout, err := r.layout()
	if err != nil {
		return nil, err
	}
	at := tabular.Position{Row: r.AtRow, Line: r.AtLine, Offset: r.AtOffset, Skip: r.AtSkip}
	c := &Claim{Import: i, Layout: layout, Fence: r.Fence, At: at, Crashes: r.Crashes - 1, Lease: lease, Others: r.Others}
	if r.TraceParent != nil {
		c.TraceParent = *r.TraceParent
	}
	return c, nil
}

// HandBack ends a claim in good order: others may take the import at once, with
// one crash less to its name than when the claim began. It returns the number of
// the task to ring for the rest of the work.
func (s *Store) HandBack(ctx context.Context, c *Claim) (dispatch int64, err error) {
	defer translate(&err, "hand back import %s", c.Import.ID)
	err = s.db.GetContext(ctx, &dispatch, `
		UPDATE imports SET lease_until = NULL, crashes = GREATEST(crashes - 2, 0), dispatch = dispatch + 1, rung_at = now()
		 WHERE id = $1 AND fence = $2 AND status IN ('checking', 'importing')
		RETURNING dispatch`, c.Import.ID, c.Fence)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, ErrClaimLost
	}
	return dispatch, err
}

// Abandon ends a claim that met an error, keeping count of it, up to most: should
// the next ones end here too, their batches get smaller until the row at fault
// stands alone. The import is due again after wait.
func (s *Store) Abandon(ctx context.Context, c *Claim, wait time.Duration, most int) (err error) {
	defer translate(&err, "abandon import %s", c.Import.ID)
	r, err := s.db.ExecContext(ctx, `
		UPDATE imports SET lease_until = clock_timestamp() + make_interval(secs => $3), crashes = LEAST(crashes, $4)
		 WHERE id = $1 AND fence = $2 AND status IN ('checking', 'importing')`, c.Import.ID, c.Fence, seconds(wait), most)
	if err != nil {
		return err
	}
	return affectedOne(r, ErrClaimLost)
}

// FailImport ends a claimed import whose file as a whole cannot be used.
func (s *Store) FailImport(ctx context.Context, c *Claim, f roster.Failure) (err error) {
	defer translate(&err, "fail import %s", c.Import.ID)
	raw, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		r, err := tx.ExecContext(ctx, `
			UPDATE imports SET status = 'failed', failure = $3, finished_at = now(), lease_until = NULL
			 WHERE id = $1 AND fence = $2 AND status = 'checking'`, c.Import.ID, c.Fence, string(raw))
		if err != nil {
			return err
		}
		if err := affectedOne(r, ErrClaimLost); err != nil {
			return err
		}
		return announceEnd(ctx, tx, c.Import.ID)
	})
}

// Checked is a batch of rows that the check pass has judged.
type Checked struct {
	To            tabular.Position // where the next batch starts
	Rows          int64
	Valid, Admins int64
	Refusals      []roster.Refusal
	Marks         []tabular.Position
	Layout        *Layout          // with the first batch only
	Warnings      []roster.Warning // nil: as they are
	Last          bool             // the file ends here
	Crashes       int              // as in [Batch]
}

// SaveChecked commits a batch of the check pass and moves the claim's cursor
// and lease. The last batch ends the pass: a dry run becomes ready and the claim
// is over; otherwise the import pass begins, at the top of the file, under the
// same claim. [ErrClaimLost] means that nothing was written.
func (s *Store) SaveChecked(ctx context.Context, c *Claim, b Checked) (err error) {
	defer translate(&err, "save check of import %s from row %d", c.Import.ID, c.At.Row)
	var status roster.Status
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		status, err = moveCheck(ctx, tx, c, b)
		if err != nil {
			return err
		}
		if err := insertRefusals(ctx, tx, c.Import.ID, b.Refusals); err != nil {
			return err
		}
		return insertMarks(ctx, tx, c.Import.ID, b.Marks)
	})
	if err != nil {
		return err
	}
	c.Import.Status, c.At, c.Crashes = status, b.To, max(0, b.Crashes-1)
	if b.Layout != nil {
		c.Layout = *b.Layout
	}
	if b.Warnings != nil {
		c.Import.Warnings = b.Warnings
	}
	if b.Last {
		c.At = tabular.Position{}
	}
	return nil
}

// moveCheck is the compare-and-swap of the check pass.
func moveCheck(ctx context.Context, tx *sqlx.Tx, c *Claim, b Checked) (status roster.Status, err error) {
	var format, warnings *string
	var header any
	if b.Layout != nil {
		if format, err = jsonText(b.Layout.Format); err != nil {
			return "", err
		}
		header = textArray(b.Layout.Header)
	}
	if b.Warnings != nil {
		if warnings, err = jsonText(b.Warnings); err != nil {
			return "", err
		}
	}
	to := b.To
	if b.Last {
		to = tabular.Position{}
	}
	err = tx.GetContext(ctx, &status, `
		UPDATE imports
		   SET at_row = $4, at_line = $5, at_offset = $6, at_skip = $7,
		       checked = checked + $8, valid = valid + $9, failed = failed + $10, admins = admins + $11,
		       format = COALESCE($12, format), header = COALESCE($13, header), warnings = COALESCE($14, warnings),
		       total = CASE WHEN $15 THEN checked + $8 END,
		       status = CASE WHEN NOT $15 THEN 'checking' WHEN dry_run THEN 'ready' ELSE 'importing' END,
		       lease_until = CASE WHEN $15 AND dry_run THEN NULL ELSE clock_timestamp() + make_interval(secs => $16) END,
		       crashes = $17
		 WHERE id = $1 AND fence = $2 AND at_row = $3 AND status = 'checking'
		RETURNING status`,
		c.Import.ID, c.Fence, c.At.Row, to.Row, to.Line, to.Offset, to.Skip,
		b.Rows, b.Valid, int64(len(b.Refusals)), b.Admins,
		format, header, warnings, b.Last, seconds(c.Lease), b.Crashes)
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrClaimLost
	}
	return status, err
}

func jsonText(v any) (*string, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	text := string(raw)
	return &text, nil
}

// insertMarks stores places to begin reading at.
func insertMarks(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, marks []tabular.Position) error {
	for _, m := range marks {
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO import_marks (import_id, row, line, at_offset, at_skip) VALUES ($1, $2, $3, $4, $5)`,
			id, m.Row, m.Line, m.Offset, m.Skip); err != nil {
			return err
		}
	}
	return nil
}

// MarkBefore finds the last mark at or before a row: where to begin reading to
// get there soon. The zero Position is the top of the file.
func (s *Store) MarkBefore(ctx context.Context, id uuid.UUID, row int64) (at tabular.Position, err error) {
	defer translate(&err, "find mark of import %s before row %d", id, row)
	err = s.db.QueryRowxContext(ctx, `
		SELECT row, line, at_offset, at_skip FROM import_marks
		 WHERE import_id = $1 AND row <= $2 ORDER BY row DESC LIMIT 1`, id, row).
		Scan(&at.Row, &at.Line, &at.Offset, &at.Skip)
	if errors.Is(err, sql.ErrNoRows) {
		return tabular.Position{}, nil
	}
	return at, err
}
