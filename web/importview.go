package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/roster"
	"rollcall/storage"
)

// shownBounces is how many failed invitations an import's page shows.
const shownBounces = 20

// importView shows one import that is being worked on or has ended.
type importView struct {
	*roster.Import
	Errors  refusalsView
	Kin     storage.Kin
	Mail    storage.MailState
	Bounces []*roster.User // the newest whose invitation failed
	Undo    *storage.Undo  // nil if none was asked for

	linkLife time.Duration // of an invitation
	maxBytes int64         // of a mended report
	now      time.Time
}

func (v importView) frame() frame {
	f := frame{Template: "import", Title: "Import of " + v.Filename, Section: sectionImports}
	switch {
	case v.Status.Working():
		f.Refresh = 2
	case v.Live():
		f.Refresh = 5
	}
	return f
}

// moving reports whether an import changes without anybody asking for it.
func moving(i *roster.Import) bool {
	return i.Status.Working() || i.Status.Ended() && i.Invitations.Pending > 0
}

// Live reports whether the page follows the import.
func (v importView) Live() bool { return moving(v.Import) }

// Headline says in a few words where the import stands.
func (v importView) Headline() string {
	switch v.Status {
	case roster.Queued:
		return "Waiting for its turn"
	case roster.Checking:
		return "Checking the file"
	case roster.Importing:
		return "Importing"
	case roster.Canceled:
		return "Canceled: " + v.written()
	}
	return v.written() + ", " + counted(v.Failed, "row", "rows") + " failed"
}

// written says how many users the import has made or changed.
func (v importView) written() string {
	text := counted(v.Imported, "user", "users") + " imported"
	if v.Updated > 0 {
		text += ", " + number(v.Updated) + " updated"
	}
	return text
}

// Done is how far the work under way has come.
func (v importView) Done() int64 { return done(v.Import) }

// All is what Done leads to, 0 while that is not known.
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

// HasReport reports whether there are refused rows to download.
func (v importView) HasReport() bool { return !v.Purged() && v.Failed > 0 && v.Status.Ended() }

// HasResults reports whether rows have met their end.
func (v importView) HasResults() bool { return !v.Purged() && v.Status.Ended() }

// Mended is the form for the mended error report.
func (v importView) Mended() uploadView { return uploadView{Mends: v.Import, MaxBytes: v.maxBytes} }

// Invited is how many invitations there are.
func (v importView) Invited() int64 {
	n := v.Invitations
	return n.Held + n.Pending + n.Sent + n.Failed + n.Accepted
}

// Mailed says how many invitations have gone out.
func (v importView) Mailed() string {
	return number(v.Invitations.Sent+v.Invitations.Accepted) + " of " + counted(v.Invited(), "invitation", "invitations") + " sent"
}

// Resend is what the button says that sends fresh links, "" if nobody needs one.
func (v importView) Resend() string {
	n := v.Invitations
	switch {
	case !v.Status.Ended():
	case n.Held > 0:
		return "Send " + counted(n.Held, "invitation", "invitations") + " now"
	case n.Failed+n.Pending > 0:
		return "Send " + counted(n.Failed+n.Pending, "invitation", "invitations") + " again"
	case n.Sent > 0 && v.now.Sub(*v.FinishedAt) > v.linkLife:
		return "Send fresh links where they have expired"
	}
	return ""
}

// HasUsers reports whether users whom the import created are there to be shown.
func (v importView) HasUsers() bool { return v.Imported > 0 && (v.Undo == nil || v.Undo.Kept > 0) }

// CanUndo reports whether there are users to remove.
func (v importView) CanUndo() bool { return v.Status.Ended() && v.Imported > 0 && v.Undo == nil }

// showImport shows one import: the preview of what it will do, why its file
// could not be used, or how it goes.
func (s *Site) showImport(c *gin.Context, admin *roster.User) error {
	id, err := importID(c)
	if err != nil {
		return err
	}
	i, err := s.Store.Import(c.Request.Context(), id)
	if err != nil {
		return err
	}
	switch i.Status {
	case roster.Ready:
		return s.showPreview(c, http.StatusOK, admin, i, "")
	case roster.Failed:
		return s.showUnusable(c, http.StatusOK, admin, i, "")
	}
	return s.showProgress(c, admin, i)
}

// showProgress shows an import that is being worked on or has ended. Parameters:
// those of readRefusals.
func (s *Site) showProgress(c *gin.Context, admin *roster.User, i *roster.Import) (err error) {
	ctx := c.Request.Context()
	v := importView{Import: i, linkLife: s.InvitationTTL, maxBytes: s.MaxUploadBytes, now: time.Now()}
	if v.Kin, err = s.Store.ImportKin(ctx, i.ID); err != nil {
		return err
	}
	if v.Errors, err = s.readRefusals(c, i); err != nil {
		return err
	}
	if i.Invitations.Pending > 0 {
		if v.Mail, err = s.Store.MailState(ctx); err != nil {
			return err
		}
	}
	if i.Invitations.Failed > 0 {
		bounced := storage.UserFilter{ImportID: i.ID, Invitation: roster.InvitationFailed, Limit: shownBounces}
		if v.Bounces, err = s.Store.Users(ctx, bounced); err != nil {
			return err
		}
	}
	undo, err := s.Store.UndoState(ctx, i.ID)
	if err == nil {
		v.Undo = &undo
	} else if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	return s.show(c, http.StatusOK, admin, v)
}
