package web

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"

	"rollcall/httpapi/problem"
	"rollcall/jobs/importer"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
)

// Fields of the form of a row. Those of cells are followed by the column.
const (
	fieldCell       = "cell."
	fieldShown      = "shown." // the value that the cell had on the page
	fieldSuggestion = "suggestion."
	fieldTake       = "take" // the column of which the suggestion is taken
	fieldUndo       = "undo"
)

// shownSuggestions is how many suggestions are listed, and shownTied how many rows
// are sent to a page that has edited one.
const (
	shownSuggestions = 100
	shownTied        = 50
)

// suggestedView lists what the check suggests for cells.
type suggestedView struct {
	List []importer.Suggestion
	N    int64 // all of them
	Left int64 // rows with suggestions above the limit
}

// More is how many are not listed.
func (v suggestedView) More() int64 { return v.N - int64(len(v.List)) }

// addSuggestions adds the suggestions for cells, if the rows can be edited here.
func (s *Site) addSuggestions(c *gin.Context, v *previewView) error {
	if v.Failed == 0 || !v.Editable() {
		return nil
	}
	all, left, err := s.deps.RowEditor.Suggestions(c.Request.Context(), v.ID, "")
	v.Suggested = suggestedView{all[:min(len(all), shownSuggestions)], int64(len(all)), int64(left)}
	return err
}

// Editable reports whether failed rows are edited on the page. Beyond the limit the
// error report serves better.
func (v previewView) Editable() bool { return v.Failed <= storage.MaxRowEdits }

// EditQuery is the query of the page for the forms of rows, so that they lead back.
func (v previewView) EditQuery() string { return v.editQuery }

// editRow changes cells of a row, or undoes its edits. With the parameter part=rows
// the answer has only the rows that change by that.
func (s *Site) editRow(c *gin.Context, admin *roster.User) error {
	id, err := importID(c)
	if err != nil {
		return err
	}
	row, err := strconv.ParseInt(c.Param("row"), 10, 64)
	if err != nil || row < 1 {
		return storage.ErrNotFound
	}
	form, err := readForm(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	i, err := s.deps.Store.Import(ctx, id)
	if err != nil {
		return err
	}
	cells := importer.CellChanges{}
	for _, column := range i.Options.Columns() {
		name := string(column)
		value := form.Get(fieldCell + name)
		switch {
		case form.Get(fieldTake) == name:
			value = form.Get(fieldSuggestion + name)
		case form.Has(fieldUndo), !form.Has(fieldCell + name), form.Has(fieldShown+name) && form.Get(fieldShown+name) == value:
			continue
		}
		cells[column] = &value
	}
	if form.Has(fieldUndo) {
		edits, err := s.deps.Store.RowEdits(ctx, id)
		if err != nil {
			return err
		}
		for column := range edits[row].Cells {
			cells[column] = nil
		}
	}
	tied, err := s.deps.RowEditor.Edit(ctx, id, map[int64]importer.CellChanges{row: cells}, entry(c, admin))
	if err != nil {
		return s.failEdit(c, admin, i, err)
	}
	if c.Query("part") != "rows" {
		seeOther(c, pathWith(importPath(id), "show", c.Query("show"), "after", c.Query("after"))+"#row-"+strconv.FormatInt(row, 10))
		return nil
	}
	if i, err = s.deps.Store.Import(ctx, id); err != nil {
		return err
	}
	only := append([]int64{row}, tied[:min(len(tied), shownTied)]...)
	slices.Sort(only)
	return s.showPreviewRows(c, http.StatusOK, admin, i, "", only)
}

// editProblems are the problems of an edit that the page explains.
var editProblems = map[problem.Code]bool{problem.TooManyEdits: true, problem.NotEditable: true, problem.Code(roster.EmptyRoster): true}

// failEdit shows why a row could not be edited.
func (s *Site) failEdit(c *gin.Context, admin *roster.User, i *roster.Import, err error) error {
	detail := ""
	if refused, ok := errors.AsType[*importer.CellError](err); ok {
		detail = refused.Message
	} else if p := problem.From(err); editProblems[p.Code] || errors.Is(err, storage.ErrEditConflict) {
		detail = p.Detail
	}
	if detail == "" {
		return err
	}
	return s.showPreview(c, http.StatusConflict, admin, i, "Nothing was changed. "+detail)
}

// applySuggestions makes every suggestion the value of its cell.
func (s *Site) applySuggestions(c *gin.Context, admin *roster.User) error {
	id, err := importID(c)
	if err != nil {
		return err
	}
	if _, _, err := s.deps.RowEditor.ApplySuggestions(c.Request.Context(), id, "", entry(c, admin)); err != nil {
		i, readErr := s.deps.Store.Import(c.Request.Context(), id)
		if readErr != nil {
			return readErr
		}
		return s.failEdit(c, admin, i, err)
	}
	seeOther(c, pathWith(importPath(id), "show", c.Query("show")))
	return nil
}

// editCell is a cell that can be edited, and its row.
type editCell struct {
	Row  int64
	Cell previewCell
}

// edit adds to a row what is needed to edit it.
func (row *previewRow) edit(r report.Row) {
	whole := len(r.Problems) > 0 && r.Problems[0].Field == ""
	suggestions := map[roster.Column]string{}
	for _, p := range r.Problems {
		if suggestions[p.Field] == "" {
			suggestions[p.Field] = p.Suggestion
		}
	}
	for k := range row.Cells {
		cell := &row.Cells[k]
		if _, has := r.Values[cell.Column]; !has {
			continue
		}
		cell.Input, cell.Whole, cell.Suggestion = cell.Bad || whole, whole, suggestions[cell.Column]
		row.Editable = row.Editable || cell.Input
	}
}
