package httpapi

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"rollcall/httpapi/problem"
	"rollcall/jobs/importer"
	"rollcall/roster"
	"rollcall/storage"
)

// editRow is PATCH …/imports/{id}/rows/{row}.
func (a *API) editRow(c *gin.Context, by caller, i *roster.Import) error {
	row, err := strconv.ParseInt(c.Param("row"), 10, 64)
	if err != nil || row < 1 {
		return storage.ErrNotFound
	}
	var cells importer.CellChanges
	if _, err := readBody(c, &cells, "application/merge-patch+json", "application/json"); err != nil {
		return err
	}
	if len(cells) == 0 {
		return problem.New(problem.InvalidParameter, `The body must name at least one column: {"email": "jane@example.com"}.`)
	}
	ctx := c.Request.Context()
	_, err = a.RowEditor.Edit(ctx, i.ID, map[int64]importer.CellChanges{row: cells}, by.entry())
	if refused, ok := errors.AsType[*importer.CellError](err); ok {
		return problem.Parameter(string(refused.Column), "%s", refused.Message)
	}
	if errors.Is(err, storage.ErrWrongState) {
		return problem.New(problem.WrongState, "Only rows of an import that is ready or held can be edited.")
	}
	if err != nil {
		return err
	}
	rows, _, err := a.Reports.Rows(ctx, i.ID, row-1, 1, false)
	if err != nil {
		return err
	}
	if len(rows) == 0 || rows[0].Row != row {
		return storage.ErrNotFound
	}
	c.JSON(http.StatusOK, viewRow(rows[0]))
	return nil
}

// suggestionsApplied is the answer of applySuggestions.
type suggestionsApplied struct {
	Applied int `json:"applied"` // rows changed
	Left    int `json:"left"`    // rows that have suggestions still, above the limit
}

// applySuggestions is POST …/imports/{id}/suggestions.
func (a *API) applySuggestions(c *gin.Context, by caller, i *roster.Import) error {
	var of struct {
		Reason roster.Code `json:"reason"`
	}
	if _, err := readJSON(c, &of); err != nil {
		return err
	}
	if of.Reason != "" && !roster.IsRowCode(of.Reason) {
		return problem.Parameter("reason", "reason must be the code of a row error.")
	}
	applied, left, err := a.RowEditor.ApplySuggestions(c.Request.Context(), i.ID, of.Reason, by.entry())
	if errors.Is(err, storage.ErrWrongState) {
		return problem.New(problem.WrongState, "Only rows of an import that is ready or held can be edited.")
	}
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, suggestionsApplied{applied, left})
	return nil
}
