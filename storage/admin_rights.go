package storage

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"rollcall/roster"
)

// AdminScopes are the scopes with which a token may bring in administrators,
// where the installation does not say otherwise.
func AdminScopes() []string { return []string{"admin"} }

// adminRights is what the user or token that started an import may do about
// administrators, at this moment.
type adminRights struct {
	grant  bool // make users administrators
	change bool // change the role of existing administrators
}

// adminRightsOf looks up the rights of an actor. Scopes are those with which a
// token may grant the role; only the scope admin lets a token take it away.
func adminRightsOf(ctx context.Context, q sqlx.QueryerContext, a roster.Actor, scopes []string) (r adminRights, err error) {
	if r.change, err = canGrantAdmin(ctx, q, a, AdminScopes()); err != nil {
		return r, err
	}
	if r.grant = r.change; !r.grant && !slices.Equal(scopes, AdminScopes()) {
		r.grant, err = canGrantAdmin(ctx, q, a, scopes)
	}
	return r, err
}

// CanGrantAdmin tells whether somebody may, at this moment, make others
// administrators by a file: a person who is an active administrator, a token
// that works and has one of the scopes, and always the
// token of the configuration and Rollcall itself.
func (s *Store) CanGrantAdmin(ctx context.Context, a roster.Actor, scopes []string) (may bool, err error) {
	defer translate(&err, "look up what %s %s may do", a.Kind, a.ID)
	return canGrantAdmin(ctx, s.db, a, scopes)
}

func canGrantAdmin(ctx context.Context, q sqlx.QueryerContext, a roster.Actor, scopes []string) (may bool, err error) {
	switch a.Kind {
	case roster.ActorConfig, roster.ActorSystem:
		return true, nil
	case roster.ActorUser:
		return may, sqlx.GetContext(ctx, q, &may, `
			SELECT EXISTS (SELECT FROM users WHERE id = $1 AND role = 'admin' AND status = 'active')`, a.ID)
	case roster.ActorToken:
		return may, sqlx.GetContext(ctx, q, &may, `
			SELECT EXISTS (SELECT FROM api_tokens t LEFT JOIN users u ON u.id = t.owner_id
			 WHERE t.id = $1 AND t.scopes && $2::text[] AND `+tokenWorks+`)`, a.ID, textArray(scopes))
	}
	return false, nil
}

// AdminKeys are the addresses of all administrators, active or not. There are
// few.
func (s *Store) AdminKeys(ctx context.Context) (_ map[string]bool, err error) {
	defer translate(&err, "list administrators")
	var keys []string
	if err := s.db.SelectContext(ctx, &keys, `SELECT email_key FROM users WHERE role = 'admin'`); err != nil {
		return nil, err
	}
	admins := make(map[string]bool, len(keys))
	for _, k := range keys {
		admins[k] = true
	}
	return admins, nil
}

// AdminsWithout reports whether another user than this one is an active
// administrator.
func (s *Store) AdminsWithout(ctx context.Context, user uuid.UUID) (others bool, err error) {
	defer translate(&err, "look for other administrators than %s", user)
	return others, s.db.GetContext(ctx, &others, `
		SELECT EXISTS (SELECT FROM users WHERE role = 'admin' AND status = 'active' AND id <> $1)`, user)
}

// refuseAdminRows refuses the rows of a batch that would make somebody administrator
// if whoever started the import may not do that any more. Asked in the
// transaction of the batch: after a demotion, a disabling or a revocation is
// committed no row makes an administrator. It returns the batch without those
// rows and which roles may be changed.
func refuseAdminRows(ctx context.Context, tx *sqlx.Tx, c *Claim, b Batch) (_ Batch, rights adminRights, err error) {
	update := c.Import.Options.OnDuplicate == roster.UpdateDuplicates
	isAdmin := func(p UserRow) bool { return p.Role == roster.RoleAdmin }
	if !update && !slices.ContainsFunc(b.Newcomers, isAdmin) {
		return b, adminRights{grant: true, change: true}, nil // nothing to ask for
	}
	if b.AdminScopes == nil {
		b.AdminScopes = AdminScopes()
	}
	if rights, err = adminRightsOf(ctx, tx, c.Import.CreatedBy, b.AdminScopes); err != nil || rights.grant {
		return b, rights, err
	}
	already := map[string]bool{}
	if update {
		if already, err = alreadyAdmins(ctx, tx, b.Newcomers); err != nil {
			return b, rights, err
		}
	}
	b.RowErrors = slices.Clone(b.RowErrors)
	var rest []UserRow
	for _, p := range b.Newcomers {
		if isAdmin(p) && !already[p.EmailKey] {
			b.RowErrors = append(b.RowErrors, roster.RowError{Row: p.Row, Line: p.Line, Email: p.Email, Problems: []roster.Problem{roster.AdminNotAllowed()}})
		} else {
			rest = append(rest, p)
		}
	}
	b.Newcomers = rest
	return b, rights, nil
}

func alreadyAdmins(ctx context.Context, tx *sqlx.Tx, rows []UserRow) (map[string]bool, error) {
	var keys pq.StringArray
	for _, p := range rows {
		if p.Role == roster.RoleAdmin {
			keys = append(keys, p.EmailKey)
		}
	}
	var there []string
	if err := tx.SelectContext(ctx, &there, `SELECT email_key FROM users WHERE email_key = ANY($1) AND role = 'admin'`, keys); err != nil {
		return nil, err
	}
	already := make(map[string]bool, len(there))
	for _, k := range there {
		already[k] = true
	}
	return already, nil
}
