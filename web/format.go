package web

import (
	"html/template"
	"strings"
	"time"

	"rollcall/internal/humanize"
	"rollcall/internal/i18n"
	"rollcall/roster"
)

// wording defines how values are shown on a page.
var wording = template.FuncMap{
	"number":   number,
	"size":     size,
	"moment":   moment,
	"machine":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"duration": duration,
	"rows":     func(n int64) string { return counted(n, "row", "rows") },

	"ago":     func(t time.Time) string { return humanize.Ago(t, time.Now()) },
	"counted": counted,
	"wide":    func(n int) int64 { return int64(n) },

	"userStatus":   userStatus,
	"importStatus": importStatus,
	"undone":       undone,
	"invitation":   invitationWords,
	"action":       action,
	"role":         roleWords,
	"actorKind":    actorKind,
	"columnName":   columnName,
	"address":      address,
	"clipped":      clipped,
	"editCell":     func(row int64, cell previewCell) editCell { return editCell{row, cell} },

	"bdi":    func(s string) template.HTML { return template.HTML("<bdi>" + template.HTMLEscapeString(s) + "</bdi>") },
	"strong": func(value string) template.HTML { return "<strong>" + address(value) + "</strong>" },
	"time": func(r i18n.Reader, t time.Time) template.HTML {
		return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `">` + template.HTMLEscapeString(r.Moment(t)) + `</time>`)
	},

	"invitationStatus": invitationStatus,
	"percent":          percent,
	"units":            units,
	"reason":           reasonTitle,
}

func userStatus(s roster.UserStatus) string {
	switch s {
	case roster.Invited:
		return "Invited"
	case roster.Active:
		return "Active"
	case roster.Disabled:
		return "Disabled"
	}
	return string(s)
}

func importStatus(s roster.Status) string {
	switch s {
	case roster.Queued:
		return "Queued"
	case roster.Checking:
		return "Checking"
	case roster.Held:
		return "Held"
	case roster.Ready:
		return "Ready for review"
	case roster.Importing:
		return "Importing"
	case roster.Completed:
		return "Completed"
	case roster.Canceled:
		return "Canceled"
	case roster.Failed:
		return "Failed"
	}
	return string(s)
}

// undone reports whether an undo, nil if none was asked for, has ended and left
// nothing of the import.
func undone(u *roster.Undo) bool { return u != nil && u.FinishedAt != nil && u.Kept == 0 }

// invitationWords describes the state of an invitation.
func invitationWords(i roster.Invitation) string {
	switch i.Status {
	case roster.InvitationHeld:
		return "Invitation on hold"
	case roster.InvitationPending:
		return "Invitation queued"
	case roster.InvitationSent:
		return "Invitation sent"
	case roster.InvitationFailed:
		return "Invitation failed"
	case roster.InvitationBounced:
		return "Invitation bounced"
	case roster.InvitationExpired:
		return "Invitation expired"
	case roster.InvitationRevoked:
		return "Invitation revoked"
	case roster.InvitationAccepted:
		return "Invitation accepted"
	}
	return string(i.Status)
}

func action(a roster.Action) string {
	switch a {
	case roster.ActionCreate:
		return "New user"
	case roster.ActionUpdate:
		return "Update"
	case roster.ActionUnchanged:
		return "Unchanged"
	case roster.ActionFail:
		return "Will be skipped"
	}
	return string(a)
}

// Numbers, sizes and times read the same here and in the command line.
var (
	number   = humanize.Number
	counted  = humanize.Count
	size     = humanize.Size
	moment   = humanize.Time
	duration = humanize.Duration
)

// columnName is the display name of a column: "External ID" for external_id.
func columnName(c roster.Column) string {
	if c == roster.ColumnExternalID {
		return "External ID"
	}
	name := strings.ReplaceAll(string(c), "_", " ")
	return strings.ToUpper(name[:1]) + name[1:]
}
