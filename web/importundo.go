package web

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/roster"
	"rollcall/storage"
)

// undoWait is how long an answer waits for an undo to finish.
const undoWait = 5 * time.Second

// undoView asks whether the users of an import are to be removed.
type undoView struct {
	*roster.Import
	storage.Undoable
}

func (v undoView) frame() frame {
	return frame{Template: "undo", Title: "Undo the import of " + v.Filename, Section: sectionImports}
}

// showUndo tells what an undo would remove.
func (s *Site) showUndo(c *gin.Context, admin *roster.User) error {
	id, err := importID(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	i, err := s.Store.Import(ctx, id)
	if err != nil {
		return err
	}
	if !i.Status.Ended() || i.Undo != nil {
		return storage.ErrWrongState
	}
	v := undoView{Import: i}
	if v.Undoable, err = s.Store.UndoPreview(ctx, id); err != nil {
		return err
	}
	return s.show(c, http.StatusOK, admin, v)
}

// undoImport removes the users that an import created and nobody has touched
// since. What takes too long goes on when asked again.
func (s *Site) undoImport(c *gin.Context, admin *roster.User) error {
	id, err := importID(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	undo, err := s.Store.AskUndo(ctx, id, entry(c, admin))
	for began := time.Now(); err == nil && undo.FinishedAt == nil && time.Since(began) < undoWait; {
		undo, err = s.Store.UndoStep(ctx, id)
	}
	if err != nil {
		return err
	}
	seeOther(c, importPath(id))
	return nil
}
