package httpapi

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"rollcall/access"
	"rollcall/auth"
	"rollcall/httpapi/problem"
	"rollcall/roster"
	"rollcall/storage"
)

// realm names what a token opens (RFC 6750, section 3).
const realm = `Bearer realm="rollcall"`

// caller is who makes a request and what the token allows.
type caller struct {
	actor   roster.Actor
	scopes  []auth.Scope
	address string // the network address, for the audit log
}

// entry is the caller for the audit log.
func (by caller) entry() storage.Entry { return storage.Entry{Actor: by.actor, Address: by.address} }

// as is the caller as package access knows one.
func (by caller) as() access.Caller { return access.Caller{Actor: by.actor, Scopes: by.scopes} }

// require returns nil if the caller has what is needed.
func (by caller) require(need access.Need) error { return refusal(need.Admits(by.as()), need.Scope()) }

// mayRead returns nil if the import is visible to the caller.
func (by caller) mayRead(i *roster.Import) error { return refusal(by.as().ReadsImport(i), "") }

// mayChange returns nil if the caller may confirm, cancel or undo the import, or
// send its invitations again.
func (by caller) mayChange(i *roster.Import) error {
	return refusal(by.as().ChangesImport(i), auth.ScopeAdmin)
}

// refusal is the answer to what was not granted; scope is what was missing.
func refusal(v access.Verdict, scope auth.Scope) error {
	switch v {
	case access.Granted:
		return nil
	case access.Insufficient:
		return problem.New(problem.InsufficientScope, "This needs a token with the scope %s.", scope).
			With("WWW-Authenticate", fmt.Sprintf(`%s, error="insufficient_scope", scope=%q`, realm, scope))
	case access.Unknown:
		return invalidToken()
	}
	return storage.ErrNotFound
}

// identify finds out who calls, by the Authorization header alone. Cookies and
// the query are not looked at, so no page elsewhere can make a browser call.
func (a *API) identify(r *http.Request) (caller, error) {
	token, err := bearer(r.Header)
	if err != nil {
		return caller{}, err
	}
	by := caller{address: remoteHost(r)}
	if a.AdminToken != "" && auth.SameHash(auth.HashToken(token), a.admin) {
		by.actor = roster.Actor{Kind: roster.ActorConfig, Label: "ADMIN_API_TOKEN"}
		by.scopes = []auth.Scope{auth.ScopeAdmin}
		return by, nil
	}
	hash, err := auth.ParseToken(token)
	if err != nil {
		return caller{}, invalidToken()
	}
	found, err := a.tokens.get(r.Context(), hash)
	if errors.Is(err, storage.ErrNotFound) {
		return caller{}, invalidToken()
	}
	if err != nil {
		return caller{}, err
	}
	by.actor = roster.Actor{Kind: roster.ActorToken, ID: found.ID, Label: found.Name}
	for _, s := range found.Scopes {
		by.scopes = append(by.scopes, auth.Scope(s))
	}
	return by, nil
}

// bearer reads the token (RFC 6750, section 2.1).
func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", problem.New(problem.Unauthorized, "Send a token: Authorization: Bearer TOKEN.").With("WWW-Authenticate", realm)
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", problem.New(problem.Unauthorized, "Authorization must be one header that reads: Bearer TOKEN.").With("WWW-Authenticate", realm)
	}
	return token, nil
}

func invalidToken() error {
	return problem.New(problem.InvalidToken, "The token is unknown, expired or revoked.").
		With("WWW-Authenticate", realm+`, error="invalid_token"`)
}

// remoteHost is the address of the connection, without the port.
func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
