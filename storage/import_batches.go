package storage

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
	"rollcall/tabular"
)

// UserRow is a row of the file that is to become a user, or to update one.
type UserRow struct {
	ID        uuid.UUID // of the user to be, UUIDv7
	Row, Line int64
	roster.UserFields
}

// Batch is a run of rows of the import pass.
type Batch struct {
	To        tabular.Position // where the next batch starts
	Rows      int64            // rows passed, those failed in the check included
	Newcomers []UserRow        // no address twice; sorted in place
	// RowErrors are rows that failed only now. Addresses taken since the check are
	// not among them: ApplyBatch finds those itself.
	RowErrors []roster.RowError
	// AdminScopes are the scopes with which a token may bring in administrators;
	// nil: those of [AdminScopes].
	AdminScopes []string
	// Matching says how rows find their users, and what they change of them.
	Matching Matching
	Last     bool // the file ends here
	// Crashes is what the import has counted once the batch is committed, should
	// the claim then end without another commit and without handing back; 0 in
	// good times.
	Crashes int

	// WaitForPrevious returns when the batch before this one is committed; nil: it is.
	// Until then the batch creates its users and invitations, which is nearly
	// all of its work and depends on no other batch. What depends on the order,
	// the cursor first of all, comes after. An error of Turn is returned
	// wrapped, and nothing is written.
	//
	// A batch that waits for its turn holds the addresses it has created. The
	// batch before it may be waiting for another import's batch, which waits
	// for one of those, and PostgreSQL sees no deadlock in that since one of
	// the waits is ours. So Turn must not wait for ever, and who gives up may
	// apply the batch again when its turn has come.
	WaitForPrevious func(context.Context) error
}

// Applied says what a batch did.
type Applied struct {
	Imported, Updated, Unchanged, Failed int64
	Disabled                             int64 // missing from a full roster
	Invited                              bool  // some invitations are due now

	rolesKept int64
	closing   bool  // the rows are in, and there is more to do: see CloseStep
	invitable int64 // new users who are invited, at once or later
}

// ApplyBatch commits a batch of the import pass: users, their invitations,
// errors, counts and cursor, all in one transaction or not at all. The last one
// completes the import and ends the claim. [ErrClaimLost] means that nothing
// was written.
func (s *Store) ApplyBatch(ctx context.Context, c *Claim, b Batch) (a Applied, err error) {
	defer translate(&err, "apply batch of import %s before row %d", c.Import.ID, b.To.Row)
	// In the order of the unique index: two imports of the same addresses then
	// wait for each other instead of deadlocking.
	slices.SortFunc(b.Newcomers, byEmailKey)
	err = s.transact(ctx, func(tx *sqlx.Tx) (err error) {
		a, err = applyBatch(ctx, tx, c, b)
		return err
	})
	if err != nil {
		return Applied{}, err
	}
	c.Import.Warnings = warningsAfter(c, a.rolesKept)
	c.At, c.Crashes = b.To, max(0, b.Crashes-1)
	if a.closing {
		c.Stage = StageDeferred
	}
	if b.Last && !a.closing {
		c.Import.Status = roster.Completed
	}
	return a, nil
}

// warningsAfter are the warnings of an import once a batch is committed that has
// kept n roles. What the check has foreseen ends with the first batch.
func warningsAfter(c *Claim, n int64) []roster.Warning {
	if c.Stage == StageRows && c.At.Row == 0 {
		return roster.WithRolesKept(c.Import.Warnings, n)
	}
	return roster.WithRolesKept(c.Import.Warnings, roster.RolesKept(c.Import.Warnings)+n)
}

// changedWarnings is the column for warningsAfter; nil if nothing changes.
func changedWarnings(c *Claim, n int64) (*string, error) {
	now := warningsAfter(c, n)
	if roster.RolesKept(now) == roster.RolesKept(c.Import.Warnings) {
		return nil, nil
	}
	return jsonText(now)
}

func applyBatch(ctx context.Context, tx *sqlx.Tx, c *Claim, b Batch) (a Applied, err error) {
	b, rights, err := refuseAdminRows(ctx, tx, c, b)
	if err != nil {
		return a, err
	}
	update := c.Import.Options.OnDuplicate == roster.UpdateDuplicates
	newcomers, rowErrors := b.Newcomers, b.RowErrors
	var differing []match
	if update || b.Matching.HasExternalID {
		var failed []roster.RowError
		if newcomers, differing, failed, err = tellApart(ctx, tx, b, update); err != nil {
			return a, err
		}
		rowErrors = append(slices.Clone(rowErrors), failed...)
	}
	rows := int64(len(b.Newcomers) - (len(rowErrors) - len(b.RowErrors)))
	created, err := createUsers(ctx, tx, updatedBy(c.Import), b.Matching, newcomers)
	if err != nil {
		return a, err
	}
	if b.WaitForPrevious != nil {
		if err := b.WaitForPrevious(ctx); err != nil {
			return a, err
		}
	}
	if err := lockClaimed(ctx, tx, c); err != nil {
		return a, err
	}
	if b.WaitForPrevious != nil && rights.grant { // asked again, since the turn may have been long in coming
		_, now, err := refuseAdminRows(ctx, tx, c, b)
		if err != nil {
			return a, err
		}
		if now != rights {
			return a, errRetry
		}
	}
	a.Imported, a.invitable = created, created-countDisabled(newcomers)
	a.Invited = a.invitable > 0 && c.Import.Options.SendInvitations
	switch {
	case update && created < int64(len(newcomers)):
		return a, errRetry // an address was taken a moment ago: match again
	case update:
		u, err := updateUsers(ctx, tx, c.Import, b.Matching, rights, differing)
		if err != nil {
			return a, err
		}
		a.Updated, a.rolesKept, a.Invited = u.changed, u.rolesKept, a.Invited || u.invited
		a.Unchanged = rows - int64(len(newcomers)) - a.Updated - int64(len(u.rowErrors))
		rowErrors = append(slices.Clone(rowErrors), u.rowErrors...)
	case created < int64(len(newcomers)):
		if b.Matching.HasExternalID {
			return a, errRetry // match again, by key too
		}
		if err := forceIndexScan(ctx, tx); err != nil {
			return a, err
		}
		taken, err := notCreated(ctx, tx, newcomers)
		if err != nil {
			return a, err
		}
		rowErrors = append(slices.Clone(rowErrors), failExisting(taken)...)
	}
	if err := insertRowErrors(ctx, tx, c.Import.ID, rowErrors); err != nil {
		return a, err
	}
	a.Failed = int64(len(rowErrors))
	if b.Last {
		if a.closing, err = closes(ctx, tx, c); err != nil {
			return a, err
		}
	}
	return a, advanceImport(ctx, tx, c, b, a)
}

// tellApart finds the rows that are new users, and those that differ from the user
// they are about. The others change nothing, and nothing is written for them.
// Refused are those whose address another user has, and without update all that
// have a user.
func tellApart(ctx context.Context, tx *sqlx.Tx, b Batch, update bool) (newcomers []UserRow, differing []match, failed []roster.RowError, err error) {
	wanted := onlyChanges
	if !update {
		wanted = everyMatch
	}
	matches, err := matchRows(ctx, tx, b.Matching, b.Newcomers, wanted)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, f := range matches {
		switch p := f.problem(); {
		case p != nil:
			failed = append(failed, f.row.rowError(*p))
		case f.user == nil:
			newcomers = append(newcomers, *f.row)
		case update:
			differing = append(differing, f)
		default:
			failed = append(failed, f.row.rowError(existsProblem(f.row, f.moves())))
		}
	}
	slices.SortFunc(newcomers, byEmailKey)
	return newcomers, differing, failed, nil
}

// existsProblem is the problem of a row that has a user: by its key if that is
// under another address.
func existsProblem(p *UserRow, byKey bool) roster.Problem {
	if byKey {
		return roster.ExternalIDExists(p.ExternalID)
	}
	return roster.AlreadyExists(p.Email)
}

func byEmailKey(a, b UserRow) int { return strings.Compare(a.EmailKey, b.EmailKey) }

// createUsers creates the users whose address is free, their invitations and
// keys. o.importID is nil for users who are not created by an import; o.invite is
// what becomes of their invitations. It returns how many it created; keys only if
// that is all of them, since otherwise the caller begins again.
func createUsers(ctx context.Context, tx *sqlx.Tx, o updateOrigin, m Matching, rows []UserRow) (created int64, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	err = tx.GetContext(ctx, &created, `
		WITH created AS (
			INSERT INTO users (id, email, email_key, name, role, department, status, import_id, attributes, locale)
			SELECT id, email, email_key, name, role, department, COALESCE(status, 'invited'), $1, NULLIF(attributes, '')::jsonb, NULLIF(locale, '')
			  FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $9::text[], $10::text[], $11::text[])
			    AS r (id, email, email_key, name, role, department, status, attributes, locale)
			ON CONFLICT (email_key) DO NOTHING
			RETURNING id, status
		), invited AS (
			INSERT INTO invitations (user_id, import_id, status)
			SELECT id, $1, $8 FROM created WHERE status <> 'disabled'
		)
		SELECT count(*) FROM created`,
		o.importID, uuids(rows, userRowID),
		texts(rows, func(p *UserRow) string { return p.Email }),
		texts(rows, func(p *UserRow) string { return p.EmailKey }),
		texts(rows, func(p *UserRow) string { return p.Name }),
		texts(rows, func(p *UserRow) string { return string(p.Role) }),
		texts(rows, func(p *UserRow) string { return p.Department }),
		o.invite,
		newStatuses(rows), m.rowAttributes(rows), m.rowLocales(rows))
	if err != nil || created < int64(len(rows)) || !m.HasExternalID {
		return created, err
	}
	keyed := slices.DeleteFunc(slices.Clone(rows), func(p UserRow) bool { return p.ExternalID == "" })
	return created, insertKeys(ctx, tx, m.source(), keyed, func(p *UserRow) string { return p.ExternalID }, userRowID)
}

// newStatuses are the statuses of new users; nil if all are invited, as nearly
// always: an array costs both sides some of the time of an import.
func newStatuses(rows []UserRow) any {
	if countDisabled(rows) == 0 {
		return nil
	}
	return texts(rows, func(p *UserRow) string {
		if p.Status == roster.Disabled {
			return string(roster.Disabled)
		}
		return string(roster.Invited)
	})
}

func countDisabled(rows []UserRow) (n int64) {
	for _, p := range rows {
		if p.Status == roster.Disabled {
			n++
		}
	}
	return n
}

func userRowID(p *UserRow) uuid.UUID { return p.ID }

// lockClaimed locks the import, if it is still ours and at the place where the
// batch begins.
func lockClaimed(ctx context.Context, tx *sqlx.Tx, c *Claim) error {
	var held bool
	err := tx.GetContext(ctx, &held, `
		SELECT true FROM imports WHERE id = $1 AND fence = $2 AND cursor_row = $3 AND stage = 'rows' AND status = 'importing' FOR UPDATE`,
		c.Import.ID, c.Fence, c.At.Row)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrClaimLost
	}
	return err
}

// notCreated finds the newcomers whose address was taken.
func notCreated(ctx context.Context, tx *sqlx.Tx, rows []UserRow) ([]UserRow, error) {
	var there []uuid.UUID
	if err := tx.SelectContext(ctx, &there, `SELECT id FROM users WHERE id = ANY($1::uuid[])`, uuids(rows, userRowID)); err != nil {
		return nil, err
	}
	created := make(map[uuid.UUID]bool, len(there))
	for _, id := range there {
		created[id] = true
	}
	var taken []UserRow
	for _, p := range rows {
		if !created[p.ID] {
			taken = append(taken, p)
		}
	}
	return taken, nil
}

func failExisting(taken []UserRow) []roster.RowError {
	rowErrors := make([]roster.RowError, len(taken))
	for i, p := range taken {
		rowErrors[i] = roster.RowError{Row: p.Row, Line: p.Line, Email: p.Email,
			Problems: []roster.Problem{roster.AlreadyExists(p.Email)}}
	}
	return rowErrors
}

// advanceImport is the second half of the compare-and-swap whose first half is
// lockClaimed.
func advanceImport(ctx context.Context, tx *sqlx.Tx, c *Claim, b Batch, a Applied) error {
	var held, pending int64
	if c.Import.Options.SendInvitations {
		pending = a.invitable
	} else {
		held = a.invitable
	}
	first, last := idRange(b.Newcomers)
	ends := b.Last && !a.closing
	warnings, err := changedWarnings(c, a.rolesKept)
	if err != nil {
		return err
	}
	r, err := tx.ExecContext(ctx, `
		UPDATE imports
		   SET cursor_row = $4, cursor_line = $5, cursor_offset = $6, cursor_skip = $7,
		       processed = processed + $8, imported = imported + $9, updated = updated + $10, failed = failed + $11, unchanged = unchanged + $20,
		       invites_held = invites_held + $12, invites_pending = invites_pending + $13,
		       first_user_id = LEAST(first_user_id, $14::uuid), last_user_id = GREATEST(last_user_id, $15::uuid),
		       warnings = COALESCE($16, warnings),
		       status = CASE WHEN $17 THEN 'completed' ELSE status END,
		       finished_at = CASE WHEN $17 THEN now() END,
		       lease_until = CASE WHEN NOT $17 THEN clock_timestamp() + make_interval(secs => $18) END,
		       failed_claims = $19, stage = CASE WHEN $21 THEN 'deferred' ELSE stage END
		 WHERE id = $1 AND fence = $2 AND cursor_row = $3 AND status = 'importing'`,
		c.Import.ID, c.Fence, c.At.Row, b.To.Row, b.To.Line, b.To.Offset, b.To.Skip,
		b.Rows, a.Imported, a.Updated, a.Failed, held, pending, first, last, warnings, ends, seconds(c.Lease), b.Crashes, a.Unchanged, a.closing)
	if err != nil {
		return err
	}
	if err := affectedOne(r, ErrClaimLost); err != nil || !ends {
		return err
	}
	return announceEnd(ctx, tx, c.Import.ID)
}
