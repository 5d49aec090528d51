package web

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/roster"
	"rollcall/storage"
)

// undoWait is how long a response waits for an undo to finish.
const undoWait = 5 * time.Second

// undoView asks whether to take back what an import did.
type undoView struct {
	*roster.Import
	storage.UndoPreview
	Corrections []*roster.Import // later imports of its corrected rows, which are kept
}

func (v undoView) pageMeta() pageMeta {
	return pageMeta{Template: "import_undo", Title: "Undo the import of " + v.Filename, Section: sectionImports}
}

// Button is the label of the button that starts the undo.
func (v undoView) Button() string {
	switch {
	case v.Restore == 0:
		return "Remove " + counted(v.Remove, "user", "users")
	case v.Remove == 0:
		return "Restore " + counted(v.Restore, "user", "users")
	}
	return "Remove " + counted(v.Remove, "user", "users") + " and restore " + number(v.Restore)
}

// showUndo shows what an undo would remove and restore.
func (s *Site) showUndo(c *gin.Context, admin *roster.User) error {
	id, err := importID(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	i, err := s.deps.Store.Import(ctx, id)
	if err != nil {
		return err
	}
	if !i.Status.Ended() || i.Undo != nil {
		return storage.ErrWrongState
	}
	v := undoView{Import: i}
	if v.UndoPreview, err = s.deps.Store.UndoPreview(ctx, id); err != nil {
		return err
	}
	related, err := s.deps.Store.RelatedImports(ctx, id)
	if err != nil {
		return err
	}
	for _, later := range related.After {
		if later.SHA256 != i.SHA256 && later.Imported+later.Updated > 0 && !undone(later.Undo) {
			v.Corrections = append(v.Corrections, later)
		}
	}
	return s.show(c, http.StatusOK, admin, v)
}

// undoImport removes the users that an import created and restores those it
// changed, except those changed since. An undo that takes longer continues with the next request.
func (s *Site) undoImport(c *gin.Context, admin *roster.User) error {
	id, err := importID(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	undo, err := s.deps.Store.RequestUndo(ctx, id, entry(c, admin))
	for began := time.Now(); err == nil && undo.FinishedAt == nil && time.Since(began) < undoWait; {
		undo, err = s.deps.Store.UndoStep(ctx, id)
	}
	if err != nil {
		return err
	}
	seeOther(c, importPath(id))
	return nil
}
