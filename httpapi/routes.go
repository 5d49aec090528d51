package httpapi

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/gin-gonic/gin"

	"rollcall/access"
)

// route is one row of the route table.
type route struct {
	method, path string
	handle       handler
	// slow: the handler waits or streams and bounds its own steps. All others
	// time out after [requestTimeout].
	slow bool
	// limit bounds how often the caller may call. Nil: no limit.
	limit limit
	// often: called very often, so successful requests are logged at debug
	// level only. The metrics count them.
	quiet bool
	// need is the required permission, from package access.
	need access.Requirement
}

// handler responds to a request, or returns why it cannot.
type handler func(c *gin.Context, by caller) error

// withObject is the handler for one object: open loads the object named in the
// path, or returns why the caller may not access it.
func withObject[T any](open func(*gin.Context, caller) (T, error), handle func(*gin.Context, caller, T) error) handler {
	return func(c *gin.Context, by caller) error {
		object, err := open(c, by)
		if err != nil {
			return err
		}
		return handle(c, by, object)
	}
}

// prefix is the base path of all routes that need a token.
const prefix = "/api/admin"

// routes lists every route of the API. GET includes HEAD. Package access
// defines the required permissions.
func (a *API) routes() []route {
	return []route{
		{method: "POST", path: prefix + "/users/import", handle: a.startImport, slow: true, limit: uploads},
		{method: "GET", path: prefix + "/users/import/template.csv", handle: a.template},
		{method: "GET", path: prefix + "/users/import/template.xlsx", handle: a.templateWorkbook},
		{method: "GET", path: prefix + "/users/import/errors", handle: a.errorCatalog},

		{method: "GET", path: prefix + "/users/imports", handle: a.listImports, limit: polls},
		{method: "GET", path: prefix + "/users/imports/:id", handle: withObject(a.loadReadable, a.showImport), slow: true, limit: polls, quiet: true},
		{method: "GET", path: prefix + "/users/imports/:id/events", handle: withObject(a.loadReadable, a.events), slow: true, limit: polls},
		{method: "GET", path: prefix + "/users/imports/:id/errors", handle: withObject(a.loadReadable, a.listErrors), limit: polls},
		{method: "GET", path: prefix + "/users/imports/:id/errors.csv", handle: withObject(a.loadReadable, a.errorReport), slow: true},
		{method: "GET", path: prefix + "/users/imports/:id/errors.xlsx", handle: withObject(a.loadReadable, a.errorWorkbook), slow: true},
		{method: "GET", path: prefix + "/users/imports/:id/results.csv", handle: withObject(a.loadReadable, a.results), slow: true},
		{method: "GET", path: prefix + "/users/imports/:id/rows", handle: withObject(a.loadReadable, a.listRows), limit: polls},
		{method: "PATCH", path: prefix + "/users/imports/:id/rows/:row", handle: withObject(a.loadWritable, a.editRow), limit: userWrites},
		{method: "POST", path: prefix + "/users/imports/:id/suggestions", handle: withObject(a.loadWritable, a.applySuggestions), slow: true, limit: userWrites},
		{method: "GET", path: prefix + "/users/imports/:id/missing", handle: withObject(a.loadReadable, a.listMissing), limit: polls},
		{method: "GET", path: prefix + "/users/imports/:id/file", handle: withObject(a.loadReadable, a.file), slow: true},
		{method: "POST", path: prefix + "/users/imports/:id/confirm", handle: withObject(a.loadWritable, a.confirm), slow: true},
		{method: "POST", path: prefix + "/users/imports/:id/cancel", handle: withObject(a.loadWritable, a.cancel)},
		{method: "POST", path: prefix + "/users/imports/:id/undo", handle: withObject(a.loadWritable, a.undo), slow: true},
		{method: "POST", path: prefix + "/users/imports/:id/invitations/resend", handle: withObject(a.loadWritable, a.resendAll)},

		{method: "POST", path: prefix + "/users/invitations/retry", handle: a.retryFailed},

		{method: "GET", path: prefix + "/users", handle: a.listUsers, limit: polls},
		{method: "POST", path: prefix + "/users", handle: a.createUser, limit: userWrites},
		{method: "GET", path: prefix + "/users/changes", handle: a.listChanges, slow: true, limit: polls, quiet: true},
		{method: "GET", path: prefix + "/users/:id", handle: withObject(pathID, a.showUser)},
		{method: "PATCH", path: prefix + "/users/:id", handle: withObject(pathID, a.changeUser), limit: userWrites},
		{method: "GET", path: prefix + "/users/:id/export", handle: withObject(pathID, a.exportUser), slow: true},
		{method: "DELETE", path: prefix + "/users/:id", handle: withObject(pathID, a.eraseUser), slow: true},
		{method: "POST", path: prefix + "/users/:id/invitation", handle: withObject(pathID, a.resendOne)},

		{method: "GET", path: profilesPath, handle: a.listProfiles, limit: polls},
		{method: "GET", path: profilesPath + "/:name", handle: withObject(pathProfile, a.showProfile), limit: polls},
		{method: "PUT", path: profilesPath + "/:name", handle: withObject(pathProfile, a.setProfile)},
		{method: "DELETE", path: profilesPath + "/:name", handle: withObject(pathProfile, a.deleteProfile)},

		{method: "GET", path: prefix + "/settings/email", handle: a.showEmail},
		{method: "PUT", path: prefix + "/settings/email", handle: a.setEmail},
		{method: "DELETE", path: prefix + "/settings/email", handle: a.clearEmail},
		{method: "GET", path: prefix + "/settings/invitation", handle: a.showInvitationSettings},
		{method: "PUT", path: prefix + "/settings/invitation", handle: a.setInvitationSettings},
		{method: "POST", path: prefix + "/settings/invitation/preview", handle: a.previewInvitation},
		{method: "POST", path: prefix + "/settings/email/test", handle: a.testEmail, slow: true, limit: mailTests},

		{method: "GET", path: prefix + "/webhooks", handle: a.listWebhooks, limit: polls},
		{method: "POST", path: prefix + "/webhooks", handle: a.createWebhook},
		{method: "GET", path: prefix + "/webhooks/:id", handle: withObject(a.loadWebhook, a.showWebhook)},
		{method: "DELETE", path: prefix + "/webhooks/:id", handle: withObject(a.loadWebhook, a.deleteWebhook)},
		{method: "POST", path: prefix + "/webhooks/:id/rotate", handle: withObject(a.loadWebhook, a.rotateWebhook)},
		{method: "GET", path: prefix + "/webhooks/:id/deliveries", handle: withObject(a.loadWebhook, a.listDeliveries), limit: polls},
		{method: "POST", path: prefix + "/webhooks/:id/deliveries/:delivery/redeliver", handle: withObject(a.loadWebhook, a.redeliver), limit: redeliveries},

		{method: "POST", path: "/hooks/mail/ses", handle: a.mailEvents(a.MailEvents.SES != nil, a.readSES)},
		{method: "POST", path: "/hooks/mail/sendgrid", handle: a.mailEvents(a.MailEvents.SendGrid != nil, a.readSendGrid)},
		{method: "POST", path: "/hooks/mail/postmark", handle: a.mailEvents(a.MailEvents.PostmarkPassword != "", a.readPostmark)},

		{method: "GET", path: "/openapi.json", handle: a.openAPIJSON},
		{method: "GET", path: "/openapi.yaml", handle: a.openAPIYAML},
		{method: "GET", path: "/docs", handle: a.docs},
		{method: "GET", path: "/docs/:file", handle: a.docsAsset},
		{method: "GET", path: "/healthz", handle: a.healthy},
		{method: "GET", path: "/readyz", handle: a.readyToServe},
	}
}

// Register adds the API to a router. The router handles unknown paths: see
// [API.NotFound], [API.MethodNotAllowed] and [API.Owns].
func (a *API) Register(r gin.IRouter) {
	routes := a.routes()
	for _, rt := range routes {
		rt.need, _ = access.Lookup(rt.method, rt.path) // missing from the table: denied
		serve := a.unless(preceding(rt, routes), a.serve(rt))
		r.Handle(rt.method, rt.path, serve)
		if rt.method == http.MethodGet {
			r.Handle(http.MethodHead, rt.path, serve)
		}
	}
}

// Owns reports whether a path belongs to the API, whether or not a route
// exists.
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
// redirects to similar paths, 405 if only the method is wrong, nothing written
// to standard output. ClientIP trusts X-Forwarded-For only from trusted
// proxies: read from the end, the first address that is not a trusted proxy's
// is the client's.
func NewEngine(trustedProxies ...netip.Prefix) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.RedirectTrailingSlash, e.RedirectFixedPath = false, false
	e.HandleMethodNotAllowed = true
	e.RemoteIPHeaders = []string{"X-Forwarded-For"}
	texts := make([]string, len(trustedProxies))
	for i, p := range trustedProxies {
		texts[i] = p.String()
	}
	if err := e.SetTrustedProxies(texts); err != nil {
		panic(err) // a prefix is always a CIDR block
	}
	return e
}

// Handler serves the API alone.
func (a *API) Handler() http.Handler {
	e := NewEngine()
	a.Register(e)
	e.NoRoute(a.NotFound)
	e.NoMethod(a.MethodNotAllowed)
	return e
}
