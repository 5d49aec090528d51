package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"rollcall/access"
	"rollcall/auth"
	"rollcall/httpapi/problem"
	"rollcall/roster"
	"rollcall/storage"
)

// realm names what a token gives access to (RFC 6750, section 3).
const realm = `Bearer realm="rollcall"`

// caller is the sender of a request, with the permissions of the token.
type caller struct {
	actor   roster.Actor
	scopes  []auth.Scope
	source  string // of the token; "" is the default
	address string // the network address, for the audit log
}

// entry describes the caller for the audit log.
func (by caller) entry() storage.AuditEntry {
	return storage.AuditEntry{Actor: by.actor, Address: by.address}
}

// access converts the caller to a caller of package access.
func (by caller) access() access.Caller { return access.Caller{Actor: by.actor, Scopes: by.scopes} }

// require returns nil if the caller has the required permission.
func (by caller) require(need access.Requirement) error {
	return accessError(need.Check(by.access()), need.Scope())
}

// mayRead returns nil if the import is visible to the caller.
func (by caller) mayRead(i *roster.Import) error { return accessError(by.access().ReadsImport(i), "") }

// mayChange returns nil if the caller may confirm, cancel or undo the import, or
// send its invitations again.
func (by caller) mayChange(i *roster.Import) error {
	return accessError(by.access().ChangesImport(i), auth.ScopeAdmin)
}

// accessError is the response to a denied request; scope is the missing one.
func accessError(v access.Decision, scope auth.Scope) error {
	switch v {
	case access.Allowed:
		return nil
	case access.MissingScope:
		return problem.New(problem.InsufficientScope, "This requires a token with the scope %s.", scope).
			With("WWW-Authenticate", fmt.Sprintf(`%s, error="insufficient_scope", scope=%q`, realm, scope))
	case access.Unauthenticated:
		return invalidToken()
	}
	return storage.ErrNotFound
}

// identify authenticates the caller by the Authorization header only. Cookies
// and the query are ignored, so another site cannot make a browser send an
// authenticated request.
func (a *API) identify(c *gin.Context) (caller, error) {
	r := c.Request
	token, err := bearer(r.Header)
	if err != nil {
		return caller{}, err
	}
	by := caller{address: c.ClientIP()}
	if a.AdminToken != "" && auth.SameHash(auth.HashToken(token), a.admin) {
		by.actor = roster.Actor{Kind: roster.ActorConfig, Label: "ADMIN_API_TOKEN"}
		by.scopes = []auth.Scope{auth.ScopeAdmin}
		return by, nil
	}
	hash, err := auth.ParseToken(token)
	if err != nil {
		return caller{}, invalidToken()
	}
	found, err := coalesce(r.Context(), &a.reads, "token "+string(hash[:]), func(ctx context.Context) (storage.Token, error) {
		return a.Store.TokenByHash(ctx, hash)
	})
	if errors.Is(err, storage.ErrNotFound) {
		return caller{}, invalidToken()
	}
	if err != nil {
		return caller{}, err
	}
	by.actor = roster.Actor{Kind: roster.ActorToken, ID: found.ID, Label: found.Name}
	by.source = found.Source
	for _, s := range found.Scopes {
		by.scopes = append(by.scopes, auth.Scope(s))
	}
	return by, nil
}

// bearer extracts the token (RFC 6750, section 2.1).
func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", problem.New(problem.Unauthorized, "Send an API token in the header Authorization: Bearer TOKEN.").With("WWW-Authenticate", realm)
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", problem.New(problem.Unauthorized, "Send exactly one Authorization header, in the form Bearer TOKEN.").With("WWW-Authenticate", realm)
	}
	return token, nil
}

func invalidToken() error {
	return problem.New(problem.InvalidToken, "The token is unknown, expired or revoked, or its owner is no longer an administrator.").
		With("WWW-Authenticate", realm+`, error="invalid_token"`)
}
