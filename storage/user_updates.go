package storage

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// userUpdate is a row that changes a user, and what the user will be.
type userUpdate struct {
	row  *UserRow
	user matchedUser
	now  userValues
	// missingFrom is the source that the user is now missing from, and disabled
	// for; "" if not.
	missingFrom string
}

func (d *userUpdate) moves() bool { return d.now.Email != d.user.Email }

// updated is what updateUsers did.
type updated struct {
	changed, rolesKept int64
	rowErrors          []roster.RowError
	invited            bool // some invitations are due now
}

// updateUsers makes the users what the rows say. It locks only those who differ,
// and writes only what is left of the change once the rules about roles and
// status have been applied: the caller's own and the last active administrator's
// are kept, and those of all administrators once the caller may not make them.
func updateUsers(ctx context.Context, tx *sqlx.Tx, i *roster.Import, m Matching, rights adminRights, differing []match) (u updated, err error) {
	if len(differing) == 0 {
		return u, nil
	}
	if err := lockUsers(ctx, tx, m, differing); err != nil {
		return u, err
	}
	return changeUsers(ctx, tx, i, m, rights, differing)
}

// changeUsers is updateUsers for users who are locked.
func changeUsers(ctx context.Context, tx *sqlx.Tx, i *roster.Import, m Matching, rights adminRights, differing []match) (u updated, err error) {
	access, kept, err := newAccess(ctx, tx, i.CreatedBy, m, rights, differing)
	if err != nil {
		return u, err
	}
	u.rolesKept = kept
	var updates []userUpdate
	for _, f := range differing {
		now := m.wanted(f.row, f.user)
		now.Role, now.Status = access[f.user.ID].Role, access[f.user.ID].Status
		if !rights.change {
			if problem := m.adminProblem(&f); problem != nil {
				u.rowErrors = append(u.rowErrors, f.row.rowError(*problem))
				continue
			}
		}
		if now != f.user.userValues {
			d := userUpdate{row: f.row, user: *f.user, now: now}
			if now.Status == f.user.Status {
				d.missingFrom = f.user.MissingFrom
			}
			updates = append(updates, d)
		}
	}
	u.changed = int64(len(updates))
	u.invited, err = writeUpdates(ctx, tx, updatedBy(i), m.source(), updates)
	return u, err
}

// updateOrigin is who changes users, and what is kept of it.
type updateOrigin struct {
	importID *uuid.UUID // nil: no import
	undo     bool       // it is the undo of the import's own changes
	by       AuditEntry // unless an import
	// invite is what becomes of the invitation of a user who comes back without a
	// password: pending, held, or "" if it stays as it is.
	invite roster.InvitationStatus
}

// updatedBy is an import as the origin of updates.
func updatedBy(i *roster.Import) updateOrigin {
	o := updateOrigin{importID: &i.ID, invite: roster.InvitationHeld}
	if i.Options.SendInvitations {
		o.invite = roster.InvitationPending
	}
	return o
}

// refuse makes the row one that does not go in.
func (p *UserRow) rowError(problem roster.Problem) roster.RowError {
	return roster.RowError{Row: p.Row, Line: p.Line, Email: p.Email, Problems: []roster.Problem{problem}}
}

// lockUsers locks the matched users, in the order of email_key like everyone who
// locks several, and reads them again: they may have been changed since they were
// matched. [errRetry] if one is gone or has another address or key now.
func lockUsers(ctx context.Context, tx *sqlx.Tx, m Matching, matches []match) error {
	was := make([]matchedUser, len(matches))
	for k, f := range matches {
		was[k] = *f.user
	}
	if err := readUsers(ctx, tx, m, matches); err != nil {
		return err
	}
	for k, f := range matches {
		if f.user.EmailKey != was[k].EmailKey || f.user.Key != was[k].Key && m.HasExternalID {
			return errRetry
		}
	}
	return nil
}

// readUsers locks the matched users, who are all different, and reads them.
// [errRetry] if one is gone.
func readUsers(ctx context.Context, tx *sqlx.Tx, m Matching, matches []match) error {
	byID := make(map[uuid.UUID]*matchedUser, len(matches))
	for _, f := range matches {
		byID[f.user.ID] = f.user
	}
	if len(byID) < len(matches) {
		return errRetry
	}
	if err := forceIndexScan(ctx, tx); err != nil {
		return err
	}
	found, err := tx.QueryContext(ctx, `
		SELECT u.id, u.email_key, u.email, u.name, u.role, u.department, u.status, u.password_hash IS NOT NULL,
		       COALESCE(u.missing_from, ''),
		       COALESCE((SELECT k.external_id FROM external_ids k WHERE k.user_id = u.id AND k.source = $2), ''), u.attributes, COALESCE(u.locale, '')
		  FROM users u WHERE u.id = ANY($1::uuid[]) ORDER BY u.email_key FOR UPDATE`,
		uuids(matches, func(f *match) uuid.UUID { return f.user.ID }), m.source())
	if err != nil {
		return err
	}
	defer found.Close()
	locked := 0
	for found.Next() {
		var u matchedUser
		var attributes attributesColumn
		if err := found.Scan(&u.ID, &u.EmailKey, &u.Email, &u.Name, &u.Role, &u.Department, &u.Status, &u.HasPassword, &u.MissingFrom, &u.Key, &attributes, &u.Locale); err != nil {
			return err
		}
		u.Attributes = attributes.Attributes
		known := byID[u.ID]
		u.ImportID = known.ImportID
		*known = u
		locked++
	}
	if err := found.Err(); err != nil {
		return err
	}
	if locked < len(matches) {
		return errRetry
	}
	return nil
}

// newAccess decides the role and status of every row's user, in the order of the
// file. kept counts those who keep theirs although the file gives others.
func newAccess(ctx context.Context, tx *sqlx.Tx, by roster.Actor, m Matching, rights adminRights, matches []match) (access map[uuid.UUID]userValues, kept int64, err error) {
	inOrder := slices.SortedFunc(slices.Values(matches), func(a, b match) int { return int(a.row.Row - b.row.Row) })
	access = make(map[uuid.UUID]userValues, len(matches))
	admins := -1 // active administrators left; not yet counted
	gained := 0  // whom an earlier row makes one, not yet written and so not among those counted
	for _, f := range inOrder {
		was, now := f.user.userValues, m.wanted(f.row, f.user)
		access[f.user.ID] = was
		if now.Role == was.Role && now.Status == was.Status {
			continue
		}
		allowed := rights.grant || now.Role == was.Role
		if was.Role == roster.RoleAdmin {
			allowed = rights.change
		}
		if !allowed || by.Kind == roster.ActorUser && by.ID == f.user.ID {
			kept++
			if now.Role != was.Role && was.Role != roster.RoleAdmin && by.ID != f.user.ID {
				was.Status = now.Status // of somebody who only does not become one
				access[f.user.ID] = was
			}
			continue
		}
		if was.activeAdmin() && !now.activeAdmin() {
			if admins < 0 {
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
		if now.activeAdmin() && !was.activeAdmin() {
			gained++
		}
		access[f.user.ID] = now
	}
	return access, kept, nil
}

// lockActiveAdmins counts the active administrators and keeps their number from
// changing until the transaction ends.
func lockActiveAdmins(ctx context.Context, tx *sqlx.Tx) (int, error) {
	var ids []uuid.UUID
	err := tx.SelectContext(ctx, &ids, `
		SELECT id FROM users WHERE role = 'admin' AND status = 'active' ORDER BY email_key FOR UPDATE`)
	return len(ids), err
}

// writeUpdates writes the changes, and for each user that is changed what it was
// before and an entry of the audit log, all in one statement. Values are told there
// where they have changed; audit_anonymize takes them out when the person is
// erased, and knows their names. Who changed them is read from the import, if it is
// one, which is locked: a person erased since the claim has another name there. The
// id that a row brought for a new user is the entry's. What the users were is kept
// for an undo, unless this is one. invited reports whether invitations are due now.
func writeUpdates(ctx context.Context, tx *sqlx.Tx, o updateOrigin, source string, updates []userUpdate) (invited bool, err error) {
	if len(updates) == 0 {
		return false, nil
	}
	if err := setKeys(ctx, tx, source, updates); err != nil {
		return false, err
	}
	if _, err = tx.ExecContext(ctx, `
		WITH wanted AS (
			SELECT w.*, u.name AS old_name, u.role AS old_role, u.department AS old_department, u.status AS old_status,
			       u.edits, u.missing_from, COALESCE(u.attributes, '{}') AS old_attributes, COALESCE(NULLIF(w.attributes_text, ''), '{}')::jsonb AS attributes, COALESCE(u.locale, '') AS old_locale
			  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $6::uuid[], $7::bigint[],
			              $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $15::text[], $16::text[], $17::text[], $22::text[])
			    AS w (id, name, role, department, entry, row, email, email_key, status, external_id, old_external_id, old_email, now_missing_from, old_email_key, attributes_text, locale)
			  JOIN users u ON u.id = w.id
		), signed_out AS (
			DELETE FROM sessions s USING wanted w
			 WHERE s.user_id = w.id AND (w.role <> w.old_role OR w.email <> w.old_email OR w.status = 'disabled')
		), kept AS (
			INSERT INTO import_updates (import_id, row, user_id, edits, before)
			SELECT $5, row, id, edits + 1, jsonb_build_object('name', old_name, 'role', old_role, 'department', old_department,
			       'status', old_status, 'missing_from', missing_from, 'email', old_email, 'external_id', old_external_id, 'attributes', old_attributes,
			       'moved_from', CASE WHEN email <> old_email THEN old_email_key END, 'keyed', external_id <> old_external_id, 'locale', old_locale)
			  FROM wanted WHERE $5::uuid IS NOT NULL AND NOT $14
		), by AS (
			SELECT id, actor_kind, actor_id, actor, '' AS address FROM imports WHERE id = $5
			UNION ALL
			SELECT NULL, $18, $19::uuid, $20, $21 WHERE $5::uuid IS NULL
		), told AS (
			INSERT INTO audit_log (id, actor_kind, actor_id, actor, address, action, target, target_id, detail)
			SELECT w.entry, by.actor_kind, by.actor_id, by.actor, by.address, 'user.change', 'user', w.id,
			       CASE WHEN by.id IS NULL THEN '{}' ELSE jsonb_build_object('import', by.id) END || jsonb_build_object(
			       'before', jsonb_build_object('role', w.old_role, 'status', w.old_status)
			              || CASE WHEN w.old_name <> w.name THEN jsonb_build_object('name', w.old_name) ELSE '{}' END
			              || CASE WHEN w.old_department <> w.department THEN jsonb_build_object('department', w.old_department) ELSE '{}' END
			              || CASE WHEN w.old_email <> w.email THEN jsonb_build_object('email', w.old_email) ELSE '{}' END
			              || CASE WHEN w.old_external_id <> w.external_id THEN jsonb_build_object('external_id', w.old_external_id) ELSE '{}' END
			              || CASE WHEN w.old_attributes <> w.attributes THEN jsonb_build_object('attributes', w.old_attributes) ELSE '{}' END
			              || CASE WHEN w.old_locale <> w.locale THEN jsonb_build_object('locale', w.old_locale) ELSE '{}' END,
			       'after', jsonb_build_object('role', w.role, 'status', w.status)
			              || CASE WHEN w.old_name <> w.name THEN jsonb_build_object('name', w.name) ELSE '{}' END
			              || CASE WHEN w.old_department <> w.department THEN jsonb_build_object('department', w.department) ELSE '{}' END
			              || CASE WHEN w.old_email <> w.email THEN jsonb_build_object('email', w.email) ELSE '{}' END
			              || CASE WHEN w.old_external_id <> w.external_id THEN jsonb_build_object('external_id', w.external_id) ELSE '{}' END
			              || CASE WHEN w.old_attributes <> w.attributes THEN jsonb_build_object('attributes', w.attributes) ELSE '{}' END
			              || CASE WHEN w.old_locale <> w.locale THEN jsonb_build_object('locale', w.locale) ELSE '{}' END)
			  FROM wanted w, by
		)
		UPDATE users u
		   SET name = w.name, role = w.role, department = w.department, status = w.status, email = w.email, email_key = w.email_key,
		       missing_from = NULLIF(w.now_missing_from, ''), attributes = NULLIF(w.attributes, '{}'), locale = NULLIF(w.locale, ''),
		       reset_count = u.reset_count + CASE WHEN w.email <> w.old_email THEN 1 ELSE 0 END, -- links sent to the old address die
		       edits = u.edits + CASE WHEN $14 THEN -1 ELSE 1 END, -- what is undone was not edited, for an earlier import to undo
		       updated_at = now()
		  FROM wanted w WHERE u.id = w.id`,
		uuids(updates, func(d *userUpdate) uuid.UUID { return d.user.ID }),
		texts(updates, func(d *userUpdate) string { return d.now.Name }),
		texts(updates, func(d *userUpdate) string { return string(d.now.Role) }),
		texts(updates, func(d *userUpdate) string { return d.now.Department }),
		o.importID,
		uuids(updates, func(d *userUpdate) uuid.UUID { return d.row.ID }),
		bigints(updates, func(d *userUpdate) int64 { return d.row.Row }),
		texts(updates, func(d *userUpdate) string { return d.now.Email }),
		texts(updates, func(d *userUpdate) string {
			if d.moves() {
				return d.row.EmailKey
			}
			return d.user.EmailKey
		}),
		texts(updates, func(d *userUpdate) string { return string(d.now.Status) }),
		texts(updates, func(d *userUpdate) string { return d.now.Key }),
		texts(updates, func(d *userUpdate) string { return d.user.Key }),
		texts(updates, func(d *userUpdate) string { return d.user.Email }), o.undo,
		texts(updates, func(d *userUpdate) string { return d.missingFrom }),
		texts(updates, func(d *userUpdate) string { return d.user.EmailKey }),
		texts(updates, func(d *userUpdate) string { return string(d.now.Attributes) }),
		o.by.Actor.Kind, o.by.Actor.ID, o.by.Actor.Label, o.by.Address,
		texts(updates, func(d *userUpdate) string { return d.now.Locale })); err != nil {
		if violates(err, "users_email_key_unique") {
			return false, errRetry // taken a moment ago
		}
		return false, err
	}
	return followUpdates(ctx, tx, o.invite, updates)
}

// setKeys gives users their new keys, and takes those away that they no longer
// have.
func setKeys(ctx context.Context, tx *sqlx.Tx, source string, updates []userUpdate) error {
	var keyed []userUpdate
	var unkeyed []uuid.UUID
	for _, d := range updates {
		if d.now.Key == d.user.Key {
			continue
		}
		if d.user.Key != "" {
			unkeyed = append(unkeyed, d.user.ID)
		}
		if d.now.Key != "" {
			keyed = append(keyed, d)
		}
	}
	if len(unkeyed) > 0 {
		if _, err := tx.ExecContext(ctx, `DELETE FROM external_ids WHERE source = $1 AND user_id = ANY($2::uuid[])`,
			source, uuids(unkeyed, itsID)); err != nil {
			return err
		}
	}
	return insertKeys(ctx, tx, source, keyed,
		func(d *userUpdate) string { return d.now.Key }, func(d *userUpdate) uuid.UUID { return d.user.ID })
}

// insertKeys gives users keys in a source. [errRetry] if one was taken a moment
// ago.
func insertKeys[T any](ctx context.Context, tx *sqlx.Tx, source string, rows []T, key func(*T) string, user func(*T) uuid.UUID) error {
	if len(rows) == 0 {
		return nil
	}
	r, err := tx.ExecContext(ctx, `
		INSERT INTO external_ids (source, external_id, user_id)
		SELECT $1, external_id, user_id FROM unnest($2::text[], $3::uuid[]) AS k (external_id, user_id)
		ON CONFLICT DO NOTHING`, source, texts(rows, key), uuids(rows, user))
	if err != nil {
		return err
	}
	if n, _ := r.RowsAffected(); n < int64(len(rows)) {
		return errRetry
	}
	return nil
}
