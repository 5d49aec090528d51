package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/roster"
)

//go:embed templates
var templateFiles embed.FS

const (
	layoutFile = "templates/layout.html"
	partFiles  = "templates/parts/*.html" // what several pages have in them
)

// view is the content of one page: a struct of its own with all its template
// shows.
type view interface{ frame() frame }

// frame says how a view is framed.
type frame struct {
	Template string  // file in templates, without ".html"
	Title    string  // of the page, without the brand
	Section  section // marked in the navigation; "" for none
	Refresh  int     // seconds after which the browser loads the page again; 0: never
	Bare     bool    // leads nowhere but out: nothing else opens yet
}

// section is an entry of the navigation.
type section string

const (
	sectionUsers    section = "users"
	sectionImports  section = "imports"
	sectionUpload   section = "upload"
	sectionSettings section = "settings"
	sectionAudit    section = "audit"
	sectionMail     section = "mail"
	sectionAccount  section = "account"
)

// shell is what the layout shows: a view in its frame.
type shell struct {
	frame
	Brand      string
	Stylesheet string
	Script     string
	Icon       string
	User       *roster.User // who is signed in, nil for nobody
	HasMailbox bool
	View       view
}

// Plain reports whether the navigation shows only what everybody may see.
func (s shell) Plain() bool { return s.User != nil && s.User.Role != roster.RoleAdmin }

// templates are the parsed pages by the name of their file.
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

// show answers with a page. It is rendered whole before the first byte goes
// out, so a fault in a template is a proper error.
func (s *Site) show(c *gin.Context, status int, user *roster.User, v view) error {
	frame := v.frame()
	page, ok := s.templates[frame.Template]
	if !ok {
		return fmt.Errorf("render page: no template %q", frame.Template)
	}
	var body bytes.Buffer
	if err := page.Execute(&body, shell{
		frame: frame, Brand: s.Brand, Stylesheet: s.assets.Stylesheet.Path, Script: s.assets.Script.Path, Icon: s.assets.Icon.Path,
		User: user, HasMailbox: s.Mailbox != nil, View: v,
	}); err != nil {
		return fmt.Errorf("render page %s: %w", frame.Template, err)
	}
	allowAnswer(c)
	c.Data(status, "text/html; charset=utf-8", body.Bytes())
	return nil
}

// allowAnswer gives the client [writeTimeout] for the answer, however long it
// took to come to it: an upload may have taken an hour.
func allowAnswer(c *gin.Context) {
	// Not supported: then there is no deadline to move.
	_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(writeTimeout))
}
