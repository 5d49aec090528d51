package httpapi

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"rollcall/auth"
)

// route is one line of the table.
type route struct {
	method, path string
	// scope is what a token needs; "" lets anybody in. ScopeImports covers the
	// caller's own imports only, unless the token also reads or may do all:
	// see [caller.mayRead] and [caller.mayChange].
	scope  auth.Scope
	handle handler
	// slow: the handler waits or streams and bounds its own steps. All others
	// end after [ordinary].
	slow bool
	// limit bounds how often the caller may ask. Nil: no bound.
	limit limit
}

// handler answers a request or returns why not.
type handler func(c *gin.Context, by caller) error

// The scopes, short enough for the table.
const (
	open  auth.Scope = ""
	start            = auth.ScopeImports
	read             = auth.ScopeImportsRead
	all              = auth.ScopeAdmin
)

// prefix is where everything is that needs a token.
const prefix = "/api/admin"

// routes is all there is. GET stands for HEAD too.
func (a *API) routes() []route {
	return []route{
		{method: "POST", path: prefix + "/users/import", scope: start, handle: a.startImport, slow: true, limit: uploads},
		{method: "GET", path: prefix + "/users/import/template.csv", scope: read, handle: a.template},
		{method: "GET", path: prefix + "/users/import/errors", scope: read, handle: a.catalogue},

		{method: "GET", path: prefix + "/users/imports", scope: read, handle: a.listImports},
		{method: "GET", path: prefix + "/users/imports/:id", scope: read, handle: a.showImport, slow: true, limit: polls},
		{method: "GET", path: prefix + "/users/imports/:id/events", scope: read, handle: a.events, slow: true, limit: polls},
		{method: "GET", path: prefix + "/users/imports/:id/errors", scope: read, handle: a.listErrors},
		{method: "GET", path: prefix + "/users/imports/:id/errors.csv", scope: read, handle: a.errorReport, slow: true},
		{method: "GET", path: prefix + "/users/imports/:id/results.csv", scope: read, handle: a.results, slow: true},
		{method: "GET", path: prefix + "/users/imports/:id/rows", scope: read, handle: a.listRows},
		{method: "GET", path: prefix + "/users/imports/:id/file", scope: read, handle: a.file, slow: true},
		{method: "POST", path: prefix + "/users/imports/:id/confirm", scope: start, handle: a.confirm, slow: true},
		{method: "POST", path: prefix + "/users/imports/:id/cancel", scope: start, handle: a.cancel},
		{method: "POST", path: prefix + "/users/imports/:id/undo", scope: start, handle: a.undo, slow: true},
		{method: "POST", path: prefix + "/users/imports/:id/invitations/resend", scope: start, handle: a.resendAll},

		{method: "GET", path: prefix + "/users", scope: all, handle: a.listUsers},
		{method: "GET", path: prefix + "/users/:id", scope: all, handle: a.showUser},
		{method: "POST", path: prefix + "/users/:id/invitation", scope: all, handle: a.resendOne},

		{method: "GET", path: prefix + "/settings/email", scope: all, handle: a.showEmail},
		{method: "PUT", path: prefix + "/settings/email", scope: all, handle: a.setEmail},
		{method: "POST", path: prefix + "/settings/email/test", scope: all, handle: a.testEmail, slow: true, limit: mailTests},

		{method: "GET", path: prefix + "/webhooks", scope: start, handle: a.listWebhooks},
		{method: "POST", path: prefix + "/webhooks", scope: start, handle: a.createWebhook},
		{method: "GET", path: prefix + "/webhooks/:id", scope: start, handle: a.showWebhook},
		{method: "DELETE", path: prefix + "/webhooks/:id", scope: start, handle: a.deleteWebhook},
		{method: "POST", path: prefix + "/webhooks/:id/rotate", scope: start, handle: a.rotateWebhook},
		{method: "GET", path: prefix + "/webhooks/:id/deliveries", scope: start, handle: a.listDeliveries},
		{method: "POST", path: prefix + "/webhooks/:id/deliveries/:delivery/redeliver", scope: start, handle: a.redeliver},

		{method: "GET", path: "/openapi.json", scope: open, handle: a.openAPIJSON},
		{method: "GET", path: "/openapi.yaml", scope: open, handle: a.openAPIYAML},
		{method: "GET", path: "/docs", scope: open, handle: a.docs},
		{method: "GET", path: "/docs/style.css", scope: open, handle: a.docsStyle},
		{method: "GET", path: "/healthz", scope: open, handle: a.healthy},
		{method: "GET", path: "/readyz", scope: open, handle: a.readyToServe},
	}
}

// Register adds the API to a router. What no route answers is left to the
// router: see [API.NotFound], [API.MethodNotAllowed] and [API.Owns].
func (a *API) Register(r gin.IRouter) {
	for _, rt := range a.routes() {
		serve := a.serve(rt)
		r.Handle(rt.method, rt.path, serve)
		if rt.method == http.MethodGet {
			r.Handle(http.MethodHead, rt.path, serve)
		}
	}
}

// Owns tells whether a path is the API's to answer, be there a route or not.
func (a *API) Owns(path string) bool {
	if path == "/api" || strings.HasPrefix(path, "/api/") {
		return true
	}
	for _, rt := range a.routes() {
		if rt.path == path {
			return true
		}
	}
	return false
}

// NewEngine makes a gin engine with Rollcall's settings and no routes: no
// redirects to paths that look alike, 405 where the path is right, no trust in
// what proxies say about the client, nothing written to standard output.
func NewEngine() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.RedirectTrailingSlash, e.RedirectFixedPath = false, false
	e.HandleMethodNotAllowed = true
	e.ForwardedByClientIP = false
	return e
}

// Handler is the API by itself.
func (a *API) Handler() http.Handler {
	e := NewEngine()
	a.Register(e)
	e.NoRoute(a.NotFound)
	e.NoMethod(a.MethodNotAllowed)
	return e
}
