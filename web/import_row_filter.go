package web

import (
	"slices"
	"strconv"

	"rollcall/roster"
)

// rowFilter is what of a preview is shown, as the parameter show says it.
type rowFilter string

// The filters. All but showAll and showDisable are actions of rows.
const (
	showAll     rowFilter = "all"
	showDisable rowFilter = "disable" // users who are not in a full roster, instead of rows
	showFail              = rowFilter(roster.ActionFail)
)

// readRowFilter reads the parameter show. Without one, an import that is held
// shows the users it is held for. "errors" is an older name of "fail".
func readRowFilter(show string, i *roster.Import) rowFilter {
	switch f := rowFilter(show); {
	case f == "errors":
		return showFail
	case f == showAll, f == showDisable, f == showFail, slices.Contains(rowActions, roster.Action(f)):
		return f
	case i.Status == roster.Held:
		return showDisable
	}
	return showAll
}

// rowActions are what an import does with valid rows.
var rowActions = []roster.Action{roster.ActionCreate, roster.ActionUpdate, roster.ActionUnchanged}

// action is the action of the rows shown, "" for all rows.
func (f rowFilter) action() roster.Action {
	if f == showAll || f == showDisable {
		return ""
	}
	return roster.Action(f)
}

// rowFilterChoice is a filter to choose, with the number of rows or users it shows.
type rowFilterChoice struct {
	Label   string
	N       int64
	Path    string
	Current bool
}

// Filters are the filters that show anything, and always those for all and for
// failed rows. Their numbers are those of the check.
func (v previewView) Filters() []rowFilterChoice {
	create := "Will be imported"
	if v.Updates() {
		create = "New users"
	}
	var choices []rowFilterChoice
	for _, f := range []struct {
		filter rowFilter
		label  string
		n      int64
	}{
		{showAll, "All rows", v.Checked},
		{rowFilter(roster.ActionCreate), create, v.Plan.Create},
		{rowFilter(roster.ActionUpdate), "To be updated", v.Plan.Update},
		{rowFilter(roster.ActionUnchanged), "Unchanged", v.Plan.Unchanged},
		{showDisable, "To be disabled", v.Plan.Disable},
		{showFail, "Failed rows", v.Failed},
	} {
		if f.n > 0 || f.filter == showAll || f.filter == showFail || f.filter == v.Show {
			choices = append(choices, rowFilterChoice{f.label, f.n, v.rowsPath(f.filter, 0), f.filter == v.Show})
		}
	}
	return choices
}

// rowsPath is the path of the rows behind row after, or of the users behind that
// number.
func (v previewView) rowsPath(f rowFilter, after int64) string {
	show, page := string(f), ""
	if f == readRowFilter("", v.Import) {
		show = ""
	}
	if after > 0 {
		page = strconv.FormatInt(after, 10)
	}
	return pathWith(importPath(v.ID), "show", show, "after", page) + "#rows"
}

// NoRows says that a page has no rows.
func (v previewView) NoRows() string {
	more := ""
	if v.First != "" {
		more = "more "
	}
	switch v.Show {
	case showDisable:
		return "No " + more + "users to disable"
	case showFail:
		return "No " + more + "failed rows"
	case showAll:
		return "No " + more + "rows"
	}
	return "No " + more + "rows with this action"
}

// Users reports whether users are shown instead of rows.
func (v previewView) Users() bool { return v.Show == showDisable }
