package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

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
	Stage   Stage // of the import pass
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
		   SET fence = fence + 1, edits_fence = fence + 1,
		       lease_until = clock_timestamp() + make_interval(secs => $2),
		       failed_claims = failed_claims + 1,
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
	c := &Claim{Import: i, Layout: layout, Fence: r.Fence, At: at, Crashes: r.Crashes - 1, Lease: lease, Stage: Stage(r.Stage), Others: r.Others}
	if r.TraceParent != nil {
		c.TraceParent = *r.TraceParent
	}
	return c, nil
}

// ReleaseClaim ends a claim in good order: others may take the import at once, with
// one crash less to its name than when the claim began. It returns the number of
// the task to ring for the rest of the work.
func (s *Store) ReleaseClaim(ctx context.Context, c *Claim) (dispatch int64, err error) {
	defer translate(&err, "hand back import %s", c.Import.ID)
	err = s.db.GetContext(ctx, &dispatch, `
		UPDATE imports SET lease_until = NULL, failed_claims = GREATEST(failed_claims - 2, 0), dispatch = dispatch + 1, enqueued_at = now()
		 WHERE id = $1 AND fence = $2 AND status IN ('checking', 'importing')
		RETURNING dispatch`, c.Import.ID, c.Fence)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, ErrClaimLost
	}
	return dispatch, err
}

// FailClaim ends a claim that met an error, keeping count of it, up to most: should
// the next ones end here too, their batches get smaller until the row at fault
// stands alone. The import is due again after wait.
func (s *Store) FailClaim(ctx context.Context, c *Claim, wait time.Duration, most int) (err error) {
	defer translate(&err, "abandon import %s", c.Import.ID)
	r, err := s.db.ExecContext(ctx, `
		UPDATE imports SET lease_until = clock_timestamp() + make_interval(secs => $3), failed_claims = LEAST(failed_claims, $4)
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
		if err := blankDeferred(ctx, tx, c.Import.ID); err != nil {
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
	// AdminRows are the numbers of the rows that make someone an administrator, and
	// AdminLostRows of those that make an administrator an ordinary user; the
	// first of each are kept.
	AdminRows, AdminLostRows []int64
	Plan                     roster.Plan // of the valid rows
	DepartmentsCleared       int64
	// Actions are the valid rows by action; nil for an import that does not stop
	// after its check.
	Actions ActionRows
	// RowKeys are the hashes of all rows of the batch of a dry run, and Keyed how many
	// more rows of the import's file can be found by theirs.
	RowKeys  []RowKey
	Keyed    int64
	Deferred []DeferredRow
	// Undeferred are rows deferred before that are failed now, and among RowErrors;
	// Deferred rows count as valid only with the last batch, those of earlier ones too.
	Undeferred []int64
	// Disable is how many users the last batch of a full roster has found missing,
	// and Limit how many may be disabled without approval: with more than that
	// the import is held. Limit is nil for any other import.
	Disable   int64
	Limit     *int64
	RowErrors []roster.RowError
	Marks     []tabular.Position
	Layout    *Layout          // with the first batch only
	Warnings  []roster.Warning // nil: as they are
	// RoleValues are those of [roster.Import], with the last batch only.
	RoleValues []string
	Last       bool // the file ends here
	Crashes    int  // as in [Batch]
}

// shownAdmins is how many rows an import keeps the numbers of that make someone an
// administrator, and that take the role away.
const shownAdmins = 20

// AdminRows are the numbers of the first rows of an import's file that make
// someone an administrator, and of those that make an administrator an ordinary
// user, at most 20 of each.
func (s *Store) AdminRows(ctx context.Context, id uuid.UUID) (gained, lost []int64, err error) {
	defer translate(&err, "read administrators of import %s", id)
	var g, l pq.Int64Array
	err = s.db.QueryRowxContext(ctx, `SELECT admin_rows, admin_lost_rows FROM imports WHERE id = $1`, id).Scan(&g, &l)
	slices.Sort(g) // rows that had to wait for others come last
	slices.Sort(l)
	return g, l, err
}

// SaveChecked commits a batch of the check pass and moves the claim's cursor
// and lease. The last batch ends the pass: a dry run becomes ready and the claim
// is over; otherwise the import pass begins, at the top of the file, under the
// same claim. [ErrClaimLost] means that nothing was written.
func (s *Store) SaveChecked(ctx context.Context, c *Claim, b Checked) (err error) {
	defer translate(&err, "save check of import %s from row %d", c.Import.ID, c.At.Row)
	var status roster.Status
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		status, err = advanceCheck(ctx, tx, c, b)
		if err != nil {
			return err
		}
		if err := insertRowErrors(ctx, tx, c.Import.ID, b.RowErrors); err != nil {
			return err
		}
		if err := insertDeferred(ctx, tx, c.Import.ID, b.Deferred); err != nil {
			return err
		}
		if err := deleteDeferred(ctx, tx, c.Import.ID, b.Undeferred); err != nil {
			return err
		}
		if err := insertActions(ctx, tx, c.Import.ID, b.Actions); err != nil {
			return err
		}
		if err := insertRowKeys(ctx, tx, c.Import.ID, b.RowKeys); err != nil {
			return err
		}
		if status == roster.Importing {
			if err := deleteRowKeys(ctx, tx, c.Import.ID); err != nil {
				return err
			}
		}
		if status == roster.Held {
			if err := holdImport(ctx, tx, c.Import.ID); err != nil {
				return err
			}
		}
		if err := setRoleValues(ctx, tx, c.Import.ID, b.RoleValues); err != nil {
			return err
		}
		return insertRowOffsets(ctx, tx, c.Import.ID, b.Marks)
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

func setRoleValues(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, values []string) error {
	if len(values) == 0 {
		return nil
	}
	text, err := jsonText(values)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE imports SET role_values = $2 WHERE id = $1`, id, text)
	return err
}

// advanceCheck is the compare-and-swap of the check pass.
func advanceCheck(ctx context.Context, tx *sqlx.Tx, c *Claim, b Checked) (status roster.Status, err error) {
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
		   SET cursor_row = $4, cursor_line = $5, cursor_offset = $6, cursor_skip = $7,
		       checked = checked + $8, valid = valid + $9, failed = failed + $10, admins = admins + $11,
		       admin_rows = (admin_rows || $25::bigint[])[1:20], admin_lost_rows = (admin_lost_rows || $26::bigint[])[1:20],
		       plan_departments_cleared = plan_departments_cleared + $27, keyed_rows = keyed_rows + $28,
		       format = COALESCE($12, format), header = COALESCE($13, header), warnings = COALESCE($14, warnings),
		       total = CASE WHEN $15 THEN checked + $8 END,
		       plan_create = plan_create + $18, plan_update = plan_update + $19, plan_unchanged = plan_unchanged + $20,
		       plan_admins_gained = plan_admins_gained + $21, plan_admins_lost = plan_admins_lost + $22,
		       status = CASE WHEN NOT $15 THEN 'checking' WHEN $23::bigint > $24::bigint THEN 'held' WHEN dry_run THEN 'ready' ELSE 'importing' END,
		       plan_disable = $23::bigint, disable_limit = $24::bigint,
		       lease_until = CASE WHEN $15 AND (dry_run OR $23::bigint > $24::bigint) THEN NULL ELSE clock_timestamp() + make_interval(secs => $16) END,
		       failed_claims = $17
		 WHERE id = $1 AND fence = $2 AND cursor_row = $3 AND status = 'checking'
		RETURNING status`,
		c.Import.ID, c.Fence, c.At.Row, to.Row, to.Line, to.Offset, to.Skip,
		b.Rows, b.Valid, int64(len(b.RowErrors)), b.Admins,
		format, header, warnings, b.Last, seconds(c.Lease), b.Crashes,
		b.Plan.Create, b.Plan.Update, b.Plan.Unchanged, b.Plan.AdminsGained, b.Plan.AdminsLost, b.Disable, b.Limit,
		pq.Int64Array(b.AdminRows[:min(len(b.AdminRows), shownAdmins)]), pq.Int64Array(b.AdminLostRows[:min(len(b.AdminLostRows), shownAdmins)]),
		b.DepartmentsCleared, b.Keyed)
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

// insertRowOffsets stores places to begin reading at.
func insertRowOffsets(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, marks []tabular.Position) error {
	if len(marks) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO import_row_offsets (import_id, row, line, cursor_offset, cursor_skip)
		SELECT $1, row, line, cursor_offset, cursor_skip
		  FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS m (row, line, cursor_offset, cursor_skip)`, id,
		bigints(marks, func(m *tabular.Position) int64 { return m.Row }), bigints(marks, func(m *tabular.Position) int64 { return m.Line }),
		bigints(marks, func(m *tabular.Position) int64 { return m.Offset }), bigints(marks, func(m *tabular.Position) int64 { return int64(m.Skip) }))
	return err
}

// RowOffsetBefore finds the last mark at or before a row: where to begin reading to
// get there soon. The zero Position is the top of the file.
func (s *Store) RowOffsetBefore(ctx context.Context, id uuid.UUID, row int64) (at tabular.Position, err error) {
	defer translate(&err, "find mark of import %s before row %d", id, row)
	err = s.db.QueryRowxContext(ctx, `
		SELECT row, line, cursor_offset, cursor_skip FROM import_row_offsets
		 WHERE import_id = $1 AND row <= $2 ORDER BY row DESC LIMIT 1`, id, row).
		Scan(&at.Row, &at.Line, &at.Offset, &at.Skip)
	if errors.Is(err, sql.ErrNoRows) {
		return tabular.Position{}, nil
	}
	return at, err
}
