package web

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// importsView lists imports, newest first.
type importsView struct {
	Imports []*roster.Import
	Later   bool   // not the first page
	Older   string // path of the next page, "" on the last
}

func (v importsView) pageMeta() pageMeta {
	f := pageMeta{Template: "import_list", Title: "Imports", Section: sectionImports}
	if v.Live() {
		f.Refresh = 5
	}
	return f
}

// Live reports whether anything on the list may still change.
func (v importsView) Live() bool {
	for _, i := range v.Imports {
		if isActive(i) {
			return true
		}
	}
	return false
}

// listImports shows a page of imports. Parameter: after, the id of the last
// import of the previous page.
func (s *Site) listImports(c *gin.Context, admin *roster.User) error {
	filter := storage.ImportFilter{Limit: listSize + 1}
	var v importsView
	if id, err := uuid.Parse(c.Query("after")); err == nil {
		filter.After, v.Later = id, true
	}
	imports, err := s.deps.Store.Imports(c.Request.Context(), filter)
	if err != nil {
		return err
	}
	v.Imports = imports
	if len(imports) > listSize {
		v.Imports = imports[:listSize]
		v.Older = pathWith("/admin/imports", "after", v.Imports[listSize-1].ID.String())
	}
	return s.show(c, http.StatusOK, admin, v)
}

// importID is the import named in the path.
func importID(c *gin.Context) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Param("id"))
	if err != nil {
		return uuid.Nil, storage.ErrNotFound
	}
	return id, nil
}

func importPath(id uuid.UUID) string { return "/admin/imports/" + id.String() }

// cancelImport stops an import; rows already imported are kept.
func (s *Site) cancelImport(c *gin.Context, admin *roster.User) error {
	id, err := importID(c)
	if err != nil {
		return err
	}
	if err := s.deps.Store.CancelImport(c.Request.Context(), id, entry(c, admin)); err != nil {
		return err
	}
	seeOther(c, importPath(id))
	return nil
}

// resendInvitations sends new links to all users of an import who have no
// working one. Those whose mail bounced only get one if the form says so.
func (s *Site) resendInvitations(c *gin.Context, admin *roster.User) error {
	id, err := importID(c)
	if err != nil {
		return err
	}
	form, err := readForm(c)
	if err != nil {
		return err
	}
	if _, err := s.deps.Store.ResendInvitations(c.Request.Context(), id, form.Get("bounced") == "true", entry(c, admin)); err != nil {
		return err
	}
	seeOther(c, importPath(id)+"#invitations")
	return nil
}
