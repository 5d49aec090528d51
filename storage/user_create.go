package storage

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// AddUser creates a user as a row of a file does, with a key in a source if the
// fields have one. invite is what becomes of the invitation: pending or held; a user
// who is created disabled gets none. [ErrAlreadyExists] and [ErrExternalIDExists]
// for what another user has, [ErrForbidden] if the caller may not make
// administrators any more.
func (s *Store) AddUser(ctx context.Context, u roster.UserFields, source string, invite roster.InvitationStatus, by AuditEntry) (_ *roster.User, err error) {
	defer translate(&err, "add user")
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	m := Matching{Source: source, HasExternalID: u.ExternalID != "", HasLocale: u.Locale != "", Attributes: slices.Collect(maps.Keys(u.Attributes.Map()))}
	if err := s.transact(ctx, func(tx *sqlx.Tx) error {
		rights, err := adminRightsOf(ctx, tx, by.Actor, AdminScopes())
		if err != nil {
			return err
		}
		if !rights.grant && (u.Role == roster.RoleAdmin || by.Actor.Kind == roster.ActorToken) {
			return ErrForbidden
		}
		d := userUpdate{row: &UserRow{UserFields: u}, user: matchedUser{ID: id}, now: userValues{Email: u.Email, Key: u.ExternalID}}
		if err := freeOfOthers(ctx, tx, m.source(), d); err != nil {
			return err
		}
		created, err := createUsers(ctx, tx, updateOrigin{invite: invite}, m, []UserRow{{ID: id, UserFields: u}})
		if err != nil {
			return err
		}
		if created == 0 {
			return errRetry // the address was taken a moment ago
		}
		return audit(ctx, tx, by.on("user.create", "user", id).with(map[string]any{"role": u.Role}))
	}); err != nil {
		return nil, err
	}
	return s.User(ctx, id)
}
