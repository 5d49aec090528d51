package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"rollcall/roster"
	"rollcall/tabular"
)

// importColumns are what an importRow scans, in any order.
const importColumns = `
	id, status, dry_run, on_duplicate, send_invitations, encoding, delimiter, mapping, webhook_url,
	filename, size_bytes, sha256, format, header,
	total, checked, valid, processed, imported, updated, failed, admins,
	invites_held, invites_pending, invites_sent, invites_failed, invites_accepted,
	warnings, failure, fence, dispatch, crashes, at_row, at_line, at_offset, at_skip,
	first_user_id, last_user_id, actor_kind, actor_id, actor,
	created_at, started_at, finished_at, undone_at, undo_removed, undo_kept, undo_finished_at, purged_at, revision, trace_parent`

type importRow struct {
	ID              uuid.UUID      `db:"id"`
	Status          roster.Status  `db:"status"`
	DryRun          bool           `db:"dry_run"`
	OnDuplicate     string         `db:"on_duplicate"`
	SendInvitations bool           `db:"send_invitations"`
	Encoding        string         `db:"encoding"`
	Delimiter       string         `db:"delimiter"`
	Mapping         []byte         `db:"mapping"`
	WebhookURL      string         `db:"webhook_url"`
	Filename        string         `db:"filename"`
	Size            int64          `db:"size_bytes"`
	SHA256          []byte         `db:"sha256"`
	Format          []byte         `db:"format"`
	Header          pq.StringArray `db:"header"`

	Total     *int64 `db:"total"`
	Checked   int64  `db:"checked"`
	Valid     int64  `db:"valid"`
	Processed int64  `db:"processed"`
	Imported  int64  `db:"imported"`
	Updated   int64  `db:"updated"`
	Failed    int64  `db:"failed"`
	Admins    int64  `db:"admins"`

	InvitesHeld     int64 `db:"invites_held"`
	InvitesPending  int64 `db:"invites_pending"`
	InvitesSent     int64 `db:"invites_sent"`
	InvitesFailed   int64 `db:"invites_failed"`
	InvitesAccepted int64 `db:"invites_accepted"`

	Warnings []byte `db:"warnings"`
	Failure  []byte `db:"failure"`

	Fence    int64 `db:"fence"`
	Dispatch int64 `db:"dispatch"`
	Crashes  int   `db:"crashes"`
	AtRow    int64 `db:"at_row"`
	AtLine   int64 `db:"at_line"`
	AtOffset int64 `db:"at_offset"`
	AtSkip   int64 `db:"at_skip"`

	FirstUserID *uuid.UUID `db:"first_user_id"`
	LastUserID  *uuid.UUID `db:"last_user_id"`

	ActorKind  roster.ActorKind `db:"actor_kind"`
	ActorID    uuid.UUID        `db:"actor_id"`
	Actor      string           `db:"actor"`
	CreatedAt  time.Time        `db:"created_at"`
	StartedAt  *time.Time       `db:"started_at"`
	FinishedAt *time.Time       `db:"finished_at"`
	UndoneAt   *time.Time       `db:"undone_at"`
	UndoGone   int64            `db:"undo_removed"`
	UndoKept   int64            `db:"undo_kept"`
	UndoEnd    *time.Time       `db:"undo_finished_at"`
	PurgedAt   *time.Time       `db:"purged_at"`
	Revision   int64            `db:"revision"`

	TraceParent *string `db:"trace_parent"`
}

// asImport turns the row into the noun.
func (r *importRow) asImport() (*roster.Import, error) {
	i := &roster.Import{
		ID: r.ID, Status: r.Status, Filename: r.Filename, Size: r.Size,
		Options: roster.Options{
			DryRun: r.DryRun, OnDuplicate: roster.OnDuplicate(r.OnDuplicate), SendInvitations: r.SendInvitations,
			Encoding: r.Encoding, Delimiter: r.Delimiter, WebhookURL: r.WebhookURL,
		},
		Counts: roster.Counts{
			Total: r.Total, Checked: r.Checked, Valid: r.Valid, Processed: r.Processed,
			Imported: r.Imported, Updated: r.Updated, Failed: r.Failed, Admins: r.Admins,
		},
		Invitations: roster.InvitationCounts{
			Held: r.InvitesHeld, Pending: r.InvitesPending, Sent: r.InvitesSent,
			Failed: r.InvitesFailed, Accepted: r.InvitesAccepted,
		},
		CreatedBy: roster.Actor{Kind: r.ActorKind, ID: r.ActorID, Label: r.Actor},
		CreatedAt: r.CreatedAt, StartedAt: r.StartedAt, FinishedAt: r.FinishedAt,
		PurgedAt: r.PurgedAt, Revision: r.Revision,
	}
	if r.UndoneAt != nil {
		i.Undo = &roster.Undo{AskedAt: *r.UndoneAt, Removed: r.UndoGone, Kept: r.UndoKept, FinishedAt: r.UndoEnd}
	}
	copy(i.SHA256[:], r.SHA256)
	for column, dest := range map[string]struct {
		raw  []byte
		into any
	}{
		"mapping": {r.Mapping, &i.Options.Mapping}, "warnings": {r.Warnings, &i.Warnings}, "failure": {r.Failure, &i.Failure},
	} {
		if dest.raw == nil {
			continue
		}
		if err := json.Unmarshal(dest.raw, dest.into); err != nil {
			return nil, fmt.Errorf("read column %s: %w", column, err)
		}
	}
	return i, nil
}

// Import reads one import. ErrNotFound if there is none.
func (s *Store) Import(ctx context.Context, id uuid.UUID) (_ *roster.Import, err error) {
	defer translate(&err, "read import %s", id)
	var r importRow
	if err := s.db.GetContext(ctx, &r, `SELECT `+importColumns+` FROM imports WHERE id = $1`, id); err != nil {
		return nil, err
	}
	return r.asImport()
}

// ImportFilter narrows a list of imports. The zero value lists all.
type ImportFilter struct {
	Actor  *roster.Actor // only those this caller started
	Key    string        // only what the Actor's Idempotency-Key led to; "" for any
	Status roster.Status // "" for any
	After  uuid.UUID     // the last id of the page before; zero: from the newest
	Limit  int           // at least 1
}

// Imports lists imports, newest first.
func (s *Store) Imports(ctx context.Context, f ImportFilter) (_ []*roster.Import, err error) {
	defer translate(&err, "list imports")
	var where conditions
	if f.Actor != nil {
		where.add("actor_kind = ?", f.Actor.Kind)
		where.add("actor_id = ?", f.Actor.ID)
	}
	if f.Key != "" && f.Actor != nil {
		where.add("id = (SELECT import_id FROM idempotency_keys WHERE caller = "+where.arg(f.Actor.Key())+" AND key = ?)", f.Key)
	}
	if f.Status != "" {
		where.add("status = ?", f.Status)
	}
	if f.After != uuid.Nil {
		where.add("id < ?", f.After)
	}
	var rows []importRow
	query := `SELECT ` + importColumns + ` FROM imports ` + where.sql() + ` ORDER BY id DESC LIMIT ` + where.arg(f.Limit)
	if err := s.db.SelectContext(ctx, &rows, query, where.args...); err != nil {
		return nil, err
	}
	imports := make([]*roster.Import, len(rows))
	for i := range rows {
		if imports[i], err = rows[i].asImport(); err != nil {
			return nil, err
		}
	}
	return imports, nil
}

// Layout is how the file of an import is read: what was found when it was
// first opened. Header is nil before that.
type Layout struct {
	Format tabular.Format
	Header []string
}

// ImportLayout reads how the file of an import is laid out.
func (s *Store) ImportLayout(ctx context.Context, id uuid.UUID) (_ Layout, err error) {
	defer translate(&err, "read layout of import %s", id)
	var r importRow
	if err := s.db.GetContext(ctx, &r, `SELECT format, header FROM imports WHERE id = $1`, id); err != nil {
		return Layout{}, err
	}
	return r.layout()
}

func (r *importRow) layout() (l Layout, err error) {
	if r.Format == nil {
		return Layout{}, nil
	}
	l.Header = r.Header
	if err := json.Unmarshal(r.Format, &l.Format); err != nil {
		return Layout{}, fmt.Errorf("read column format: %w", err)
	}
	return l, nil
}

// ConfirmImport turns a dry run that is ready into a real import of the same
// bytes under the same id, and returns the number of the task to ring.
// ErrWrongState unless it is ready.
func (s *Store) ConfirmImport(ctx context.Context, id uuid.UUID, by Entry) (dispatch int64, err error) {
	defer translate(&err, "confirm import %s", id)
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		err := tx.GetContext(ctx, &dispatch, `
			UPDATE imports
			   SET status = 'importing', dry_run = false, dispatch = dispatch + 1, rung_at = now(), crashes = 0
			 WHERE id = $1 AND status = 'ready'
			RETURNING dispatch`, id)
		if err == sql.ErrNoRows {
			return stateOrMissing(ctx, tx, id)
		}
		if err != nil {
			return err
		}
		return audit(ctx, tx, by.on("import.confirm", "import", id))
	})
	return dispatch, err
}

// CancelImport ends an import where it stands; rows already in stay in. The
// worker that holds it notices at its next commit. ErrWrongState if it ended
// before.
func (s *Store) CancelImport(ctx context.Context, id uuid.UUID, by Entry) (err error) {
	defer translate(&err, "cancel import %s", id)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		r, err := tx.ExecContext(ctx, `
			UPDATE imports
			   SET status = 'canceled', finished_at = now(), lease_until = NULL
			 WHERE id = $1 AND status IN ('queued', 'checking', 'ready', 'importing')`, id)
		if err != nil {
			return err
		}
		if n, _ := r.RowsAffected(); n == 0 {
			return stateOrMissing(ctx, tx, id)
		}
		if err := announceEnd(ctx, tx, id); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("import.cancel", "import", id))
	})
}

// stateOrMissing says why an update of an import met no row.
func stateOrMissing(ctx context.Context, tx *sqlx.Tx, id uuid.UUID) error {
	var exists bool
	if err := tx.GetContext(ctx, &exists, `SELECT EXISTS (SELECT FROM imports WHERE id = $1)`, id); err != nil {
		return err
	}
	if !exists {
		return ErrNotFound
	}
	return ErrWrongState
}

// conditions gathers WHERE clauses and their arguments. Clauses are constants
// of this package with ? for the argument; values only ever travel as
// arguments.
type conditions struct {
	clauses []string
	args    []any
}

// arg adds an argument and returns its placeholder.
func (c *conditions) arg(v any) string {
	c.args = append(c.args, v)
	return fmt.Sprintf("$%d", len(c.args))
}

// add adds a clause in which every ? stands for v.
func (c *conditions) add(clause string, v any) {
	c.clauses = append(c.clauses, strings.ReplaceAll(clause, "?", c.arg(v)))
}

// with adds a clause without an argument.
func (c *conditions) with(clause string) { c.clauses = append(c.clauses, clause) }

func (c *conditions) sql() string {
	if len(c.clauses) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(c.clauses, " AND ")
}
