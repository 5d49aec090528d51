package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/httpapi/header"
	"rollcall/httpapi/problem"
	"rollcall/privacy"
	"rollcall/storage"
)

// persons exports and erases single persons.
type persons interface {
	Report(ctx context.Context, p storage.Person, by storage.Entry) (privacy.Report, error)
	Erase(ctx context.Context, p storage.Person, by storage.Entry) (privacy.Erasure, error)
}

// searching is how long the files of imports may be searched for a person.
const searching = 5 * time.Minute

// exportUser is GET /api/admin/users/{id}/export.
func (a *API) exportUser(c *gin.Context, by caller, id uuid.UUID) error {
	return a.onPerson(c, id, func(ctx context.Context, p storage.Person) error {
		report, err := a.Persons.Report(ctx, p, by.entry())
		if err != nil {
			return err
		}
		c.Header("Content-Disposition", header.Disposition("user-"+p.UserID.String()+".json"))
		return a.json(c, http.StatusOK, report)
	})
}

// eraseUser is DELETE /api/admin/users/{id}.
func (a *API) eraseUser(c *gin.Context, by caller, id uuid.UUID) error {
	return a.onPerson(c, id, func(ctx context.Context, p storage.Person) error {
		erased, err := a.Persons.Erase(ctx, p, by.entry())
		if busy, ok := errors.AsType[*privacy.BusyError](err); ok {
			return problem.New(problem.WrongState, "The import %s names this person and has not ended: wait for it, or cancel it.", busy.ImportID)
		}
		if errors.Is(err, storage.ErrLastAdmin) {
			return problem.New(problem.WrongState, "This is the last active administrator. Make somebody else administrator first.")
		}
		if err != nil {
			return err
		}
		return a.json(c, http.StatusOK, erased)
	})
}

// onPerson does something to the person in the path, for as long as searching
// takes.
func (a *API) onPerson(c *gin.Context, id uuid.UUID, do func(context.Context, storage.Person) error) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), searching)
	defer cancel()
	allowTime(c, searching+answering)
	p, err := a.Store.Person(ctx, id)
	if err != nil {
		return err
	}
	return do(ctx, p)
}
