package httpapi

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"rollcall/access"
)

// route is one line of the table.
type route struct {
	method, path string
	handle       handler
	// slow: the handler waits or streams and bounds its own steps. All others
	// end after [ordinary].
	slow bool
	// limit bounds how often the caller may ask. Nil: no bound.
	limit limit
	// often: asked for by the second, so that answers like all others are logged
	// at debug level only. The metrics count them.
	often bool
	// need is what it asks of its callers; from package access.
	need access.Need
}

// handler answers a request or returns why not.
type handler func(c *gin.Context, by caller) error

// on is the handler for one object: what open finds in the path, if the caller
// may see it, and else the reason why not.
func on[T any](open func(*gin.Context, caller) (T, error), handle func(*gin.Context, caller, T) error) handler {
	return func(c *gin.Context, by caller) error {
		object, err := open(c, by)
		if err != nil {
			return err
		}
		return handle(c, by, object)
	}
}

// prefix is where everything is that needs a token.
const prefix = "/api/admin"

// routes is all there is. GET stands for HEAD too. Who may call what stands in
// package access.
func (a *API) routes() []route {
	return []route{
		{method: "POST", path: prefix + "/users/import", handle: a.startImport, slow: true, limit: uploads},
		{method: "GET", path: prefix + "/users/import/template.csv", handle: a.template},
		{method: "GET", path: prefix + "/users/import/errors", handle: a.catalogue},

		{method: "GET", path: prefix + "/users/imports", handle: a.listImports},
		{method: "GET", path: prefix + "/users/imports/:id", handle: on(a.polled, a.showImport), slow: true, limit: polls, often: true},
		{method: "GET", path: prefix + "/users/imports/:id/events", handle: on(a.visible, a.events), slow: true, limit: polls},
		{method: "GET", path: prefix + "/users/imports/:id/errors", handle: on(a.visible, a.listErrors)},
		{method: "GET", path: prefix + "/users/imports/:id/errors.csv", handle: on(a.visible, a.errorReport), slow: true},
		{method: "GET", path: prefix + "/users/imports/:id/results.csv", handle: on(a.visible, a.results), slow: true},
		{method: "GET", path: prefix + "/users/imports/:id/rows", handle: on(a.visible, a.listRows)},
		{method: "GET", path: prefix + "/users/imports/:id/file", handle: on(a.visible, a.file), slow: true},
		{method: "POST", path: prefix + "/users/imports/:id/confirm", handle: on(a.changeable, a.confirm), slow: true},
		{method: "POST", path: prefix + "/users/imports/:id/cancel", handle: on(a.changeable, a.cancel)},
		{method: "POST", path: prefix + "/users/imports/:id/undo", handle: on(a.changeable, a.undo), slow: true},
		{method: "POST", path: prefix + "/users/imports/:id/invitations/resend", handle: on(a.changeable, a.resendAll)},

		{method: "GET", path: prefix + "/users", handle: a.listUsers},
		{method: "GET", path: prefix + "/users/:id", handle: on(named, a.showUser)},
		{method: "GET", path: prefix + "/users/:id/export", handle: on(named, a.exportUser), slow: true},
		{method: "DELETE", path: prefix + "/users/:id", handle: on(named, a.eraseUser), slow: true},
		{method: "POST", path: prefix + "/users/:id/invitation", handle: on(named, a.resendOne)},

		{method: "GET", path: prefix + "/settings/email", handle: a.showEmail},
		{method: "PUT", path: prefix + "/settings/email", handle: a.setEmail},
		{method: "DELETE", path: prefix + "/settings/email", handle: a.clearEmail},
		{method: "POST", path: prefix + "/settings/email/test", handle: a.testEmail, slow: true, limit: mailTests},

		{method: "GET", path: prefix + "/webhooks", handle: a.listWebhooks},
		{method: "POST", path: prefix + "/webhooks", handle: a.createWebhook},
		{method: "GET", path: prefix + "/webhooks/:id", handle: on(a.ownWebhook, a.showWebhook)},
		{method: "DELETE", path: prefix + "/webhooks/:id", handle: on(a.ownWebhook, a.deleteWebhook)},
		{method: "POST", path: prefix + "/webhooks/:id/rotate", handle: on(a.ownWebhook, a.rotateWebhook)},
		{method: "GET", path: prefix + "/webhooks/:id/deliveries", handle: on(a.ownWebhook, a.listDeliveries)},
		{method: "POST", path: prefix + "/webhooks/:id/deliveries/:delivery/redeliver", handle: on(a.ownWebhook, a.redeliver)},

		{method: "GET", path: "/openapi.json", handle: a.openAPIJSON},
		{method: "GET", path: "/openapi.yaml", handle: a.openAPIYAML},
		{method: "GET", path: "/docs", handle: a.docs},
		{method: "GET", path: "/docs/style.css", handle: a.docsStyle},
		{method: "GET", path: "/healthz", handle: a.healthy},
		{method: "GET", path: "/readyz", handle: a.readyToServe},
	}
}

// Register adds the API to a router. What no route answers is left to the
// router: see [API.NotFound], [API.MethodNotAllowed] and [API.Owns].
func (a *API) Register(r gin.IRouter) {
	for _, rt := range a.routes() {
		rt.need, _ = access.Of(rt.method, rt.path) // without a line: nobody
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
