package storage

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

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
func updateUsers(ctx context.Context, tx *sqlx.Tx, importID uuid.UUID, by roster.Actor, mayMake bool, rows []Newcomer, setDepartment bool) (kept int64, err error) {
	keys := texts(rows, func(p *Newcomer) string { return p.EmailKey })
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
	return kept, writeUpdates(ctx, tx, importID, rows, byKey, roles, setDepartment)
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

// writeUpdates writes what differs, and for each user that is changed an entry of
// the audit log, all in one statement: as toldChange tells a change, and by which
// import. Who that was is read from the import, which is locked: a person erased
// since the claim has another name there. The id that a row brought for a new
// user, and that nobody got, is the entry's.
func writeUpdates(ctx context.Context, tx *sqlx.Tx, importID uuid.UUID, rows []Newcomer, byKey map[string]existing, roles map[string]roster.Role, setDepartment bool) error {
	_, err := tx.ExecContext(ctx, `
		WITH wanted AS (
			SELECT w.id, w.entry, w.name, w.role, CASE WHEN $5 THEN w.department ELSE u.department END AS department,
			       u.name AS old_name, u.role AS old_role, u.department AS old_department, u.status
			  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $7::uuid[]) AS w (id, name, role, department, entry)
			  JOIN users u ON u.id = w.id
			 WHERE (u.name, u.role) IS DISTINCT FROM (w.name, w.role) OR ($5 AND u.department <> w.department)
		), signed_out AS (
			DELETE FROM sessions s USING wanted w WHERE s.user_id = w.id AND w.role <> w.old_role
		), told AS (
			INSERT INTO audit_log (id, actor_kind, actor_id, actor, action, target, target_id, detail)
			SELECT w.entry, i.actor_kind, i.actor_id, i.actor, 'user.change', 'user', w.id, jsonb_build_object(
			       'import', i.id,
			       'before', jsonb_build_object('role', w.old_role, 'status', w.status)
			              || CASE WHEN w.old_name <> w.name THEN jsonb_build_object('name', w.old_name) ELSE '{}' END
			              || CASE WHEN w.old_department <> w.department THEN jsonb_build_object('department', w.old_department) ELSE '{}' END,
			       'after', jsonb_build_object('role', w.role, 'status', w.status)
			              || CASE WHEN w.old_name <> w.name THEN jsonb_build_object('name', w.name) ELSE '{}' END
			              || CASE WHEN w.old_department <> w.department THEN jsonb_build_object('department', w.department) ELSE '{}' END)
			  FROM wanted w, imports i WHERE i.id = $6
		)
		UPDATE users u
		   SET name = w.name, role = w.role, department = w.department, edits = u.edits + 1, updated_at = now()
		  FROM wanted w WHERE u.id = w.id`,
		uuids(rows, func(p *Newcomer) uuid.UUID { return byKey[p.EmailKey].ID }),
		texts(rows, func(p *Newcomer) string { return p.Name }),
		texts(rows, func(p *Newcomer) string { return string(roles[p.EmailKey]) }),
		texts(rows, func(p *Newcomer) string { return p.Department }),
		setDepartment, importID, uuids(rows, newcomerID))
	return err
}
