package storage

import (
	"context"
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
	total, checked, valid, processed, imported, updated, unchanged, failed, admins, blank, source, stage,
	missing, max_disable, disabled, plan_disable, disable_limit, plan_create, plan_update, plan_unchanged, plan_admins_gained, plan_admins_lost, plan_departments_cleared,
	invites_held, invites_pending, invites_sent, invites_failed, invites_accepted, invites_reminders,
	(SELECT count(*) FROM invitations b WHERE b.import_id = imports.id AND b.status = 'failed' AND b.bounced_generation = b.generation) AS invites_bounced,
	warnings, failure, value_map, role_values, profile, attributes, fence, dispatch, failed_claims, cursor_row, cursor_line, cursor_offset, cursor_skip,
	sheet, header_row, workbook, converted_bytes, file_erased_at, notify,
	first_user_id, last_user_id, actor_kind, actor_id, actor,
	created_at, started_at, finished_at, undo_requested_at, undo_removed, undo_kept, undo_restored, undo_finished_at, purged_at, revision, trace_parent`

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
	Unchanged int64  `db:"unchanged"`
	Failed    int64  `db:"failed"`
	Admins    int64  `db:"admins"`
	Blank     string `db:"blank"`
	Source    string `db:"source"`
	Stage     string `db:"stage"`

	Missing      string `db:"missing"`
	MaxDisable   string `db:"max_disable"`
	Disabled     int64  `db:"disabled"`
	DisableLimit *int64 `db:"disable_limit"`

	PlanDisable      int64 `db:"plan_disable"`
	PlanCreate       int64 `db:"plan_create"`
	PlanUpdate       int64 `db:"plan_update"`
	PlanUnchanged    int64 `db:"plan_unchanged"`
	PlanAdminsGained int64 `db:"plan_admins_gained"`
	PlanAdminsLost   int64 `db:"plan_admins_lost"`
	PlanCleared      int64 `db:"plan_departments_cleared"`

	Notify           pq.StringArray `db:"notify"`
	InvitesHeld      int64          `db:"invites_held"`
	InvitesPending   int64          `db:"invites_pending"`
	InvitesSent      int64          `db:"invites_sent"`
	InvitesFailed    int64          `db:"invites_failed"` // those bounced included
	InvitesBounced   int64          `db:"invites_bounced"`
	InvitesAccepted  int64          `db:"invites_accepted"`
	InvitesReminders int64          `db:"invites_reminders"`

	Sheet          string     `db:"sheet"`
	HeaderRow      int64      `db:"header_row"`
	Workbook       []byte     `db:"workbook"`
	ConvertedBytes *int64     `db:"converted_bytes"`
	FileErasedAt   *time.Time `db:"file_erased_at"`

	Warnings []byte `db:"warnings"`
	Failure  []byte `db:"failure"`

	ValueMap   []byte         `db:"value_map"`
	RoleValues []byte         `db:"role_values"`
	Profile    string         `db:"profile"`
	Attributes pq.StringArray `db:"attributes"`

	Fence    int64 `db:"fence"`
	Dispatch int64 `db:"dispatch"`
	Crashes  int   `db:"failed_claims"`
	AtRow    int64 `db:"cursor_row"`
	AtLine   int64 `db:"cursor_line"`
	AtOffset int64 `db:"cursor_offset"`
	AtSkip   int64 `db:"cursor_skip"`

	FirstUserID *uuid.UUID `db:"first_user_id"`
	LastUserID  *uuid.UUID `db:"last_user_id"`

	ActorKind  roster.ActorKind `db:"actor_kind"`
	ActorID    uuid.UUID        `db:"actor_id"`
	Actor      string           `db:"actor"`
	CreatedAt  time.Time        `db:"created_at"`
	StartedAt  *time.Time       `db:"started_at"`
	FinishedAt *time.Time       `db:"finished_at"`
	UndoneAt   *time.Time       `db:"undo_requested_at"`
	UndoGone   int64            `db:"undo_removed"`
	UndoKept   int64            `db:"undo_kept"`
	UndoBack   int64            `db:"undo_restored"`
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
			Encoding: r.Encoding, Delimiter: r.Delimiter, WebhookURL: r.WebhookURL, Blank: blankOption(r.Blank), Source: sourceOption(r.Source),
			Profile: r.Profile,
			Missing: missingOption(r.Missing), MaxDisable: r.MaxDisable, Sheet: r.Sheet, HeaderRow: r.HeaderRow, Notify: append([]string(nil), r.Notify...),
		},
		Counts: roster.Counts{
			Total: r.Total, Checked: r.Checked, Valid: r.Valid, Processed: r.Processed,
			Imported: r.Imported, Updated: r.Updated, Unchanged: r.Unchanged, Disabled: r.Disabled, Failed: r.Failed, Admins: r.Admins,
		},
		Plan: roster.Plan{
			Create: r.PlanCreate, Update: r.PlanUpdate, Unchanged: r.PlanUnchanged, Disable: r.PlanDisable,
			AdminsGained: r.PlanAdminsGained, AdminsLost: r.PlanAdminsLost,
		},
		DepartmentsCleared: r.PlanCleared,
		DisableLimit:       r.DisableLimit,
		Invitations: roster.InvitationCounts{
			Held: r.InvitesHeld, Pending: r.InvitesPending, Sent: r.InvitesSent,
			Failed: max(0, r.InvitesFailed-r.InvitesBounced), Bounced: r.InvitesBounced, Accepted: r.InvitesAccepted, Reminders: r.InvitesReminders,
		},
		CreatedBy: roster.Actor{Kind: r.ActorKind, ID: r.ActorID, Label: r.Actor},
		CreatedAt: r.CreatedAt, StartedAt: r.StartedAt, FinishedAt: r.FinishedAt,
		PurgedAt: r.PurgedAt, FileErasedAt: r.FileErasedAt, Revision: r.Revision,
	}
	if len(r.Attributes) > 0 {
		i.Options.Attributes = r.Attributes
	}
	if r.UndoneAt != nil {
		i.Undo = &roster.Undo{AskedAt: *r.UndoneAt, Removed: r.UndoGone, Kept: r.UndoKept, Restored: r.UndoBack, FinishedAt: r.UndoEnd}
	}
	copy(i.SHA256[:], r.SHA256)
	for column, dest := range map[string]struct {
		raw  []byte
		into any
	}{
		"value_map": {r.ValueMap, &i.Options.ValueMap}, "role_values": {r.RoleValues, &i.RoleValues},
		"mapping": {r.Mapping, &i.Options.Mapping}, "warnings": {r.Warnings, &i.Warnings}, "workbook": {r.Workbook, &i.Workbook}, "failure": {r.Failure, &i.Failure},
	} {
		if dest.raw == nil {
			continue
		}
		if err := json.Unmarshal(dest.raw, dest.into); err != nil {
			return nil, fmt.Errorf("read column %s: %w", column, err)
		}
	}
	if i.Workbook != nil {
		i.Workbook.Converted = r.ConvertedBytes != nil
	}
	return i, nil
}

// blankOption is "" for the default: options as they were asked for.
func blankOption(stored string) roster.Blank {
	if stored == string(roster.BlankKeep) {
		return ""
	}
	return roster.Blank(stored)
}

// missingOption is "" for the default, like blankOption.
func missingOption(stored string) roster.Missing {
	if stored == string(roster.MissingKeep) {
		return ""
	}
	return roster.Missing(stored)
}

// sourceOption is "" for the default, like blankOption.
func sourceOption(stored string) string {
	if stored == roster.DefaultSource {
		return ""
	}
	return stored
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
	var where whereBuilder
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

// CancelImport ends an import where it stands; rows already in stay in. The
// worker that holds it notices at its next commit. ErrWrongState if it ended
// before.
func (s *Store) CancelImport(ctx context.Context, id uuid.UUID, by AuditEntry) (err error) {
	defer translate(&err, "cancel import %s", id)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		r, err := tx.ExecContext(ctx, `
			UPDATE imports
			   SET status = 'canceled', finished_at = now(), lease_until = NULL
			 WHERE id = $1 AND status IN ('queued', 'checking', 'ready', 'held', 'importing')`, id)
		if err != nil {
			return err
		}
		if n, _ := r.RowsAffected(); n == 0 {
			return stateOrMissing(ctx, tx, id)
		}
		if err := blankDeferred(ctx, tx, id); err != nil {
			return err
		}
		if err := deleteRowKeys(ctx, tx, id); err != nil {
			return err
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

// whereBuilder gathers WHERE clauses and their arguments. Clauses are constants
// of this package with ? for the argument; values only ever travel as
// arguments.
type whereBuilder struct {
	clauses []string
	args    []any
}

// arg adds an argument and returns its placeholder.
func (c *whereBuilder) arg(v any) string {
	c.args = append(c.args, v)
	return fmt.Sprintf("$%d", len(c.args))
}

// add adds a clause in which every ? stands for v.
func (c *whereBuilder) add(clause string, v any) {
	c.clauses = append(c.clauses, strings.ReplaceAll(clause, "?", c.arg(v)))
}

// with adds a clause without an argument.
func (c *whereBuilder) with(clause string) { c.clauses = append(c.clauses, clause) }

func (c *whereBuilder) sql() string {
	if len(c.clauses) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(c.clauses, " AND ")
}
