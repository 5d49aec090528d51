package storage

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"rollcall/roster"
	"rollcall/tabular"
)

// Newcomer is a row of the file that is to become a user, or to update one.
type Newcomer struct {
	ID        uuid.UUID // of the user to be, UUIDv7
	Row, Line int64
	roster.Person
}

// Batch is a run of rows of the import pass.
type Batch struct {
	To        tabular.Position // where the next batch starts
	Rows      int64            // rows passed, those refused in the check included
	Newcomers []Newcomer       // no address twice; sorted in place
	// Refusals are rows refused only now. Addresses taken since the check are
	// not among them: ApplyBatch finds those itself.
	Refusals []roster.Refusal
	// AdminScopes are the scopes with which a token may bring in administrators;
	// nil: those of [AdminScopes].
	AdminScopes []string
	// SetDepartment: the file has a department column, so an update sets it.
	SetDepartment bool
	Last          bool // the file ends here
}

// Applied says what a batch did.
type Applied struct {
	Imported, Updated, Failed int64
	Invited                   bool // some invitations are due now

	rolesKept int64
}

// ApplyBatch commits a batch of the import pass: users, their invitations,
// errors, counts and cursor, all in one transaction or not at all. The last one
// completes the import and ends the claim. [ErrClaimLost] means that nothing
// was written.
func (s *Store) ApplyBatch(ctx context.Context, c *Claim, b Batch) (a Applied, err error) {
	defer translate(&err, "apply batch of import %s at row %d", c.Import.ID, c.At.Row)
	// In the order of the unique index: two imports of the same addresses then
	// wait for each other instead of deadlocking.
	slices.SortFunc(b.Newcomers, func(x, y Newcomer) int { return strings.Compare(x.EmailKey, y.EmailKey) })
	err = s.transact(ctx, func(tx *sqlx.Tx) (err error) {
		a, err = applyBatch(ctx, tx, c, b)
		return err
	})
	if err != nil {
		return Applied{}, err
	}
	c.At, c.Crashes = b.To, 0
	c.Import.Warnings = withRolesKept(c.Import.Warnings, a.rolesKept)
	if b.Last {
		c.Import.Status = roster.Completed
	}
	return a, nil
}

// withRolesKept adds n to the warning that counts kept roles.
func withRolesKept(warnings []roster.Warning, n int64) []roster.Warning {
	if n == 0 {
		return warnings
	}
	warnings = slices.Clone(warnings)
	for i := range warnings {
		if warnings[i].Code == roster.WarnRolesKept {
			warnings[i].Rows += n
			return warnings
		}
	}
	return append(warnings, roster.Warning{
		Code:    roster.WarnRolesKept,
		Message: "Some roles were kept although the file gives another: an import never changes its starter's own role, nor that of the last active administrator, nor any once its starter may not make administrators.",
		Rows:    n,
	})
}

func applyBatch(ctx context.Context, tx *sqlx.Tx, c *Claim, b Batch) (a Applied, err error) {
	b, mayMake, err := barAdmins(ctx, tx, c, b)
	if err != nil {
		return a, err
	}
	created, err := createUsers(ctx, tx, c, b.Newcomers)
	if err != nil {
		return a, err
	}
	a.Imported = created
	a.Invited = created > 0 && c.Import.Options.SendInvitations
	refusals := b.Refusals
	if created < int64(len(b.Newcomers)) {
		taken, err := notCreated(ctx, tx, b.Newcomers)
		if err != nil {
			return a, err
		}
		if c.Import.Options.OnDuplicate == roster.UpdateDuplicates {
			if a.rolesKept, err = updateUsers(ctx, tx, c.Import.CreatedBy, mayMake, taken, b.SetDepartment); err != nil {
				return a, err
			}
			a.Updated = int64(len(taken))
		} else {
			refusals = append(slices.Clone(refusals), refuseTaken(taken)...)
		}
	}
	if err := insertRefusals(ctx, tx, c.Import.ID, refusals); err != nil {
		return a, err
	}
	a.Failed = int64(len(refusals))
	return a, moveImport(ctx, tx, c, b, a)
}

// createUsers first locks the import under its fence and cursor, and then
// creates the users whose address is free and their invitations, in a single
// statement. It returns how many it created.
func createUsers(ctx context.Context, tx *sqlx.Tx, c *Claim, newcomers []Newcomer) (created int64, err error) {
	n := len(newcomers)
	ids, emails, keys := make(pq.StringArray, n), make(pq.StringArray, n), make(pq.StringArray, n)
	names, roles, departments := make(pq.StringArray, n), make(pq.StringArray, n), make(pq.StringArray, n)
	for i, p := range newcomers {
		ids[i], emails[i], keys[i] = p.ID.String(), p.Email, p.EmailKey
		names[i], roles[i], departments[i] = p.Name, string(p.Role), p.Department
	}
	invitation := roster.InvitationHeld
	if c.Import.Options.SendInvitations {
		invitation = roster.InvitationPending
	}
	var held bool
	err = tx.QueryRowxContext(ctx, `
		WITH held AS (
			SELECT id FROM imports WHERE id = $1 AND fence = $2 AND at_row = $3 AND status = 'importing' FOR UPDATE
		), created AS (
			INSERT INTO users (id, email, email_key, name, role, department, import_id)
			SELECT r.id, r.email, r.email_key, r.name, r.role, r.department, held.id
			  FROM held,
			       unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
			    AS r (id, email, email_key, name, role, department)
			ON CONFLICT (email_key) DO NOTHING
			RETURNING id
		), invited AS (
			INSERT INTO invitations (user_id, import_id, status)
			SELECT id, $1, $10 FROM created
		)
		SELECT EXISTS (SELECT FROM held), (SELECT count(*) FROM created)`,
		c.Import.ID, c.Fence, c.At.Row, ids, emails, keys, names, roles, departments, invitation).
		Scan(&held, &created)
	if err == nil && !held {
		return 0, ErrClaimLost
	}
	return created, err
}

// notCreated finds the newcomers whose address was taken.
func notCreated(ctx context.Context, tx *sqlx.Tx, newcomers []Newcomer) ([]Newcomer, error) {
	ids := make(pq.StringArray, len(newcomers))
	for i, p := range newcomers {
		ids[i] = p.ID.String()
	}
	var there []uuid.UUID
	if err := tx.SelectContext(ctx, &there, `SELECT id FROM users WHERE id = ANY($1::uuid[])`, ids); err != nil {
		return nil, err
	}
	created := make(map[uuid.UUID]bool, len(there))
	for _, id := range there {
		created[id] = true
	}
	var taken []Newcomer
	for _, p := range newcomers {
		if !created[p.ID] {
			taken = append(taken, p)
		}
	}
	return taken, nil
}

func refuseTaken(taken []Newcomer) []roster.Refusal {
	refusals := make([]roster.Refusal, len(taken))
	for i, p := range taken {
		refusals[i] = roster.Refusal{Row: p.Row, Line: p.Line, Email: p.Email,
			Problems: []roster.Problem{roster.AlreadyExists(p.Email)}}
	}
	return refusals
}

// moveImport is the second half of the compare-and-swap whose first half,
// the lock under fence and cursor, createUsers took.
func moveImport(ctx context.Context, tx *sqlx.Tx, c *Claim, b Batch, a Applied) error {
	var held, pending int64
	if c.Import.Options.SendInvitations {
		pending = a.Imported
	} else {
		held = a.Imported
	}
	var first, last *uuid.UUID
	for i := range b.Newcomers {
		id := &b.Newcomers[i].ID
		if first == nil || strings.Compare(id.String(), first.String()) < 0 {
			first = id
		}
		if last == nil || strings.Compare(id.String(), last.String()) > 0 {
			last = id
		}
	}
	var warnings *string
	if a.rolesKept > 0 {
		var err error
		if warnings, err = jsonText(withRolesKept(c.Import.Warnings, a.rolesKept)); err != nil {
			return err
		}
	}
	r, err := tx.ExecContext(ctx, `
		UPDATE imports
		   SET at_row = $4, at_line = $5, at_offset = $6, at_skip = $7,
		       processed = processed + $8, imported = imported + $9, updated = updated + $10, failed = failed + $11,
		       invites_held = invites_held + $12, invites_pending = invites_pending + $13,
		       first_user_id = LEAST(first_user_id, $14::uuid), last_user_id = GREATEST(last_user_id, $15::uuid),
		       warnings = COALESCE($16, warnings),
		       status = CASE WHEN $17 THEN 'completed' ELSE status END,
		       finished_at = CASE WHEN $17 THEN now() END,
		       lease_until = CASE WHEN NOT $17 THEN clock_timestamp() + make_interval(secs => $18) END,
		       crashes = 0
		 WHERE id = $1 AND fence = $2 AND at_row = $3 AND status = 'importing'`,
		c.Import.ID, c.Fence, c.At.Row, b.To.Row, b.To.Line, b.To.Offset, b.To.Skip,
		b.Rows, a.Imported, a.Updated, a.Failed, held, pending, first, last, warnings, b.Last, seconds(c.Lease))
	if err != nil {
		return err
	}
	if err := affectedOne(r, ErrClaimLost); err != nil || !b.Last {
		return err
	}
	return announceEnd(ctx, tx, c.Import.ID)
}

// existing is a user whose address stands in the file.
type existing struct {
	ID     uuid.UUID         `db:"id"`
	Key    string            `db:"email_key"`
	Role   roster.Role       `db:"role"`
	Status roster.UserStatus `db:"status"`
}

// updateUsers sets name, role and, where the file has one, department of the
// users that the rows name. A user that is right already is not touched. It
// returns how many roles it kept although the file gave another: the caller's
// own, the last active administrator's, and all of them once the caller may not
// make administrators.
func updateUsers(ctx context.Context, tx *sqlx.Tx, by roster.Actor, mayMake bool, rows []Newcomer, setDepartment bool) (kept int64, err error) {
	keys := make(pq.StringArray, len(rows))
	for i, p := range rows {
		keys[i] = p.EmailKey
	}
	var there []existing
	if err := tx.SelectContext(ctx, &there, `
		SELECT id, email_key, role, status FROM users WHERE email_key = ANY($1) ORDER BY email_key FOR UPDATE`, keys); err != nil {
		return 0, err
	}
	if len(there) != len(rows) {
		return 0, errVanished // taken a moment ago and free again: begin anew
	}
	byKey := make(map[string]existing, len(there))
	for _, u := range there {
		byKey[u.Key] = u
	}
	roles, kept, err := newRoles(ctx, tx, by, mayMake, rows, byKey)
	if err != nil {
		return 0, err
	}
	return kept, writeUpdates(ctx, tx, rows, byKey, roles, setDepartment)
}

// newRoles decides the role of every row, in the order of the file.
func newRoles(ctx context.Context, tx *sqlx.Tx, by roster.Actor, mayMake bool, rows []Newcomer, byKey map[string]existing) (map[string]roster.Role, int64, error) {
	inOrder := slices.SortedFunc(slices.Values(rows), func(a, b Newcomer) int { return int(a.Row - b.Row) })
	roles := make(map[string]roster.Role, len(rows))
	admins := -1 // active administrators left; not yet counted
	gained := 0  // active users whom an earlier row makes one
	var kept int64
	for _, p := range inOrder {
		u := byKey[p.EmailKey]
		roles[p.EmailKey] = u.Role
		if !p.RoleGiven || p.Role == u.Role {
			continue
		}
		if !mayMake || by.Kind == roster.ActorUser && by.ID == u.ID {
			kept++
			continue
		}
		if u.Role == roster.RoleAdmin && u.Status == roster.Active {
			if admins < 0 {
				var err error
				if admins, err = lockActiveAdmins(ctx, tx); err != nil {
					return nil, 0, err
				}
			}
			if admins+gained == 1 {
				kept++
				continue
			}
			admins--
		}
		if p.Role == roster.RoleAdmin && u.Status == roster.Active {
			gained++ // not yet written, so not among those counted
		}
		roles[p.EmailKey] = p.Role
	}
	return roles, kept, nil
}

// lockActiveAdmins counts the active administrators and keeps their number from
// changing until the transaction ends.
func lockActiveAdmins(ctx context.Context, tx *sqlx.Tx) (int, error) {
	var ids []uuid.UUID
	err := tx.SelectContext(ctx, &ids, `
		SELECT id FROM users WHERE role = 'admin' AND status = 'active' ORDER BY email_key FOR UPDATE`)
	return len(ids), err
}

func writeUpdates(ctx context.Context, tx *sqlx.Tx, rows []Newcomer, byKey map[string]existing, roles map[string]roster.Role, setDepartment bool) error {
	n := len(rows)
	ids, names, newRoles, departments := make(pq.StringArray, n), make(pq.StringArray, n), make(pq.StringArray, n), make(pq.StringArray, n)
	for i, p := range rows {
		ids[i], names[i], newRoles[i], departments[i] = byKey[p.EmailKey].ID.String(), p.Name, string(roles[p.EmailKey]), p.Department
	}
	_, err := tx.ExecContext(ctx, `
		WITH wanted AS (
			SELECT w.id, w.name, w.role, CASE WHEN $5 THEN w.department ELSE u.department END AS department, u.role AS old_role
			  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS w (id, name, role, department)
			  JOIN users u ON u.id = w.id
			 WHERE (u.name, u.role) IS DISTINCT FROM (w.name, w.role) OR ($5 AND u.department <> w.department)
		), signed_out AS (
			DELETE FROM sessions s USING wanted w WHERE s.user_id = w.id AND w.role <> w.old_role
		)
		UPDATE users u
		   SET name = w.name, role = w.role, department = w.department, edits = u.edits + 1, updated_at = now()
		  FROM wanted w WHERE u.id = w.id`, ids, names, newRoles, departments, setDepartment)
	return err
}

// TakenKeys returns which of the keys already have a user.
func (s *Store) TakenKeys(ctx context.Context, keys []string) (taken map[string]bool, err error) {
	defer translate(&err, "look up %d addresses", len(keys))
	var there []string
	if err := s.db.SelectContext(ctx, &there, `SELECT email_key FROM users WHERE email_key = ANY($1)`, textArray(keys)); err != nil {
		return nil, err
	}
	taken = make(map[string]bool, len(there))
	for _, k := range there {
		taken[k] = true
	}
	return taken, nil
}

// UserIDs finds the users with these keys, and the import that created each.
func (s *Store) UserIDs(ctx context.Context, keys []string) (_ map[string]Found, err error) {
	defer translate(&err, "look up %d users", len(keys))
	var rows []Found
	if err := s.db.SelectContext(ctx, &rows, `SELECT id, email_key, import_id FROM users WHERE email_key = ANY($1)`, textArray(keys)); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	found := make(map[string]Found, len(rows))
	for _, r := range rows {
		found[r.Key] = r
	}
	return found, nil
}

// Found is a user met by key.
type Found struct {
	ID       uuid.UUID  `db:"id"`
	Key      string     `db:"email_key"`
	ImportID *uuid.UUID `db:"import_id"`
}
