// Package access decides who may call what: one table with the permission every
// API and page route requires, and the ownership rules for single imports.
// httpapi and web consult it before running a handler.
//
// A route missing from the table is denied.
package access

import (
	"net/http"
	"strings"

	"rollcall/auth"
	"rollcall/roster"
)

// Caller is the sender of a request. The zero value is an unknown caller.
type Caller struct {
	Actor   roster.Actor
	Role    roster.Role  // of a signed-in user
	Scopes  []auth.Scope // of a token
	Must2FA bool         // a signed-in user who has to set up a second factor first
}

// Requirement is what a route requires of its callers.
type Requirement struct {
	kind  kind
	scope auth.Scope
}

type kind int

const (
	noCaller kind = iota // the zero Requirement admits no caller
	public
	signedIn     // signed in
	enrolling2FA // signed in, a required second factor may be missing
	admin        // signed in, with the role admin
	token        // with a scope
)

// The requirements.
var (
	Public           = Requirement{kind: public}
	SignedIn         = Requirement{kind: signedIn}
	Admin            = Requirement{kind: admin}
	Enrolling2FA     = Requirement{kind: enrolling2FA} // for the pages that set up a second factor
	TokenImportsRead = Requirement{token, auth.ScopeImportsRead}
	TokenImports     = Requirement{token, auth.ScopeImports}
	TokenAdmin       = Requirement{token, auth.ScopeAdmin}
)

// Open reports whether the route is open to everyone, including unknown
// callers.
func (n Requirement) Open() bool { return n.kind == public }

// Scope is the scope that a token needs, "" if the route does not take tokens.
func (n Requirement) Scope() auth.Scope { return n.scope }

// Decision is the result of an access check.
type Decision int

const (
	// NotFound: answer as if the route did not exist. What a caller may not see
	// is 404.
	NotFound Decision = iota
	// Unauthenticated: the caller must sign in or send a token first.
	Unauthenticated
	// MissingScope: the token is valid but lacks the scope. The API's routes
	// are documented publicly, so this reveals nothing (RFC 6750 §3.1).
	MissingScope
	// Needs2FA: a second factor must be set up first.
	Needs2FA
	// Allowed: the handler may run.
	Allowed
)

// Check decides about a caller. Users are admitted by their role and tokens by
// their scope; neither counts for the other.
func (n Requirement) Check(c Caller) Decision {
	switch n.kind {
	case public:
		return Allowed
	case signedIn, admin, enrolling2FA:
		switch {
		case c.Actor.Kind != roster.ActorUser:
			return Unauthenticated
		case c.Must2FA && n.kind != enrolling2FA:
			return Needs2FA
		case n.kind == admin && c.Role != roster.RoleAdmin:
			return NotFound
		}
		return Allowed
	case token:
		switch {
		case c.Actor.Kind != roster.ActorToken && c.Actor.Kind != roster.ActorConfig:
			return Unauthenticated
		case !auth.Allows(c.Scopes, n.scope):
			return MissingScope
		}
		return Allowed
	}
	return NotFound
}

// Lookup returns what a route requires; HEAD requires what GET does. For a
// route missing from the table ok is false and the requirement admits no
// caller.
func Lookup(method, path string) (n Requirement, ok bool) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if n, ok = table[route{method, path}]; !ok && method == http.MethodGet && strings.HasPrefix(path, assets) {
		return Public, true
	}
	return n, ok
}

// assets is the path of stylesheets, scripts and images, whose names depend on
// their content.
const assets = "/assets/"

// Each calls f for every row of the table.
func Each(f func(method, path string, n Requirement)) {
	for l, n := range table {
		f(l.method, l.path, n)
	}
}
