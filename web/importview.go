package web

import (
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
)

// How many rows an import's page shows at a time.
const (
	shownRefusals = 25
	shownPreview  = 10
)

// importView shows one import.
type importView struct {
	*roster.Import
	Refusals []roster.Refusal // of this page, in row order
	First    string           // path of the first page of refusals, "" if this is it
	Next     string           // path of the next page, "" on the last
	Preview  []previewRow     // the first rows, while the import waits to be confirmed
	Mail     storage.MailState
}

// previewRow is a row of the file and what will happen to it.
type previewRow struct {
	Row                           int64
	Name, Email, Role, Department string
	Verdict                       report.Verdict
}

func (v importView) frame() frame {
	f := frame{Template: "import", Title: "Import of " + v.Filename, Section: sectionImports}
	switch {
	case v.Status.Working():
		f.Refresh = 2
	case v.Invitations.Pending > 0:
		f.Refresh = 5
	}
	return f
}

// Headline says in a few words where the import stands.
func (v importView) Headline() string {
	switch v.Status {
	case roster.Queued:
		return "Waiting for its turn"
	case roster.Checking:
		return "Checking the file"
	case roster.Ready:
		if v.Valid == 0 {
			return "Checked: no row can be imported"
		}
		return "Checked: " + counted(v.Valid, "row", "rows") + " can be imported"
	case roster.Importing:
		return "Importing"
	case roster.Completed:
		return v.written() + ", " + counted(v.Failed, "row", "rows") + " failed"
	case roster.Canceled:
		return "Canceled: " + v.written()
	}
	return "The file could not be imported"
}

// written says how many users the import has made or changed.
func (v importView) written() string {
	text := counted(v.Imported, "user", "users") + " imported"
	if v.Updated > 0 {
		text += ", " + number(v.Updated) + " updated"
	}
	return text
}

// Done and All are how far the work under way has come; All is 0 while that is
// not known.
func (v importView) Done() int64 {
	if v.Status == roster.Importing {
		return v.Processed
	}
	return v.Checked
}

// All is what Done leads to.
func (v importView) All() int64 {
	if v.Total == nil {
		return 0
	}
	return *v.Total
}

// Read reports whether the file has been read to its end at least once.
func (v importView) Read() bool { return v.Total != nil }

// CanConfirm reports whether there is something to import on request.
func (v importView) CanConfirm() bool { return v.Status == roster.Ready && v.Valid > 0 }

// CanCancel reports whether the import has not ended.
func (v importView) CanCancel() bool { return !v.Status.Ended() }

// HasReport reports whether there are refused rows to download.
func (v importView) HasReport() bool {
	return !v.Purged() && v.Failed > 0 && (v.Status.Ended() || v.Status == roster.Ready)
}

// HasResults reports whether rows have met their end.
func (v importView) HasResults() bool {
	return !v.Purged() && (v.Status == roster.Completed || v.Status == roster.Canceled)
}

// Invited is how many invitations there are.
func (v importView) Invited() int64 {
	n := v.Invitations
	return n.Held + n.Pending + n.Sent + n.Failed + n.Accepted
}

// CanResend reports whether invitations wait for somebody to ask for them.
func (v importView) CanResend() bool {
	return v.Status.Ended() && v.Invitations.Held+v.Invitations.Failed > 0
}

// showImport shows one import. Parameter: after, the last refused row of the
// page before.
func (s *Site) showImport(c *gin.Context, admin *roster.User) error {
	id, err := importID(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	i, err := s.Store.Import(ctx, id)
	if err != nil {
		return err
	}
	v := importView{Import: i}
	after, _ := strconv.ParseInt(c.Query("after"), 10, 64)
	if err := s.addRefusals(c, &v, after); err != nil {
		return err
	}
	if i.Status == roster.Ready && after == 0 {
		if err := s.addPreview(c, &v); err != nil {
			return err
		}
	}
	if v.Invitations.Pending > 0 {
		if v.Mail, err = s.Store.MailState(ctx); err != nil {
			return err
		}
	}
	return s.show(c, http.StatusOK, admin, v)
}

// addRefusals adds the page of refused rows behind row after.
func (s *Site) addRefusals(c *gin.Context, v *importView, after int64) error {
	refusals, err := s.Store.Refusals(c.Request.Context(), v.ID, after, shownRefusals+1)
	if err != nil {
		return err
	}
	v.Refusals = refusals
	if after > 0 {
		v.First = importPath(v.ID)
	}
	if len(refusals) > shownRefusals {
		v.Refusals = refusals[:shownRefusals]
		last := v.Refusals[shownRefusals-1].Row
		v.Next = pathWith(importPath(v.ID), "after", strconv.FormatInt(last, 10)) + "#refused"
	}
	return nil
}

// addPreview adds the first rows of the file.
func (s *Site) addPreview(c *gin.Context, v *importView) error {
	rows, _, err := s.Reports.Rows(c.Request.Context(), v.ID, 0, shownPreview, false)
	if err != nil {
		return err
	}
	for _, r := range rows {
		v.Preview = append(v.Preview, previewRow{
			Row: r.Row, Verdict: r.Verdict, Name: r.Values[roster.ColumnName], Email: r.Values[roster.ColumnEmail],
			Role: r.Values[roster.ColumnRole], Department: r.Values[roster.ColumnDepartment],
		})
	}
	return nil
}
