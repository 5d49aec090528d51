package web

import (
	"github.com/gin-gonic/gin"

	"rollcall/roster"
	"rollcall/web/login"
	"rollcall/web/postform"
	"rollcall/web/respond"
)

// loginFrame shows the pages of package login in the layout that all pages
// share.
type loginFrame struct{ site *Site }

func (f loginFrame) Render(c *gin.Context, status int, user *roster.User, p login.Page, content any) error {
	meta := pageMeta{Template: p.Template, Title: p.Title, Bare: p.Bare, Reader: p.Reader}
	if p.Account {
		meta.Section = sectionAccount
	}
	return f.site.render(c, status, user, meta, content)
}

func (f loginFrame) LogRefusal(c *gin.Context, message string) { f.site.logRefusal(c, message) }

// Shorthands for what all pages do the same way.
var (
	actor    = login.Actor
	entry    = login.AuditEntry
	readForm = postform.Read
	seeOther = respond.SeeOther
)
