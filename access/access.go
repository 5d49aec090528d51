// Package access says who may do what: one table of all routes, API and pages,
// and the rules for single imports beside it. Nothing else in Rollcall decides
// about access; httpapi and web ask here before a handler runs.
//
// A route that has no line in the table is answered to nobody.
package access

import (
	"net/http"
	"strings"

	"rollcall/auth"
	"rollcall/roster"
)

// Caller is who makes a request. The zero value is somebody unknown.
type Caller struct {
	Actor  roster.Actor
	Role   roster.Role  // of a signed-in person
	Scopes []auth.Scope // of a token
	Owes   bool         // a signed-in person who must set a second factor up first
}

// Need is what a route asks of its callers.
type Need struct {
	kind  kind
	scope auth.Scope
}

type kind int

const (
	nobody kind = iota // the zero Need lets nobody in
	anybody
	person // signed in
	ower   // signed in, and may owe a second factor
	admin  // signed in, with the role admin
	token  // with a scope
)

// The needs there are.
var (
	Anybody       = Need{kind: anybody}
	SignedIn      = Need{kind: person}
	Administrator = Need{kind: admin}
	SettingUp     = Need{kind: ower} // what leads to a second factor
	Reads         = Need{token, auth.ScopeImportsRead}
	Starts        = Need{token, auth.ScopeImports}
	All           = Need{token, auth.ScopeAdmin}
)

// Open tells whether the route asks nothing: not even who calls need be known.
func (n Need) Open() bool { return n.kind == anybody }

// Scope is what a token needs, "" where none is looked at.
func (n Need) Scope() auth.Scope { return n.scope }

// Verdict is what becomes of a request.
type Verdict int

const (
	// Hidden: as if it were not there. What one may not see is 404.
	Hidden Verdict = iota
	// Unknown: who calls must first say who they are.
	Unknown
	// Insufficient: the token is good, its scope is not. The routes of the API
	// are described for all to read, so this gives nothing away (RFC 6750 §3.1).
	Insufficient
	// Owing: nothing opens before a second factor is set up.
	Owing
	// Granted: the handler may run.
	Granted
)

// Admits judges a caller. People are let in by their role, tokens by their
// scope, and neither by what belongs to the other.
func (n Need) Admits(c Caller) Verdict {
	switch n.kind {
	case anybody:
		return Granted
	case person, admin, ower:
		switch {
		case c.Actor.Kind != roster.ActorUser:
			return Unknown
		case c.Owes && n.kind != ower:
			return Owing
		case n.kind == admin && c.Role != roster.RoleAdmin:
			return Hidden
		}
		return Granted
	case token:
		switch {
		case c.Actor.Kind != roster.ActorToken && c.Actor.Kind != roster.ActorConfig:
			return Unknown
		case !auth.Allows(c.Scopes, n.scope):
			return Insufficient
		}
		return Granted
	}
	return Hidden
}

// Of is what a route asks for; HEAD asks for what GET does. ok is false, and
// the need lets nobody in, for a route that has no line in the table.
func Of(method, path string) (n Need, ok bool) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if n, ok = table[line{method, path}]; !ok && method == http.MethodGet && strings.HasPrefix(path, assets) {
		return Anybody, true
	}
	return n, ok
}

// assets is where stylesheets, scripts and images are, under names that follow
// from what is in them.
const assets = "/assets/"

// Each calls f for every line of the table.
func Each(f func(method, path string, n Need)) {
	for l, n := range table {
		f(l.method, l.path, n)
	}
}
