package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/roster"
	"rollcall/storage"
)

// shownUndelivered is how many failed, and how many bounced, invitations an import's
// page shows.
const shownUndelivered = 20

// importView shows one import that is in progress or has ended.
type importView struct {
	*roster.Import
	Errors  rowErrorsView
	Related storage.RelatedImports
	Mail    storage.MailState
	Undo    *storage.Undo // nil if none was asked for

	// Undelivered are the newest users whose invitation failed, and whose bounced.
	Undelivered []undelivered

	linkLife time.Duration // of an invitation
	maxBytes int64         // of a corrected report
	now      time.Time
}

// undelivered are some of an import's users whose invitation failed or bounced.
type undelivered struct {
	Status roster.InvitationStatus
	Users  []*roster.User
}

func (v importView) pageMeta() pageMeta {
	f := pageMeta{Template: "import_view", Title: "Import of " + v.Filename, Section: sectionImports}
	switch {
	case v.Status.Working():
		f.Refresh = 2
	case v.Live():
		f.Refresh = 5
	}
	return f
}

// isActive reports whether an import changes without a request.
func isActive(i *roster.Import) bool {
	return i.Status.Working() || i.Status.Ended() && i.Invitations.Pending > 0
}

// Live reports whether the page follows the import.
func (v importView) Live() bool { return isActive(v.Import) }

// Headline summarizes the state of the import.
func (v importView) Headline() string {
	if v.Undone() {
		text := "Import undone: " + counted(v.Undo.Removed, "user", "users") + " removed"
		if v.Undo.Restored > 0 {
			text += ", " + number(v.Undo.Restored) + " restored"
		}
		return text
	}
	switch v.Status {
	case roster.Queued:
		return "Queued"
	case roster.Checking:
		return "Checking the file"
	case roster.Importing:
		return "Importing"
	case roster.Canceled:
		return "Canceled: " + v.written()
	}
	if v.Failed == 0 {
		return v.written()
	}
	return v.written() + ", " + counted(v.Failed, "row", "rows") + " failed"
}

// Undone reports whether nothing of the import is left.
func (v importView) Undone() bool { return undone(v.Import.Undo) }

// written says how many users the import has created or updated.
func (v importView) written() string {
	text := counted(v.Imported, "user", "users") + " imported"
	if v.Updated > 0 {
		text += ", " + number(v.Updated) + " updated"
	}
	if v.Disabled > 0 {
		text += ", " + number(v.Disabled) + " disabled"
	}
	if v.Unchanged > 0 {
		text += ", " + number(v.Unchanged) + " unchanged"
	}
	return text
}

// Done is how much of the current work is done.
func (v importView) Done() int64 { return done(v.Import) }

// All is the total that Done counts up to, 0 while it is not known.
func (v importView) All() int64 { return all(v.Import) }

func done(i *roster.Import) int64 {
	if i.Status == roster.Importing {
		return i.Processed
	}
	return i.Checked
}

func all(i *roster.Import) int64 {
	if i.Total == nil {
		return 0
	}
	return *i.Total
}

// Read reports whether the file has been read to its end at least once.
func (v importView) Read() bool { return v.Total != nil }

// HasReport reports whether there are failed rows to download.
func (v importView) HasReport() bool { return !v.Purged() && v.Failed > 0 && v.Status.Ended() }

// HasResults reports whether any rows have a result.
func (v importView) HasResults() bool { return !v.Purged() && v.Status.Ended() }

// Corrections is the form for the corrected error report.
func (v importView) Corrections() uploadView {
	return uploadView{Corrects: v.Import, MaxBytes: v.maxBytes}
}

// Invited is how many invitations there are.
func (v importView) Invited() int64 {
	n := v.Invitations
	return n.Held + n.Pending + n.Sent + n.Failed + n.Bounced + n.Accepted
}

// Mailed says how many invitations were sent.
func (v importView) Mailed() string {
	return number(v.Invitations.Sent+v.Invitations.Accepted) + " of " + counted(v.Invited(), "invitation", "invitations") + " sent"
}

// Resend is the label of the button that sends new links, "" if no user needs
// one. Queued invitations need none: they are about to be sent.
func (v importView) Resend() string {
	n := v.Invitations
	switch {
	case !v.Status.Ended():
	case n.Held > 0:
		return "Send " + counted(n.Held, "invitation", "invitations") + " now"
	case n.Failed > 0:
		return "Resend " + counted(n.Failed, "failed invitation", "failed invitations")
	case n.Pending == 0 && n.Sent > 0 && v.now.Sub(*v.FinishedAt) > v.linkLife:
		return "Resend expired invitations"
	}
	return ""
}

// ResendBounced is the label of the button that also sends new links to those whose
// mail bounced, "" if there are none, or others wait for their first one.
func (v importView) ResendBounced() string {
	n := v.Invitations
	switch {
	case !v.Status.Ended() || n.Held > 0 || n.Bounced == 0:
		return ""
	case n.Failed > 0:
		return "Resend all failed and bounced invitations"
	}
	return "Resend " + counted(n.Bounced, "bounced invitation", "bounced invitations")
}

// HasUsers reports whether there are users that the import created.
func (v importView) HasUsers() bool { return v.Imported > 0 && (v.Undo == nil || v.Undo.Kept > 0) }

// CanUndo reports whether there may be users to remove or restore.
func (v importView) CanUndo() bool {
	return v.Status.Ended() && v.Imported+v.Updated+v.Disabled > 0 && v.Undo == nil
}

// showImport shows one import: the preview of what it will do, why its file
// could not be used, or its progress and result.
func (s *Site) showImport(c *gin.Context, admin *roster.User) error {
	id, err := importID(c)
	if err != nil {
		return err
	}
	i, err := s.deps.Store.Import(c.Request.Context(), id)
	if err != nil {
		return err
	}
	switch i.Status {
	case roster.Ready, roster.Held:
		return s.showPreview(c, http.StatusOK, admin, i, "")
	case roster.Failed:
		return s.showUnusable(c, http.StatusOK, admin, i, "")
	}
	return s.showProgress(c, admin, i)
}

// showProgress shows an import that is in progress or has ended. Parameters:
// those of readRowErrors.
func (s *Site) showProgress(c *gin.Context, admin *roster.User, i *roster.Import) (err error) {
	ctx := c.Request.Context()
	v := importView{Import: i, linkLife: s.deps.InvitationTTL, maxBytes: s.deps.MaxUploadBytes, now: time.Now()}
	if v.Related, err = s.deps.Store.RelatedImports(ctx, i.ID); err != nil {
		return err
	}
	if v.Errors, err = s.readRowErrors(c, i); err != nil {
		return err
	}
	if i.Invitations.Pending > 0 {
		if v.Mail, err = s.deps.Store.MailState(ctx); err != nil {
			return err
		}
	}
	if v.Undelivered, err = s.undelivered(ctx, i); err != nil {
		return err
	}
	undo, err := s.deps.Store.UndoState(ctx, i.ID)
	if err == nil {
		v.Undo = &undo
	} else if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	return s.show(c, http.StatusOK, admin, v)
}

func (s *Site) undelivered(ctx context.Context, i *roster.Import) (all []undelivered, err error) {
	for status, n := range map[roster.InvitationStatus]int64{
		roster.InvitationFailed: i.Invitations.Failed, roster.InvitationBounced: i.Invitations.Bounced,
	} {
		if n == 0 {
			continue
		}
		users, err := s.deps.Store.Users(ctx, storage.UserFilter{ImportID: i.ID, Invitation: status, Limit: shownUndelivered})
		if err != nil {
			return nil, err
		}
		if len(users) > 0 {
			all = append(all, undelivered{status, users})
		}
	}
	slices.SortFunc(all, func(a, b undelivered) int { return strings.Compare(string(b.Status), string(a.Status)) }) // failed first
	return all, nil
}
