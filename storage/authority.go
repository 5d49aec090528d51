package storage

import (
	"context"
	"slices"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"rollcall/roster"
)

// AdminScopes are the scopes with which a token may bring in administrators,
// where the installation does not say otherwise: whoever may import may import
// what a file can say.
func AdminScopes() []string { return []string{"imports", "admin"} }

// MakesAdmins tells whether somebody may, at this moment, make others
// administrators by a file: a person who is an active administrator, a token
// with one of the scopes that is neither revoked nor expired, and always the
// token of the configuration and Rollcall itself.
func (s *Store) MakesAdmins(ctx context.Context, a roster.Actor, scopes []string) (may bool, err error) {
	defer translate(&err, "look up what %s %s may do", a.Kind, a.ID)
	return makesAdmins(ctx, s.db, a, scopes)
}

func makesAdmins(ctx context.Context, q sqlx.QueryerContext, a roster.Actor, scopes []string) (may bool, err error) {
	switch a.Kind {
	case roster.ActorConfig, roster.ActorSystem:
		return true, nil
	case roster.ActorUser:
		return may, sqlx.GetContext(ctx, q, &may, `
			SELECT EXISTS (SELECT FROM users WHERE id = $1 AND role = 'admin' AND status = 'active')`, a.ID)
	case roster.ActorToken:
		return may, sqlx.GetContext(ctx, q, &may, `
			SELECT EXISTS (SELECT FROM api_tokens WHERE id = $1 AND scopes && $2::text[]
			   AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()))`, a.ID, textArray(scopes))
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

// barAdmins refuses the rows of a batch that would make somebody administrator
// if whoever started the import may not do that any more. Asked in the
// transaction of the batch: after a demotion, a disabling or a revocation is
// committed no row makes an administrator. It returns the batch without those
// rows and whether roles may be changed.
func barAdmins(ctx context.Context, tx *sqlx.Tx, c *Claim, b Batch) (_ Batch, mayMake bool, err error) {
	update := c.Import.Options.OnDuplicate == roster.UpdateDuplicates
	isAdmin := func(p Newcomer) bool { return p.Role == roster.RoleAdmin }
	if !update && !slices.ContainsFunc(b.Newcomers, isAdmin) {
		return b, true, nil // nothing to ask for
	}
	if b.AdminScopes == nil {
		b.AdminScopes = AdminScopes()
	}
	if mayMake, err = makesAdmins(ctx, tx, c.Import.CreatedBy, b.AdminScopes); err != nil || mayMake {
		return b, mayMake, err
	}
	already := map[string]bool{}
	if update {
		if already, err = alreadyAdmins(ctx, tx, b.Newcomers); err != nil {
			return b, false, err
		}
	}
	b.Refusals = slices.Clone(b.Refusals)
	var rest []Newcomer
	for _, p := range b.Newcomers {
		if isAdmin(p) && !already[p.EmailKey] {
			b.Refusals = append(b.Refusals, roster.Refusal{Row: p.Row, Line: p.Line, Email: p.Email, Problems: []roster.Problem{roster.MayNotPromote()}})
		} else {
			rest = append(rest, p)
		}
	}
	b.Newcomers = rest
	return b, false, nil
}

func alreadyAdmins(ctx context.Context, tx *sqlx.Tx, rows []Newcomer) (map[string]bool, error) {
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
