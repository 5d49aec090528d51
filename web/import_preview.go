package web

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
)

// shownPreview is how many rows of a file a page shows at a time.
const shownPreview = 50

// previewView shows what an unconfirmed import will do.
type previewView struct {
	*roster.Import
	Problem      string // why the last attempt to confirm failed, "" if none did
	Hints        []suggestion
	FileSettings fileSettingsView
	Roles        rolesView
	Profile      profileView
	NewAdmins    adminRows             // who become administrators
	LostAdmins   adminRows             // who cease to be
	Show         rowFilter             // the rows that are shown
	Missing      []storage.MissingUser // the users shown instead of rows, if those to be disabled are
	Columns      []roster.Column       // of the rows: those of the template, and what else the file has
	Rows         []previewRow
	Suggested    suggestedView
	First        string // path of the first page, "" if this is it
	Next         string // path of the next page, "" on the last
	Related      storage.RelatedImports
	Tell         string // address that can be told when the import ends
	TellOn       bool   // whether it is, unless its owner says otherwise

	editQuery string
}

func (v previewView) pageMeta() pageMeta {
	return pageMeta{Template: "import_preview", Title: "Import of " + v.Filename, Section: sectionImports}
}

// previewRow is a row of the file and its planned action.
type previewRow struct {
	Row      int64
	Cells    []previewCell // of the columns that mean something to us, in our order
	Action   roster.Action
	Problems []roster.Problem
	Fix      string // "" for a valid row
	Editable bool   // some of the cells are inputs
	Edited   bool   // some cells are not as in the file
}

// previewCell is one value and whether it is invalid.
type previewCell struct {
	Column roster.Column
	Value  string
	Bad    bool
	Was    string // what the user has now, if the row changes it; "(empty)" for nothing
	Empty  string // what a blank cell means, "" if there is nothing to say

	Input      bool   // it can be edited
	Whole      bool   // so that the row can be read at all: the file's value is not used
	Suggestion string // the value probably meant, "" for none
	Edited     bool   // it is not as in the file
	InFile     string // what it is there
}

// Headline summarizes the result of the check.
func (v previewView) Headline() string {
	if v.Status == roster.Held {
		return "This import is held"
	}
	if v.Valid == 0 {
		return "No rows can be imported"
	}
	return counted(v.Valid, "row", "rows") + " can be imported"
}

// Updates reports whether existing users may be changed.
func (v previewView) Updates() bool { return v.Options.OnDuplicate == roster.UpdateDuplicates }

// Button is the label of the button that starts the import: what it will do.
func (v previewView) Button() string {
	var parts []string
	for _, part := range []struct {
		verb string
		n    int64
	}{{"import", v.Plan.Create}, {"update", v.Plan.Update}, {"disable", v.Plan.Disable}} {
		switch {
		case part.n == 0:
		case len(parts) == 0:
			parts = append(parts, part.verb+" "+counted(part.n, "user", "users"))
		default:
			parts = append(parts, part.verb+" "+number(part.n))
		}
	}
	if len(parts) == 0 {
		return "Finish without changes"
	}
	last := len(parts) - 1
	text := parts[last]
	if last > 0 {
		text = strings.Join(parts[:last], ", ") + " and " + text
	}
	if v.Held() {
		return "Approve: " + text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// showPreview shows what an import will do. Parameters: show, the rows to show;
// after, the last row of the previous page; row, the row to start at. Invalid
// values are ignored.
func (s *Site) showPreview(c *gin.Context, status int, admin *roster.User, i *roster.Import, problem string) error {
	return s.showPreviewRows(c, status, admin, i, problem, nil)
}

// showPreviewRows is showPreview with these rows instead of a page of them; nil: a
// page.
func (s *Site) showPreviewRows(c *gin.Context, status int, admin *roster.User, i *roster.Import, problem string, only []int64) (err error) {
	ctx := c.Request.Context()
	v := previewView{Import: i, Problem: problem, Show: readRowFilter(c.Query("show"), i), Tell: admin.Email}
	v.TellOn = i.Valid > rowsInAMinute || isTold(i, admin)
	v.editQuery = pathWith("", "show", c.Query("show"), "after", c.Query("after"))
	if v.Related, err = s.deps.Store.RelatedImports(ctx, i.ID); err != nil {
		return err
	}
	if createdBy(i, admin) {
		layout, err := s.deps.Store.ImportLayout(ctx, i.ID)
		if err != nil {
			return err
		}
		v.FileSettings, v.Roles = newFileSettings(i, layout.Header), newRoles(i)
		if v.Profile, err = s.newProfileView(c, i, layout.Header); err != nil {
			return err
		}
		if v.Hints, err = s.previewHints(ctx, i); err != nil {
			return err
		}
	}
	if i.Plan.AdminsGained+i.Plan.AdminsLost > 0 {
		gained, lost, err := s.deps.Reports.AdminRows(ctx, i.ID)
		if err != nil {
			return err
		}
		v.NewAdmins, v.LostAdmins = newAdminRows(gained, i.Plan.AdminsGained), newAdminRows(lost, i.Plan.AdminsLost)
	}
	switch {
	case only != nil:
		var rows []report.Row
		rows, err = s.deps.Reports.RowsNumbered(ctx, i.ID, only)
		v.setRows(rows)
	case v.Show == showDisable:
		err = s.addMissing(c, &v)
	default:
		err = s.addRows(c, &v)
	}
	if err != nil {
		return err
	}
	if err := s.addSuggestions(c, &v); err != nil {
		return err
	}
	return s.show(c, status, admin, v)
}

// addRows adds a page of rows.
func (s *Site) addRows(c *gin.Context, v *previewView) error {
	after := afterParameter(c)
	if row, err := strconv.ParseInt(c.Query("row"), 10, 64); err == nil {
		after = max(row-1, 0)
	}
	var rows []report.Row
	var next int64
	var err error
	if action := v.Show.action(); action == "" {
		rows, next, err = s.deps.Reports.Rows(c.Request.Context(), v.ID, after, shownPreview, false)
	} else {
		rows, next, err = s.deps.Reports.RowsByAction(c.Request.Context(), v.ID, action, after, shownPreview)
	}
	if err != nil {
		return err
	}
	v.setRows(rows)
	if after > 0 {
		v.First = v.rowsPath(v.Show, 0)
	}
	if next > 0 {
		v.Next = v.rowsPath(v.Show, next)
	}
	return nil
}

// setRows sets the rows to show.
func (v *previewView) setRows(rows []report.Row) {
	v.Columns = shownColumns(rows, v.Options.Columns())
	for _, r := range rows {
		row := newPreviewRow(r, v.Columns, v.Options.Blank)
		if v.Editable() {
			row.edit(r)
		}
		v.Rows = append(v.Rows, row)
	}
}

// afterParameter is the parameter after as a number, 0 if there is none.
func afterParameter(c *gin.Context) int64 {
	after, _ := strconv.ParseInt(c.Query("after"), 10, 64)
	return max(after, 0)
}

// shownColumns are those of the template and what else the file has.
func shownColumns(rows []report.Row, all []roster.Column) []roster.Column {
	columns := roster.TemplateColumns()
	for _, column := range all[len(columns):] {
		if len(rows) > 0 {
			if _, has := rows[0].Values[column]; has {
				columns = append(columns, column)
			}
		}
	}
	return columns
}

func newPreviewRow(r report.Row, columns []roster.Column, blank roster.Blank) previewRow {
	row := previewRow{Row: r.Row, Action: r.Action, Problems: r.Problems}
	existing := r.Verdict == report.Update
	bad := map[roster.Column]bool{}
	for _, p := range r.Problems {
		bad[p.Field] = true
	}
	if len(r.Problems) > 0 {
		row.Fix = r.Problems[0].Advice()
	}
	for _, column := range columns {
		cell := previewCell{Column: column, Value: roster.TruncateValue(r.Values[column]), Bad: bad[column], Was: valueBefore(r, column)}
		if column == roster.ColumnRole && existing && !r.RoleGiven {
			cell.Value = ""
		}
		switch {
		case !existing || cell.Value != "" || cell.Bad:
		case cell.Was != "":
			cell.Empty = "cleared"
		case column != roster.ColumnDepartment && column != roster.ColumnLocale || blank != roster.BlankClear:
			cell.Empty = "unchanged"
		}
		if edit, edited := r.Edits[column]; edited {
			cell.Edited, cell.InFile, row.Edited = true, edit.From, true
		}
		row.Cells = append(row.Cells, cell)
	}
	return row
}

func valueBefore(r report.Row, column roster.Column) string {
	change, changes := r.Changes[column]
	if !changes {
		return ""
	}
	return cmp.Or(change.From, "(empty)")
}

// confirmImport turns a dry run into the real thing. Fields: admins, admins_lost
// and allow_disable, the numbers that were agreed to of those who become
// administrators, who cease to be, and who are disabled; send_invitations, true
// or false; notify, true to be told by mail when the import ends.
func (s *Site) confirmImport(c *gin.Context, admin *roster.User) error {
	id, err := importID(c)
	if err != nil {
		return err
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
	if i.Status != roster.Ready && i.Status != roster.Held || i.Valid == 0 {
		return storage.ErrWrongState
	}
	if missing := missingConsent(form, i); missing != "" {
		return s.showPreview(c, http.StatusUnprocessableEntity, admin, i, "Nothing was imported. "+missing)
	}
	if i.Plan.AdminsGained+i.Plan.AdminsLost > 0 {
		if ok, err := s.confirmIdentity(c, admin, "import administrators", importPath(id)); err != nil || !ok {
			return err
		}
	}
	if choice := form.Get(fieldInvitations); choice != "" {
		if err := s.deps.Store.SetSendInvitations(ctx, id, choice == "true", entry(c, admin)); err != nil {
			return err
		}
	}
	if err := s.setNotify(ctx, i, admin, form.Get("notify") == "true"); err != nil {
		return err
	}
	dispatch, err := s.deps.Store.ConfirmImport(ctx, id, storage.Approval{AllowDisable: &i.Plan.Disable, Admin: true}, entry(c, admin))
	if err != nil {
		return err
	}
	s.enqueue(c, id, dispatch)
	s.awaitWork(ctx, id)
	seeOther(c, importPath(id))
	return nil
}

// rowsInAMinute is how many rows a small machine imports in a minute: the
// box for a mail at the end is ticked for larger imports.
const rowsInAMinute = 300_000

// isTold reports whether an administrator is told when an import ends.
func isTold(i *roster.Import, admin *roster.User) bool {
	_, key, err := roster.ParseEmail(admin.Email)
	return err == nil && slices.Contains(i.Options.Notify, key)
}

// setNotify stores whether the administrator wants to be told when the import ends.
func (s *Site) setNotify(ctx context.Context, i *roster.Import, admin *roster.User, tell bool) error {
	_, key, err := roster.ParseEmail(admin.Email)
	if err != nil || tell == isTold(i, admin) {
		return nil
	}
	return s.deps.Store.SetNotify(ctx, i.ID, key, tell)
}

// missingConsent says what has yet to be agreed to, "" for nothing.
func missingConsent(form url.Values, i *roster.Import) string {
	switch {
	case !agreed(form, "admins", i.Plan.AdminsGained):
		return "Select the checkbox to confirm the new administrators."
	case !agreed(form, "admins_lost", i.Plan.AdminsLost):
		return "Select the checkbox to confirm who is no longer an administrator."
	case agreed(form, "allow_disable", i.Plan.Disable):
		return ""
	case i.Status == roster.Held:
		return "To approve, enter the number of users who will be disabled: " + strconv.FormatInt(i.Plan.Disable, 10) + "."
	}
	return "Select the checkbox to confirm who will be disabled."
}

// agreed reports whether this very number was agreed to; no number needs no
// consent.
func agreed(form url.Values, field string, n int64) bool {
	return n == 0 || strings.TrimSpace(form.Get(field)) == strconv.FormatInt(n, 10)
}
