package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"

	"github.com/gin-gonic/gin"

	"rollcall/internal/i18n"
	"rollcall/roster"
	"rollcall/web/respond"
)

//go:embed templates
var templateFiles embed.FS

const (
	layoutFile = "templates/layout.html"
	partFiles  = "templates/parts/*.html" // shared by several pages
)

// view is the content of one page: a struct with everything its template shows.
type view interface{ pageMeta() pageMeta }

// frame says how a view is presented.
type pageMeta struct {
	Template string      // file in templates, without ".html"
	Title    string      // of the page, without the brand
	Reader   i18n.Reader // of the page; zero: in English
	Section  section     // marked in the navigation; "" for none
	Refresh  int         // seconds after which the browser loads the page again; 0: never
	Bare     bool        // no navigation except sign-out, because no other page is allowed yet
}

// section is an entry of the navigation.
type section string

const (
	sectionUsers   section = "users"
	sectionImports section = "imports"

	sectionOnboarding section = "onboarding"

	sectionUpload   section = "upload"
	sectionSettings section = "settings"
	sectionAudit    section = "audit"
	sectionMail     section = "mail"
	sectionAccount  section = "account"
)

// layout is the data of the layout: a view in its frame.
type layout struct {
	pageMeta
	Brand      string
	Stylesheet string
	Script     string
	Icon       string
	User       *roster.User // the signed-in user, nil if no one is signed in
	HasMailbox bool
	View       any
}

// Plain reports whether the navigation is limited to what every user may see.
func (s layout) Plain() bool { return s.User != nil && s.User.Role != roster.RoleAdmin }

// Class is the page's name in stylesheets.
func (s layout) Class() string { return strings.ReplaceAll(s.Template, "_", "-") }

// templates maps the names of files to the parsed pages.
type templates map[string]*template.Template

func loadTemplates() (templates, error) {
	layout, err := template.New(path.Base(layoutFile)).Funcs(wording).ParseFS(templateFiles, layoutFile, partFiles)
	if err != nil {
		return nil, fmt.Errorf("load templates: %w", err)
	}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("load templates: %w", err)
	}
	pages := templates{}
	for _, file := range files {
		if file == layoutFile {
			continue
		}
		page, err := layout.Clone()
		if err == nil {
			page, err = page.ParseFS(templateFiles, file)
		}
		if err != nil {
			return nil, fmt.Errorf("load templates: %w", err)
		}
		pages[strings.TrimSuffix(path.Base(file), ".html")] = page
	}
	return pages, nil
}

// show answers with a page. It is rendered completely before the first byte is
// sent, so an error in a template still becomes an error page.
func (s *Site) show(c *gin.Context, status int, user *roster.User, v view) error {
	return s.render(c, status, user, v.pageMeta(), v)
}

func (s *Site) render(c *gin.Context, status int, user *roster.User, meta pageMeta, content any) error {
	page, ok := s.templates[meta.Template]
	if !ok {
		return fmt.Errorf("render page: no template %q", meta.Template)
	}
	var body bytes.Buffer
	if err := page.Execute(&body, layout{
		pageMeta: meta, Brand: s.deps.Brand, Stylesheet: s.assets.Stylesheet.Path, Script: s.assets.Script.Path, Icon: s.assets.Icon.Path,
		User: user, HasMailbox: s.deps.Mailbox != nil, View: content,
	}); err != nil {
		return fmt.Errorf("render page %s: %w", meta.Template, err)
	}
	respond.Extend(c)
	c.Data(status, "text/html; charset=utf-8", body.Bytes())
	return nil
}
