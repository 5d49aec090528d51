package access

import (
	"rollcall/auth"
	"rollcall/roster"
)

// SeesAllImports tells whether the imports of others are visible to a caller:
// to administrators, and to tokens that read all imports or may do all.
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

// Owns tells whether an import is the caller's own.
func (c Caller) Owns(i *roster.Import) bool {
	return i.CreatedBy.Kind == c.Actor.Kind && i.CreatedBy.ID == c.Actor.ID
}

// ReadsImport judges the reading of one import. One that is not visible might
// as well not be there.
func (c Caller) ReadsImport(i *roster.Import) Verdict {
	if c.Owns(i) || c.SeesAllImports() {
		return Granted
	}
	return Hidden
}

// ChangesImport judges confirming, canceling or undoing an import, and sending
// its invitations again.
func (c Caller) ChangesImport(i *roster.Import) Verdict {
	switch {
	case c.ReadsImport(i) != Granted:
		return Hidden
	case c.Owns(i):
		return Granted
	case c.Actor.Kind == roster.ActorUser && c.Role == roster.RoleAdmin:
		return Granted
	}
	return All.Admits(c)
}

// SeesWebhook tells whether a caller may read and change a webhook, by whose it
// is.
func (c Caller) SeesWebhook(owner roster.Actor) bool {
	return owner.Kind == c.Actor.Kind && owner.ID == c.Actor.ID || c.SeesAllWebhooks()
}

// SeesAllWebhooks tells whether the webhooks of others are visible to a caller.
func (c Caller) SeesAllWebhooks() bool { return All.Admits(c) == Granted }
