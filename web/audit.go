package web

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// auditView lists who did what, newest first.
type auditView struct {
	Lines  []auditLine
	Actor  string // part of the name, as typed
	Action string // "" for all
	Target string // id of what was acted on, "" for all
	Later  bool   // not the first page
	First  string // path of the first page
	Older  string // path of the next page, "" on the last
}

func (auditView) pageMeta() pageMeta {
	return pageMeta{Template: "audit", Title: "Audit log", Section: sectionAudit}
}

// Filtered reports whether a filter is active.
func (v auditView) Filtered() bool { return v.Actor != "" || v.Action != "" || v.Target != "" }

// auditKind is a kind of action to filter by: a prefix of actions.
type auditKind struct{ Action, Label string }

// Kinds are the choices of the filter.
func (auditView) Kinds() []auditKind {
	return []auditKind{
		{"import.", "Imports"}, {"user.", "Users"}, {"invitation.", "Invitations"}, {"session.", "Sign-ins and sessions"},
		{"password.", "Passwords"}, {"second_factor.", "Two-factor authentication"}, {"token.", "API tokens"}, {"webhook.", "Webhooks"}, {"profile.", "Import profiles"}, {"settings.", "Settings"},
	}
}

// auditLine is an entry of the log in words.
type auditLine struct {
	storage.AuditLine
	Words  string // what was done
	Link   string // path of what it was done to, "" for none
	Detail string // "" for none
}

// auditWords describes the actions in words.
var auditWords = map[string]string{
	"import.create": "uploaded an import", "import.confirm": "confirmed an import", "import.edit": "edited rows of an import", "import.cancel": "canceled an import",
	"invitation.renew": "asked for a new link", "invitations.retry": "retried all failed invitations", "invitations.remind": "sent reminders",
	"import.resend": "resent the invitations of an import", "import.invitations": "changed whether an import sends invitations", "import.undo": "undid an import",
	"invitation.accept": "accepted their invitation", "invitation.resend": "resent an invitation", "invitation.revoke": "revoked an invitation",
	"user.erase": "erased a user", "user.dossier": "exported the data of a user",
	"password.reset": "reset their password", "password.change": "changed their password", "password.reset_link": "sent a password reset link",
	"second_factor.set": "turned on two-factor authentication", "second_factor.codes": "created new recovery codes", "second_factor.remove": "turned off two-factor authentication",
	"second_factor.reset": "turned off two-factor authentication for a user",
	"session.create":      "signed in", "session.end": "ended sessions", "session.sign_out": "signed out", "session.confirm": "confirmed their identity",
	"settings.email": "changed the email settings", "settings.email.clear": "removed the email settings", "settings.email.test": "sent a test email",
	"settings.invitation": "changed the invitation settings", "settings.invitation.test": "sent themselves an invitation as a test",
	"token.create": "created an API token", "token.revoke": "revoked an API token", "token.transfer": "took over an API token",
	"webhook.create": "registered a webhook", "webhook.rotate": "rotated the secret of a webhook", "webhook.delete": "deleted a webhook",
	"webhook.redeliver": "redelivered a webhook event", "webhook.disable": "stopped sending changes of users to a webhook",
	"profile.set": "saved an import profile", "profile.delete": "deleted an import profile",
	"user.change": "changed a user", "user.create": "created a user", "user.export": "exported users",
}

// downloadWords describes a download by what of the import it was.
var downloadWords = map[string]string{
	"errors": "downloaded an error report", "results": "downloaded results", "file": "downloaded the file",
}

// showAudit shows a page of the log. Parameters: actor, part of a name; action,
// a kind; target, an id; after, the id of the last entry of the previous page.
func (s *Site) showAudit(c *gin.Context, admin *roster.User) error {
	v := auditView{Actor: typed(c.Query("actor"))}
	for _, kind := range v.Kinds() {
		if kind.Action == c.Query("action") {
			v.Action = kind.Action
		}
	}
	filter := storage.AuditFilter{Actor: v.Actor, Action: v.Action, Limit: listSize + 1}
	if id, err := uuid.Parse(c.Query("target")); err == nil {
		filter.TargetID, v.Target = id, id.String()
	}
	if id, err := uuid.Parse(c.Query("after")); err == nil {
		filter.After, v.Later = id, true
	}
	lines, err := s.deps.Store.Audit(c.Request.Context(), filter)
	if err != nil {
		return err
	}
	path := func(after string) string {
		return pathWith("/admin/audit", "actor", v.Actor, "action", v.Action, "target", v.Target, "after", after)
	}
	v.First = path("")
	if len(lines) > listSize {
		lines = lines[:listSize]
		v.Older = path(lines[listSize-1].ID.String())
	}
	for _, line := range lines {
		v.Lines = append(v.Lines, inWords(line))
	}
	return s.show(c, http.StatusOK, admin, v)
}

func inWords(line storage.AuditLine) auditLine {
	l := auditLine{AuditLine: line, Words: auditWords[line.Action], Detail: auditDetail(line.Action, line.Detail)}
	if line.Action == "import.download" {
		l.Words, l.Detail = downloaded(line.Detail)
	}
	if l.Words == "" {
		l.Words = line.Action
	}
	if line.TargetID == nil {
		return l
	}
	switch line.Target {
	case "import":
		l.Link = importPath(*line.TargetID)
	case "user":
		l.Link = "/admin/users/change?user=" + line.TargetID.String()
	case "token":
		l.Link = "/admin/settings/tokens"
	case "import_profile":
		l.Link = profilesPath
	}
	return l
}
