package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
)

// shownPreview is how many rows of a file a page shows at a time.
const shownPreview = 50

// previewView shows what an import that waits to be confirmed will do.
type previewView struct {
	*roster.Import
	Problem    string // why the last try to confirm did not work, "" if none did
	Hints      []hint
	Reading    readingView
	Rows       []previewRow
	OnlyErrors bool
	First      string // path of the first page, "" if this is it
	Next       string // path of the next page, "" on the last
	Kin        storage.Kin
}

func (v previewView) frame() frame {
	return frame{Template: "preview", Title: "Import of " + v.Filename, Section: sectionImports}
}

// previewRow is a row of the file and what will happen to it.
type previewRow struct {
	Row      int64
	Cells    []previewCell // of the columns that mean something to us, in our order
	Verdict  report.Verdict
	Problems []roster.Problem
	Fix      string // "" for a good row
}

// previewCell is one value and whether it is at fault.
type previewCell struct {
	Column roster.Column
	Value  string
	Bad    bool
}

// Headline says in a few words what came of the check.
func (v previewView) Headline() string {
	if v.Valid == 0 {
		return "Checked: no row can be imported"
	}
	return "Checked: " + counted(v.Valid, "row", "rows") + " can be imported"
}

// Updates reports whether users who are already there may be changed.
func (v previewView) Updates() bool { return v.Options.OnDuplicate == roster.UpdateDuplicates }

// Button is what the button says that starts the import.
func (v previewView) Button() string {
	if v.Updates() {
		return "Import or update " + counted(v.Valid, "user", "users")
	}
	return "Import " + counted(v.Valid, "user", "users")
}

// Notes are the warnings that no hint speaks of.
func (v previewView) Notes() []roster.Warning {
	var notes []roster.Warning
	for _, w := range v.Warnings {
		if (w.Code == roster.WarnLikelyEncoding || w.Code == roster.WarnMixedEncodings) && v.hinted(fieldEncoding) {
			continue
		}
		if len(w.Mapping) > 0 {
			w.Message = ignoredColumns(w)
		}
		notes = append(notes, w)
	}
	return notes
}

// ignoredColumns says on the page what the warning's own words say to programs.
func ignoredColumns(w roster.Warning) string {
	var b strings.Builder
	fmt.Fprintf(&b, "These columns mean nothing to an import and are ignored: %s.", strings.Join(w.Columns, ", "))
	for _, column := range roster.Columns {
		if h, ok := w.Mapping[column]; ok {
			fmt.Fprintf(&b, " If “%s” holds the %s, choose it under “Read the file differently”.", h, column)
		}
	}
	return b.String()
}

func (v previewView) hinted(field string) bool {
	for _, h := range v.Hints {
		if h.Field == field {
			return true
		}
	}
	return false
}

// showPreview shows what an import will do. Parameters: show=errors for the
// rows with errors only; after, the last row of the page before; row, the row
// to begin at. A value that makes no sense is ignored.
func (s *Site) showPreview(c *gin.Context, status int, admin *roster.User, i *roster.Import, problem string) (err error) {
	ctx := c.Request.Context()
	v := previewView{Import: i, Problem: problem, OnlyErrors: c.Query("show") == "errors"}
	if v.Kin, err = s.Store.ImportKin(ctx, i.ID); err != nil {
		return err
	}
	if createdBy(i, admin) {
		layout, err := s.Store.ImportLayout(ctx, i.ID)
		if err != nil {
			return err
		}
		v.Reading = newReading(i, layout.Header)
		if v.Hints, err = s.previewHints(ctx, i); err != nil {
			return err
		}
	}
	if err := s.addRows(c, &v); err != nil {
		return err
	}
	return s.show(c, status, admin, v)
}

// addRows adds a page of rows.
func (s *Site) addRows(c *gin.Context, v *previewView) error {
	after, _ := strconv.ParseInt(c.Query("after"), 10, 64)
	if row, err := strconv.ParseInt(c.Query("row"), 10, 64); err == nil {
		after = row - 1
	}
	after = max(after, 0)
	rows, next, err := s.Reports.Rows(c.Request.Context(), v.ID, after, shownPreview, v.OnlyErrors)
	if err != nil {
		return err
	}
	for _, r := range rows {
		v.Rows = append(v.Rows, newPreviewRow(r))
	}
	show := ""
	if v.OnlyErrors {
		show = "errors"
	}
	if after > 0 {
		v.First = pathWith(importPath(v.ID), "show", show) + "#rows"
	}
	if next > 0 {
		v.Next = pathWith(importPath(v.ID), "show", show, "after", strconv.FormatInt(next, 10)) + "#rows"
	}
	return nil
}

func newPreviewRow(r report.Row) previewRow {
	row := previewRow{Row: r.Row, Verdict: r.Verdict, Problems: r.Problems}
	bad := map[roster.Column]bool{}
	for _, p := range r.Problems {
		bad[p.Field] = true
	}
	if len(r.Problems) > 0 {
		row.Fix = r.Problems[0].Code.RowFix()
	}
	for _, column := range roster.Columns {
		row.Cells = append(row.Cells, previewCell{column, roster.Shown(r.Values[column]), bad[column]})
	}
	return row
}

// confirmImport turns a dry run into the real thing. Fields: admins, the number
// of administrators-to-be that was agreed to; send_invitations, true or false.
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
	i, err := s.Store.Import(ctx, id)
	switch {
	case err != nil:
		return err
	case i.Status != roster.Ready || i.Valid == 0:
		return storage.ErrWrongState
	case i.Admins > 0 && form.Get("admins") != strconv.FormatInt(i.Admins, 10):
		return s.showPreview(c, http.StatusUnprocessableEntity, admin, i,
			"Nothing was imported: tick the box that says how many people become administrators.")
	}
	if choice := form.Get(fieldInvitations); choice != "" {
		if err := s.Store.ChooseInvitations(ctx, id, choice == "true", entry(c, admin)); err != nil {
			return err
		}
	}
	dispatch, err := s.Store.ConfirmImport(ctx, id, entry(c, admin))
	if err != nil {
		return err
	}
	s.ring(c, id, dispatch)
	s.awaitWork(ctx, id)
	seeOther(c, importPath(id))
	return nil
}
