package storage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// MaxDeferredRows bounds how many rows of one file may wait for others to free
// their addresses: they are imported in one transaction, which has to end within
// seconds on a busy database, too.
const MaxDeferredRows = 5_000

// DeferredRow is a row whose address belongs to another user, who may get another
// one in the same file: two people who swap addresses, or a chain of them. Such
// rows are imported together after all others.
type DeferredRow struct {
	UserRow   // ID is not set
	HolderKey string
	// HasDepartment, HasLocale and Attributes are as in [Matching].
	HasDepartment bool
	HasLocale     bool
	Attributes    []string
	Plan          RowPlan // its action and roles
}

// deferredFields is the column fields; empty once the import is canceled.
type deferredFields struct {
	Line          int64
	User          roster.UserFields
	HasDepartment bool
	Attributes    []string
	Action        roster.Action
	OldRole, Role roster.Role
	AccessKept    bool
	Cleared       bool `json:",omitempty"`
	HasLocale     bool `json:",omitempty"`
}

func insertDeferred(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, rows []DeferredRow) error {
	if len(rows) == 0 {
		return nil
	}
	fields := make([]string, len(rows))
	for k, r := range rows {
		raw, err := json.Marshal(deferredFields{r.Line, r.UserFields, r.HasDepartment, r.Attributes, r.Plan.Action, r.Plan.OldRole, r.Plan.Role, r.Plan.AccessKept, r.Plan.DepartmentCleared, r.HasLocale})
		if err != nil {
			return err
		}
		fields[k] = string(raw)
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO import_deferred_rows (import_id, row, holder_key, fields)
		SELECT $1, row, holder_key, fields::jsonb FROM unnest($2::bigint[], $3::text[], $4::text[]) AS d (row, holder_key, fields)`,
		id,
		bigints(rows, func(r *DeferredRow) int64 { return r.Row }),
		texts(rows, func(r *DeferredRow) string { return r.HolderKey }),
		texts(fields, itself))
	return err
}

// deleteDeferred forgets rows that turned out not to go in.
func deleteDeferred(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, rows []int64) error {
	if len(rows) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM import_deferred_rows WHERE import_id = $1 AND row = ANY($2::bigint[])`,
		id, bigints(rows, func(r *int64) int64 { return *r }))
	return err
}

// CountDeferredRows counts the rows of an import that wait for others.
func (s *Store) CountDeferredRows(ctx context.Context, id uuid.UUID) (n int64, err error) {
	defer translate(&err, "count deferred rows of import %s", id)
	return n, s.db.GetContext(ctx, &n, `SELECT count(*) FROM import_deferred_rows WHERE import_id = $1`, id)
}

// WaitingRows are the numbers of the rows of an import that still wait for others:
// of one that is canceled, those it never got to.
func (s *Store) WaitingRows(ctx context.Context, id uuid.UUID) (_ map[int64]bool, err error) {
	defer translate(&err, "list rows of import %s that wait", id)
	var rows []int64
	if err := s.db.SelectContext(ctx, &rows, `SELECT row FROM import_deferred_rows WHERE import_id = $1`, id); err != nil {
		return nil, err
	}
	waiting := make(map[int64]bool, len(rows))
	for _, row := range rows {
		waiting[row] = true
	}
	return waiting, nil
}

// blankDeferred takes from the deferred rows of an import all but their numbers:
// it is canceled, and they will never be imported.
func blankDeferred(ctx context.Context, tx *sqlx.Tx, id uuid.UUID) error {
	_, err := tx.ExecContext(ctx, `UPDATE import_deferred_rows SET holder_key = '', fields = '{}' WHERE import_id = $1`, id)
	return err
}

// ImportWaitingFor finds an import that has not ended in which a deferred row is
// about a user, or wants the user's address; nil for none.
func (s *Store) ImportWaitingFor(ctx context.Context, p DataSubject) (id *uuid.UUID, err error) {
	defer translate(&err, "look for imports that wait for user %s", p.UserID)
	return id, s.db.GetContext(ctx, &id, `
		SELECT (SELECT d.import_id FROM import_deferred_rows d JOIN imports i ON i.id = d.import_id
		         WHERE i.finished_at IS NULL
		           AND (d.fields->'User'->>'EmailKey' = $2
		                OR EXISTS (SELECT FROM external_ids k WHERE k.user_id = $1 AND k.source = i.source
		                              AND k.external_id IN (d.holder_key, d.fields->'User'->>'ExternalID')))
		         LIMIT 1)`, p.UserID, p.EmailKey)
}

// DeferredRows lists the deferred rows of an import that has not ended, in order;
// there are at most MaxDeferredRows.
func (s *Store) DeferredRows(ctx context.Context, id uuid.UUID) (rows []DeferredRow, err error) {
	defer translate(&err, "list deferred rows of import %s", id)
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		rows, err = deferredRows(ctx, tx, id)
		return err
	})
	return rows, err
}

func deferredRows(ctx context.Context, tx *sqlx.Tx, id uuid.UUID) ([]DeferredRow, error) {
	var stored []struct {
		Row       int64  `db:"row"`
		HolderKey string `db:"holder_key"`
		Fields    []byte `db:"fields"`
	}
	if err := tx.SelectContext(ctx, &stored, `
		SELECT row, holder_key, fields FROM import_deferred_rows WHERE import_id = $1 ORDER BY row`, id); err != nil {
		return nil, err
	}
	rows := make([]DeferredRow, len(stored))
	for k, r := range stored {
		var f deferredFields
		if err := json.Unmarshal(r.Fields, &f); err != nil {
			return nil, fmt.Errorf("read deferred row %d: %w", r.Row, err)
		}
		rows[k] = DeferredRow{
			UserRow: UserRow{Row: r.Row, Line: f.Line, UserFields: f.User}, HolderKey: r.HolderKey, HasDepartment: f.HasDepartment, HasLocale: f.HasLocale, Attributes: f.Attributes,
			Plan: RowPlan{Action: f.Action, OldRole: f.OldRole, Role: f.Role, AccessKept: f.AccessKept, DepartmentCleared: f.Cleared},
		}
	}
	return rows, nil
}

// FailedAmong tells which of the rows of an import fail.
func (s *Store) FailedAmong(ctx context.Context, id uuid.UUID, rows []int64) (map[int64]bool, error) {
	const page = 10_000
	failed := map[int64]bool{}
	if len(rows) == 0 {
		return failed, nil
	}
	for after, last := slices.Min(rows)-1, slices.Max(rows); after < last; {
		found, err := s.FailedRows(ctx, id, after, page)
		if err != nil {
			return nil, err
		}
		for _, row := range found {
			failed[row] = true
		}
		if len(found) < page {
			break
		}
		after = found[len(found)-1]
	}
	return failed, nil
}

// applyDeferred imports the deferred rows of an import together: the users who
// move give up their addresses first, so that any swap or chain comes out right.
func applyDeferred(ctx context.Context, tx *sqlx.Tx, c *Claim, adminScopes []string) (a Applied, rowErrors []roster.RowError, first, last *uuid.UUID, err error) {
	deferred, err := deferredRows(ctx, tx, c.Import.ID)
	if err != nil || len(deferred) == 0 {
		return a, nil, nil, nil, err
	}
	m := Matching{Source: c.Import.Options.Source, HasExternalID: true, Blank: c.Import.Options.Blank, HasDepartment: deferred[0].HasDepartment, HasLocale: deferred[0].HasLocale, Attributes: deferred[0].Attributes}
	b := Batch{AdminScopes: adminScopes, Matching: m}
	for _, d := range deferred {
		if d.ID, err = uuid.NewV7(); err != nil {
			return a, nil, nil, nil, err
		}
		b.Newcomers = append(b.Newcomers, d.UserRow)
	}
	b, rights, err := refuseAdminRows(ctx, tx, c, b)
	if err != nil {
		return a, nil, nil, nil, err
	}
	matches, err := matchRows(ctx, tx, m, b.Newcomers, everyMatch)
	if err != nil {
		return a, nil, nil, nil, err
	}
	var failed []roster.RowError
	if !rights.change {
		matches, failed = failAdminChanges(m, matches)
		rowErrors = append(rowErrors, failed...)
	}
	matches, failed = untangle(matches)
	rowErrors = append(append(rowErrors, b.RowErrors...), failed...)
	var newcomers []UserRow
	var existing []match
	for _, f := range matches {
		if f.user == nil {
			newcomers = append(newcomers, *f.row)
		} else {
			existing = append(existing, f)
		}
	}
	slices.SortFunc(newcomers, byEmailKey)
	if err := lockUsers(ctx, tx, m, existing); err != nil {
		return a, nil, nil, nil, err
	}
	if err := parkAddresses(ctx, tx, movers(existing)); err != nil {
		return a, nil, nil, nil, err
	}
	if a.Imported, err = createUsers(ctx, tx, updatedBy(c.Import), m, newcomers); err != nil {
		return a, nil, nil, nil, err
	}
	if a.Imported < int64(len(newcomers)) {
		return a, nil, nil, nil, errRetry
	}
	a.invitable = a.Imported - countDisabled(newcomers)
	u, err := changeUsers(ctx, tx, c.Import, m, rights, existing)
	if err != nil {
		return a, nil, nil, nil, err
	}
	if len(u.rowErrors) > 0 { // whoever is not moved keeps an address that another may have been promised
		return a, nil, nil, nil, fmt.Errorf("%d deferred rows that failed after their addresses were given up", len(u.rowErrors))
	}
	a.Updated, a.rolesKept = u.changed, u.rolesKept
	a.Unchanged = int64(len(existing)) - u.changed
	a.Failed = int64(len(rowErrors))
	a.Invited = u.invited || a.invitable > 0 && c.Import.Options.SendInvitations
	first, last = idRange(newcomers)
	return a, rowErrors, first, last, nil
}

// failAdminChanges leaves out the rows that would change an administrator's
// address or key.
func failAdminChanges(m Matching, matches []match) (rest []match, failed []roster.RowError) {
	for _, f := range matches {
		if problem := m.adminProblem(&f); problem != nil {
			failed = append(failed, f.row.rowError(*problem))
		} else {
			rest = append(rest, f)
		}
	}
	return rest, failed
}

// parkAddresses frees the addresses of users who get others in this transaction.
func parkAddresses(ctx context.Context, tx *sqlx.Tx, users []uuid.UUID) error {
	if len(users) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `UPDATE users SET email_key = 'parked:' || id WHERE id = ANY($1::uuid[])`, uuids(users, itsID))
	return err
}

func movers(matches []match) (users []uuid.UUID) {
	for _, f := range matches {
		if f.moves() {
			users = append(users, f.user.ID)
		}
	}
	return users
}

// untangle leaves out the rows whose address is held by someone who does not move:
// and then those who wanted the address of one left out, and so on.
func untangle(matches []match) (good []match, failed []roster.RowError) {
	moving := map[uuid.UUID]bool{}
	wantedBy := map[uuid.UUID]int{} // whose row wants the address of a user
	for k, f := range matches {
		if f.moves() {
			moving[f.user.ID] = true
		}
		if f.holder != nil {
			wantedBy[*f.holder] = k
		}
	}
	var out []int
	for k, f := range matches {
		if f.holder != nil && !moving[*f.holder] {
			out = append(out, k)
		}
	}
	left := make(map[int]bool, len(out))
	for len(out) > 0 {
		f := matches[out[0]]
		left[out[0]], out = true, out[1:]
		failed = append(failed, f.row.rowError(*f.problem()))
		if f.moves() {
			if next, wanted := wantedBy[f.user.ID]; wanted {
				out = append(out, next)
			}
		}
	}
	for k, f := range matches {
		if !left[k] {
			good = append(good, f)
		}
	}
	return good, failed
}

// idRange is the first and last id of rows; nil without rows.
func idRange(rows []UserRow) (first, last *uuid.UUID) {
	for i := range rows {
		id := &rows[i].ID
		if first == nil || bytes.Compare(id[:], first[:]) < 0 {
			first = id
		}
		if last == nil || bytes.Compare(id[:], last[:]) > 0 {
			last = id
		}
	}
	return first, last
}
