package access

import (
	"rollcall/auth"
	"rollcall/roster"
)

// SeesAllImports reports whether a caller may see the imports of others:
// administrators, and tokens with the scope imports:read or admin.
func (c Caller) SeesAllImports() bool {
	if c.Actor.Kind == roster.ActorUser {
		return c.Role == roster.RoleAdmin
	}
	for _, s := range c.Scopes {
		if s == auth.ScopeAdmin || s == auth.ScopeImportsRead {
			return true
		}
	}
	return false
}

// Owns reports whether an import is the caller's own.
func (c Caller) Owns(i *roster.Import) bool {
	return i.CreatedBy.Kind == c.Actor.Kind && i.CreatedBy.ID == c.Actor.ID
}

// ReadsImport decides whether a caller may read one import. An import the
// caller may not see is reported as missing.
func (c Caller) ReadsImport(i *roster.Import) Decision {
	if c.Owns(i) || c.SeesAllImports() {
		return Allowed
	}
	return NotFound
}

// ChangesImport decides whether a caller may confirm, cancel or undo an import,
// or resend its invitations.
func (c Caller) ChangesImport(i *roster.Import) Decision {
	switch {
	case c.ReadsImport(i) != Allowed:
		return NotFound
	case c.Owns(i):
		return Allowed
	case c.Actor.Kind == roster.ActorUser && c.Role == roster.RoleAdmin:
		return Allowed
	}
	return TokenAdmin.Check(c)
}

// SeesWebhook reports whether a caller may read and change a webhook with this
// owner.
func (c Caller) SeesWebhook(owner roster.Actor) bool {
	return owner.Kind == c.Actor.Kind && owner.ID == c.Actor.ID || c.SeesAllWebhooks()
}

// SeesAllWebhooks reports whether a caller may see the webhooks of others.
func (c Caller) SeesAllWebhooks() bool { return TokenAdmin.Check(c) == Allowed }
