package web

import (
	"context"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/access"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web/login"
)

// pageTimeout bounds a request that only reads or writes a few rows.
const pageTimeout = 10 * time.Second

// Register adds the pages to a router. The router handles unknown paths;
// [Site.NotFound] is the page for that.
func (s *Site) Register(r gin.IRouter) {
	open := routes{r.Group("", s.identify, s.harden)}
	open.get(s.assets.Stylesheet.Path, s.page(s.assets.Stylesheet.serve))
	open.get(s.assets.Script.Path, s.page(s.assets.Script.serve))
	open.get(s.assets.Icon.Path, s.page(s.assets.Icon.serve))
	// No cookie is involved, and a browser under no-referrer sends "Origin:
	// null", which the origin check would reject over plain HTTP.
	open.get("/invite/:token", s.page(s.login.ShowInvitation))
	open.POST("/invite/:token", s.page(s.login.AcceptInvitation))
	open.POST("/invite/:token/renew", s.page(s.login.RenewInvitation))
	open.get("/reset/:token", s.page(s.login.ShowReset))
	open.POST("/reset/:token", s.page(s.login.ResetPassword))

	own := routes{r.Group("", s.identify, s.harden, s.requireSameOrigin)}
	own.get("/", s.page(s.home))
	own.get("/admin", s.page(s.home))
	own.get("/signin", s.page(s.login.ShowSignIn))
	own.POST("/signin", s.page(s.login.SignIn))
	own.get(login.CodePath, s.page(s.login.ShowCode))
	own.POST(login.CodePath, s.page(s.login.EnterCode))
	own.POST("/signout", s.page(s.login.SignOut))
	own.get("/forgot", s.page(s.login.ShowForgot))
	own.POST("/forgot", s.page(s.login.Forgot))

	own.get(login.HomePath, s.handle(s.listUsers))
	own.get(login.AccountPath, s.handle(s.login.ShowAccount))
	own.POST(login.AccountPath+"/password", s.handle(s.login.ChangePassword))
	own.POST(login.AccountPath+"/sessions", s.handle(s.login.EndSessions))
	own.get(login.FactorPath, s.handle(s.login.ShowFactor))
	own.POST(login.FactorPath, s.handle(s.login.BeginFactor))
	own.POST(login.FactorPath+"/confirm", s.handle(s.login.ConfirmFactor))
	own.POST(login.FactorPath+"/codes", s.handle(s.login.RenewCodes))
	own.POST(login.FactorPath+"/remove", s.handle(s.login.RemoveFactor))
	export := s.stream(s.confirmed("export users", login.HomePath, s.exportUsers))
	own.get("/admin/users/export.csv", export)
	own.POST("/admin/users/export.csv", export)
	own.get("/admin/users/change", s.handle(s.showChange))
	own.POST("/admin/users/change", s.handle(s.changeUsers))
	own.get(remindPath, s.handle(s.showReminders))
	own.POST(remindPath, s.stream(s.sendReminders))
	own.get(onboardingPath, s.handle(s.showOnboarding))
	own.get("/admin/settings/email", s.handle(s.showEmailSettings))
	own.POST("/admin/settings/email", s.handle(s.confirmed("change the email settings", emailPath, s.saveEmailSettings)))
	own.POST("/admin/settings/email/clear", s.handle(s.confirmed("remove the email settings", emailPath, s.clearEmailSettings)))
	own.POST("/admin/settings/email/retry", s.handle(s.retryFailedInvitations))
	own.POST("/admin/settings/email/test", s.stream(s.testEmailSettings))
	own.get(invitationPath, s.handle(s.showInvitationSettings))
	own.get(invitationPath+"/preview", s.handle(s.showInvitationMail))
	own.POST(invitationPath, s.handle(s.saveInvitationSettings))
	own.POST(invitationPath+"/test", s.stream(s.testInvitation))
	own.get("/admin/settings/tokens", s.handle(s.showTokens))
	own.POST("/admin/settings/tokens", s.handle(s.confirmed("create an API token", tokensPath, s.createToken)))
	own.POST("/admin/settings/tokens/:id/revoke", s.handle(s.revokeToken))
	own.POST("/admin/settings/tokens/:id/transfer", s.handle(s.confirmed("take over this API token", tokensPath, s.transferToken)))
	own.get(profilesPath, s.handle(s.showProfiles))
	own.POST(profilesPath+"/:name/delete", s.handle(s.deleteProfile))
	own.get("/admin/audit", s.handle(s.showAudit))
	own.get("/admin/users/import", s.handle(s.showUpload))
	own.POST("/admin/users/import", s.stream(s.upload))
	own.get("/admin/imports/:id/corrections", s.handle(s.showCorrections))
	own.POST("/admin/imports/:id/corrections", s.stream(s.uploadCorrections))
	own.get("/admin/users/import/template.csv", s.handle(s.downloadTemplate))
	own.get("/admin/users/import/template.xlsx", s.handle(s.downloadTemplateWorkbook))
	own.get("/admin/imports", s.handle(s.listImports))
	own.get("/admin/imports/:id", s.handle(s.showImport))
	own.get("/admin/imports/:id/progress", s.handle(s.showCounts))
	own.GET("/admin/imports/:id/events", s.stream(s.streamImport))
	own.POST("/admin/imports/:id/reread", s.stream(s.rereadImport))
	own.POST("/admin/imports/:id/profile", s.handle(s.saveProfile))
	own.POST("/admin/imports/:id/profile/use", s.stream(s.useProfile))
	own.POST("/admin/imports/:id/rows/:row", s.handle(s.editRow))
	own.POST("/admin/imports/:id/suggestions", s.handle(s.applySuggestions))
	own.POST("/admin/imports/:id/confirm", s.handle(s.confirmImport))
	own.POST("/admin/imports/:id/cancel", s.handle(s.cancelImport))
	own.POST("/admin/imports/:id/resend", s.handle(s.resendInvitations))
	own.get("/admin/imports/:id/undo", s.handle(s.showUndo))
	own.POST("/admin/imports/:id/undo", s.handle(s.undoImport))
	own.get("/admin/imports/:id/errors.csv", s.stream(s.downloadErrors))
	own.get("/admin/imports/:id/errors.xlsx", s.stream(s.downloadErrorsWorkbook))
	own.get("/admin/imports/:id/results.csv", s.stream(s.downloadResults))

	if s.deps.Mailbox != nil {
		dev := routes{r.Group("/dev/mail", s.identify, s.harden, s.allowLocalHost)}
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

// page serves a handler that does not need the caller, within pageTimeout.
func (s *Site) page(h func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer bound(c, pageTimeout)()
		s.serve(c, func(*gin.Context, *roster.User) error { return h(c) })
	}
}

// userHandler is a handler for signed-in users.
type userHandler func(c *gin.Context, user *roster.User) error

// handle serves a handler to callers with permission, within pageTimeout.
func (s *Site) handle(h userHandler) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer bound(c, pageTimeout)()
		s.serve(c, h)
	}
}

// stream is handle without the time limit, for file uploads and downloads.
func (s *Site) stream(h userHandler) gin.HandlerFunc {
	return func(c *gin.Context) { s.serve(c, h) }
}

// serve runs a handler if the table of package access admits the caller. Only
// the session identifies the caller; pages ignore the Authorization header.
func (s *Site) serve(c *gin.Context, h userHandler) {
	defer s.recover(c)
	need, listed := access.Lookup(c.Request.Method, c.FullPath())
	user, err := s.visitor(c, need)
	caller := callerOf(user)
	if err == nil && user != nil {
		caller.Must2FA, err = s.login.Must2FA(c.Request.Context(), user)
	}
	if err == nil {
		switch verdict := need.Check(caller); {
		case !listed:
			err = storage.ErrNotFound
		case verdict == access.Allowed:
			err = h(c, user)
		case verdict == access.Unauthenticated:
			err = login.ErrSignedOut
		case verdict == access.Needs2FA:
			err = errNeeds2FA
		default:
			err = errHidden
		}
	}
	if err != nil {
		s.fail(c, user, err)
	}
}

// visitor returns the signed-in user, if the route needs one.
func (s *Site) visitor(c *gin.Context, need access.Requirement) (*roster.User, error) {
	if need.Open() {
		return nil, nil
	}
	return s.login.SignedIn(c)
}

// callerOf converts a signed-in user to a caller of package access.
func callerOf(u *roster.User) access.Caller {
	if u == nil {
		return access.Caller{}
	}
	return access.Caller{Actor: login.Actor(u), Role: u.Role}
}

// bound ends the request's context after d. The caller must call the returned
// function.
func bound(c *gin.Context, d time.Duration) context.CancelFunc {
	ctx, cancel := context.WithTimeout(c.Request.Context(), d)
	c.Request = c.Request.WithContext(ctx)
	return cancel
}

// home redirects to the first page a user may see.
func (s *Site) home(c *gin.Context) error {
	user, err := s.login.SignedIn(c)
	if err != nil {
		return err
	}
	if user == nil {
		seeOther(c, "/signin")
	} else {
		seeOther(c, login.HomePath)
	}
	return nil
}
