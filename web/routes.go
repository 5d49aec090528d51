package web

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/access"
	"rollcall/roster"
	"rollcall/storage"
)

// pageTimeout bounds a request that only reads or writes a few rows.
const pageTimeout = 10 * time.Second

// Register adds the pages to a router. What no route answers is left to the
// router; [Site.NotFound] is the page for that.
func (s *Site) Register(r gin.IRouter) {
	open := routes{r.Group("", s.identify, s.harden)}
	open.get(s.assets.Stylesheet.Path, s.page(s.assets.Stylesheet.serve))
	open.get(s.assets.Script.Path, s.page(s.assets.Script.serve))
	open.get(s.assets.Icon.Path, s.page(s.assets.Icon.serve))
	// No cookie is involved, and a browser under no-referrer sends "Origin:
	// null", which the check of the origin would refuse over plain HTTP.
	open.get("/invite/:token", s.page(s.showInvitation))
	open.POST("/invite/:token", s.page(s.acceptInvitation))
	open.get("/reset/:token", s.page(s.showReset))
	open.POST("/reset/:token", s.page(s.resetPassword))

	own := routes{r.Group("", s.identify, s.harden, s.fromHere)}
	own.get("/", s.page(s.home))
	own.get("/admin", s.page(s.home))
	own.get("/signin", s.page(s.showSignIn))
	own.POST("/signin", s.page(s.signIn))
	own.get(codePath, s.page(s.showCode))
	own.POST(codePath, s.page(s.enterCode))
	own.POST("/signout", s.page(s.signOut))
	own.get("/forgot", s.page(s.showForgot))
	own.POST("/forgot", s.page(s.forgot))

	own.get(landing, s.signedInOnly(s.listUsers))
	own.get(accountPath, s.signedInOnly(s.showAccount))
	own.POST(accountPath+"/password", s.signedInOnly(s.changePassword))
	own.POST(accountPath+"/sessions", s.signedInOnly(s.endSessions))
	own.get(factorPath, s.signedInOnly(s.showFactor))
	own.POST(factorPath, s.signedInOnly(s.beginFactor))
	own.POST(factorPath+"/confirm", s.signedInOnly(s.confirmFactor))
	own.POST(factorPath+"/codes", s.signedInOnly(s.renewCodes))
	own.POST(factorPath+"/remove", s.signedInOnly(s.removeFactor))
	own.get("/admin/users/export.csv", s.adminStream(s.exportUsers))
	own.get("/admin/users/change", s.admin(s.showChange))
	own.POST("/admin/users/change", s.admin(s.changeUsers))
	own.get("/admin/settings/email", s.admin(s.showEmailSettings))
	own.POST("/admin/settings/email", s.admin(s.saveEmailSettings))
	own.POST("/admin/settings/email/clear", s.admin(s.clearEmailSettings))
	own.POST("/admin/settings/email/test", s.adminStream(s.testEmailSettings))
	own.get("/admin/settings/tokens", s.admin(s.showTokens))
	own.POST("/admin/settings/tokens", s.admin(s.createToken))
	own.POST("/admin/settings/tokens/:id/revoke", s.admin(s.revokeToken))
	own.get("/admin/audit", s.admin(s.showAudit))
	own.get("/admin/users/import", s.admin(s.showUpload))
	own.POST("/admin/users/import", s.adminStream(s.upload))
	own.get("/admin/imports/:id/mended", s.admin(s.showMended))
	own.POST("/admin/imports/:id/mended", s.adminStream(s.uploadMended))
	own.get("/admin/users/import/template.csv", s.admin(s.downloadTemplate))
	own.get("/admin/imports", s.admin(s.listImports))
	own.get("/admin/imports/:id", s.admin(s.showImport))
	own.get("/admin/imports/:id/progress", s.admin(s.showCounts))
	own.GET("/admin/imports/:id/events", s.adminStream(s.streamImport))
	own.POST("/admin/imports/:id/again", s.adminStream(s.importAgain))
	own.POST("/admin/imports/:id/confirm", s.admin(s.confirmImport))
	own.POST("/admin/imports/:id/cancel", s.admin(s.cancelImport))
	own.POST("/admin/imports/:id/resend", s.admin(s.resendInvitations))
	own.get("/admin/imports/:id/undo", s.admin(s.showUndo))
	own.POST("/admin/imports/:id/undo", s.admin(s.undoImport))
	own.get("/admin/imports/:id/errors.csv", s.adminStream(s.downloadErrors))
	own.get("/admin/imports/:id/results.csv", s.adminStream(s.downloadResults))

	if s.Mailbox != nil {
		dev := routes{r.Group("/dev/mail", s.identify, s.harden, s.unbound)}
		dev.get("", s.page(s.listMail))
		dev.get("/:id", s.page(s.showMail))
		dev.get("/:id/html", s.page(s.showMailHTML))
	}
}

// routes is a group whose pages answer HEAD wherever they answer GET.
type routes struct{ *gin.RouterGroup }

func (r routes) get(path string, h gin.HandlerFunc) {
	r.GET(path, h)
	r.HEAD(path, h)
}

// page serves a handler that need not know who calls, within pageTimeout.
func (s *Site) page(h func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer bound(c, pageTimeout)()
		s.serve(c, func(*gin.Context, *roster.User) error { return h(c) })
	}
}

// userHandler is a handler for people; user is who is signed in.
type userHandler func(c *gin.Context, user *roster.User) error

// admin serves a handler to those who may call it, within pageTimeout.
func (s *Site) admin(h userHandler) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer bound(c, pageTimeout)()
		s.serve(c, h)
	}
}

// adminStream is admin for what takes as long as a file takes to travel.
func (s *Site) adminStream(h userHandler) gin.HandlerFunc {
	return func(c *gin.Context) { s.serve(c, h) }
}

// signedInOnly is admin for a page that others than administrators may see. What
// they may not see on it is for the handler to leave out.
func (s *Site) signedInOnly(h userHandler) gin.HandlerFunc { return s.admin(h) }

// serve runs a handler if the table of package access lets the caller in, who is
// found out by the session alone: what stands in an Authorization header is
// nothing to pages.
func (s *Site) serve(c *gin.Context, h userHandler) {
	defer s.recover(c)
	need, listed := access.Of(c.Request.Method, c.FullPath())
	user, err := s.visitor(c, need)
	caller := callerOf(user)
	if err == nil && user != nil {
		caller.Owes, err = s.owes(c.Request.Context(), user)
	}
	if err == nil {
		switch verdict := need.Admits(caller); {
		case !listed:
			err = storage.ErrNotFound
		case verdict == access.Granted:
			err = h(c, user)
		case verdict == access.Unknown:
			err = errSignedOut
		case verdict == access.Owing:
			err = errOwing
		default:
			err = errHidden
		}
	}
	if err != nil {
		s.fail(c, user, err)
	}
}

// visitor is who is signed in, if the route asks.
func (s *Site) visitor(c *gin.Context, need access.Need) (*roster.User, error) {
	if need.Open() {
		return nil, nil
	}
	return s.signedIn(c)
}

// callerOf is a signed-in user as package access knows one.
func callerOf(u *roster.User) access.Caller {
	if u == nil {
		return access.Caller{}
	}
	return access.Caller{Actor: actor(u), Role: u.Role}
}

// bound ends the request's context after d. The function returned must be
// called.
func bound(c *gin.Context, d time.Duration) context.CancelFunc {
	ctx, cancel := context.WithTimeout(c.Request.Context(), d)
	c.Request = c.Request.WithContext(ctx)
	return cancel
}

// home leads to where there is something to see.
func (s *Site) home(c *gin.Context) error {
	user, err := s.signedIn(c)
	if err != nil {
		return err
	}
	if user == nil {
		seeOther(c, "/signin")
	} else {
		seeOther(c, landing)
	}
	return nil
}

// seeOther sends the browser to a path of ours, with GET.
func seeOther(c *gin.Context, path string) {
	allowAnswer(c)
	c.Header("Location", path)
	c.Status(http.StatusSeeOther)
	c.Writer.WriteHeaderNow()
}
