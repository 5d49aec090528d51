package storage

import (
	"bytes"
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
	// Crashes is what the import has counted once the batch is committed, should
	// the claim then end without another commit and without handing back; 0 in
	// good times.
	Crashes int

	// Turn returns when the batch before this one is committed; nil: it is.
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
	Turn func(context.Context) error
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
	defer translate(&err, "apply batch of import %s before row %d", c.Import.ID, b.To.Row)
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
	c.At, c.Crashes = b.To, max(0, b.Crashes-1)
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
	if b.Turn != nil {
		if err := b.Turn(ctx); err != nil {
			return a, err
		}
	}
	if err := lockClaimed(ctx, tx, c); err != nil {
		return a, err
	}
	if b.Turn != nil && mayMake { // asked again, since the turn may have been long in coming
		if _, mayMake, err = barAdmins(ctx, tx, c, b); err != nil {
			return a, err
		}
		if !mayMake {
			return a, errVanished
		}
	}
	a.Imported = created
	a.Invited = created > 0 && c.Import.Options.SendInvitations
	refusals := b.Refusals
	if created < int64(len(b.Newcomers)) {
		if err := byIndex(ctx, tx); err != nil {
			return a, err
		}
		taken, err := notCreated(ctx, tx, b.Newcomers)
		if err != nil {
			return a, err
		}
		if c.Import.Options.OnDuplicate == roster.UpdateDuplicates {
			if a.rolesKept, err = updateUsers(ctx, tx, c.Import.ID, c.Import.CreatedBy, mayMake, taken, b.SetDepartment); err != nil {
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

// createUsers creates the users whose address is free and their invitations, in
// a single statement. It returns how many it created.
func createUsers(ctx context.Context, tx *sqlx.Tx, c *Claim, newcomers []Newcomer) (created int64, err error) {
	if len(newcomers) == 0 {
		return 0, nil
	}
	invitation := roster.InvitationHeld
	if c.Import.Options.SendInvitations {
		invitation = roster.InvitationPending
	}
	err = tx.GetContext(ctx, &created, `
		WITH created AS (
			INSERT INTO users (id, email, email_key, name, role, department, import_id)
			SELECT id, email, email_key, name, role, department, $1
			  FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
			    AS r (id, email, email_key, name, role, department)
			ON CONFLICT (email_key) DO NOTHING
			RETURNING id
		), invited AS (
			INSERT INTO invitations (user_id, import_id, status)
			SELECT id, $1, $8 FROM created
		)
		SELECT count(*) FROM created`,
		c.Import.ID, uuids(newcomers, newcomerID),
		texts(newcomers, func(p *Newcomer) string { return p.Email }),
		texts(newcomers, func(p *Newcomer) string { return p.EmailKey }),
		texts(newcomers, func(p *Newcomer) string { return p.Name }),
		texts(newcomers, func(p *Newcomer) string { return string(p.Role) }),
		texts(newcomers, func(p *Newcomer) string { return p.Department }),
		invitation)
	return created, err
}

func newcomerID(p *Newcomer) uuid.UUID { return p.ID }

// lockClaimed locks the import, if it is still ours and at the place where the
// batch begins.
func lockClaimed(ctx context.Context, tx *sqlx.Tx, c *Claim) error {
	var held bool
	err := tx.GetContext(ctx, &held, `
		SELECT true FROM imports WHERE id = $1 AND fence = $2 AND at_row = $3 AND status = 'importing' FOR UPDATE`,
		c.Import.ID, c.Fence, c.At.Row)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrClaimLost
	}
	return err
}

// notCreated finds the newcomers whose address was taken.
func notCreated(ctx context.Context, tx *sqlx.Tx, newcomers []Newcomer) ([]Newcomer, error) {
	var there []uuid.UUID
	if err := tx.SelectContext(ctx, &there, `SELECT id FROM users WHERE id = ANY($1::uuid[])`, uuids(newcomers, newcomerID)); err != nil {
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

// moveImport is the second half of the compare-and-swap whose first half is
// lockClaimed.
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
		if first == nil || bytes.Compare(id[:], first[:]) < 0 {
			first = id
		}
		if last == nil || bytes.Compare(id[:], last[:]) > 0 {
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
		       crashes = $19
		 WHERE id = $1 AND fence = $2 AND at_row = $3 AND status = 'importing'`,
		c.Import.ID, c.Fence, c.At.Row, b.To.Row, b.To.Line, b.To.Offset, b.To.Skip,
		b.Rows, a.Imported, a.Updated, a.Failed, held, pending, first, last, warnings, b.Last, seconds(c.Lease), b.Crashes)
	if err != nil {
		return err
	}
	if err := affectedOne(r, ErrClaimLost); err != nil || !b.Last {
		return err
	}
	return announceEnd(ctx, tx, c.Import.ID)
}

// TakenKeys returns which of the keys already have a user. Among few users it
// may tell others that have one, too.
func (s *Store) TakenKeys(ctx context.Context, keys []string) (taken map[string]bool, err error) {
	defer translate(&err, "look up %d addresses", len(keys))
	var there []string
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		few, err := byKeysUnlessFew(ctx, tx)
		if err != nil {
			return err
		}
		if few && len(keys) > fewKeys {
			return tx.SelectContext(ctx, &there, `SELECT email_key FROM users`)
		}
		// Joined, not = ANY: there the planner estimates each key by itself.
		return tx.SelectContext(ctx, &there, `SELECT u.email_key FROM unnest($1::text[]) AS k JOIN users u ON u.email_key = k`, sortedTexts(keys))
	})
	if err != nil {
		return nil, err
	}
	taken = make(map[string]bool, len(there))
	for _, k := range there {
		taken[k] = true
	}
	return taken, nil
}

// sortedTexts is a text[] in the order of the index: each key is found near the
// one before. For = ANY PostgreSQL would sort it itself, which takes longer than
// the looking; one that is in order it leaves alone.
func sortedTexts(keys []string) []byte {
	return texts(slices.Sorted(slices.Values(keys)), itself)
}

func itself(s *string) string { return *s }

// byIndex has the rest of the transaction find rows by their index. For some
// thousand keys PostgreSQL would rather read a table of up to millions of rows
// from end to end, for every batch: its prices are those of a disk that turns.
func byIndex(ctx context.Context, tx *sqlx.Tx) error {
	_, err := tx.ExecContext(ctx, `SET LOCAL enable_seqscan = off`)
	return err
}

// inOrderOfIndex has the rest of the transaction read the first few rows as an
// index has them. Right after an import PostgreSQL takes the many that there are
// for few, and would fetch and sort all of them for each hundred.
func inOrderOfIndex(ctx context.Context, tx *sqlx.Tx) error {
	_, err := tx.ExecContext(ctx, `SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off`)
	return err
}

// fewBytes is a table of users that is sooner read from end to end than descended
// into by an index once for each of thousands of keys: some six thousand of them,
// or none before the first import.
const fewBytes = 1 << 20

// fewKeys are sooner sent than the keys of all users are fetched, few as those be.
const fewKeys = 1000

// byKeysUnlessFew has the rest of the transaction look up each of many keys by
// itself, in the index, unless there are few users.
func byKeysUnlessFew(ctx context.Context, tx *sqlx.Tx) (few bool, err error) {
	err = tx.GetContext(ctx, &few, `
		SELECT bool_and(set_config(name, CASE WHEN pg_relation_size('users') < $1 THEN 'on' ELSE 'off' END, true) = 'on')
		  FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS name`, fewBytes)
	return few, err
}

// UserIDs finds the users with these keys, and the import that created each.
func (s *Store) UserIDs(ctx context.Context, keys []string) (_ map[string]Found, err error) {
	defer translate(&err, "look up %d users", len(keys))
	var rows []Found
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := byIndex(ctx, tx); err != nil {
			return err
		}
		return tx.SelectContext(ctx, &rows, `SELECT id, email_key, import_id FROM users WHERE email_key = ANY($1)`, sortedTexts(keys))
	})
	if err != nil {
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
