package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/httpapi/problem"
	"rollcall/privacy"
	"rollcall/storage"
)

// dataSubjects exports and erases the data of individual people.
type dataSubjects interface {
	Report(ctx context.Context, p storage.DataSubject, by storage.AuditEntry) (privacy.Report, error)
	Erase(ctx context.Context, p storage.DataSubject, by storage.AuditEntry) (privacy.Erasure, error)
}

// erasureTimeout bounds the search of import files for a person.
const erasureTimeout = 5 * time.Minute

// exportUser is GET /api/admin/users/{id}/export.
func (a *API) exportUser(c *gin.Context, by caller, id uuid.UUID) error {
	return a.withDataSubject(c, id, func(ctx context.Context, p storage.DataSubject) error {
		report, err := a.DataSubjects.Report(ctx, p, by.entry())
		if err != nil {
			return err
		}
		c.Header("Content-Disposition", "attachment; filename=user-"+p.UserID.String()+".json")
		return a.json(c, http.StatusOK, report)
	})
}

// eraseUser is DELETE /api/admin/users/{id}.
func (a *API) eraseUser(c *gin.Context, by caller, id uuid.UUID) error {
	return a.withDataSubject(c, id, func(ctx context.Context, p storage.DataSubject) error {
		erased, err := a.DataSubjects.Erase(ctx, p, by.entry())
		if busy, ok := errors.AsType[*privacy.BusyError](err); ok {
			return problem.New(problem.WrongState, "Import %s contains this person and has not finished. Wait for it, or cancel it.", busy.ImportID)
		}
		if errors.Is(err, storage.ErrLastAdmin) {
			return problem.New(problem.WrongState, "This is the last active administrator. Give another user the admin role first.")
		}
		if err != nil {
			return err
		}
		return a.json(c, http.StatusOK, erased)
	})
}

// withDataSubject acts on the user in the path, with the longer timeout that
// searching files needs.
func (a *API) withDataSubject(c *gin.Context, id uuid.UUID, do func(context.Context, storage.DataSubject) error) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), erasureTimeout)
	defer cancel()
	allowTime(c, erasureTimeout+writeTimeout)
	p, err := a.Store.DataSubject(ctx, id)
	if err != nil {
		return err
	}
	return do(ctx, p)
}
