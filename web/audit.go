package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

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

func (auditView) frame() frame {
	return frame{Template: "audit", Title: "Audit log", Section: sectionAudit}
}

// Filtered reports whether lines may be left out on request.
func (v auditView) Filtered() bool { return v.Actor != "" || v.Action != "" || v.Target != "" }

// auditKind is a kind of action to choose: a prefix of actions.
type auditKind struct{ Action, Label string }

// Kinds are the kinds to choose from.
func (auditView) Kinds() []auditKind {
	return []auditKind{
		{"import.", "Imports"}, {"user.", "Users"}, {"invitation.", "Invitations"}, {"session.", "Sign-ins and sessions"},
		{"password.", "Passwords"}, {"second_factor.", "Second factors"}, {"token.", "API tokens"}, {"settings.", "Settings"},
	}
}

// auditLine is a line in words.
type auditLine struct {
	storage.AuditLine
	Words  string // what was done
	Link   string // path of what it was done to, "" for none
	Detail string // "" for none
}

// auditWords are the actions in words.
var auditWords = map[string]string{
	"import.create": "uploaded an import", "import.confirm": "confirmed an import", "import.cancel": "canceled an import",
	"import.resend": "sent the invitations of an import again", "import.undo": "undid an import",
	"invitation.accept": "accepted the invitation", "invitation.resend": "sent an invitation again", "invitation.revoke": "withdrew an invitation",
	"user.erase": "erased a person", "user.dossier": "exported what is kept about a user",
	"password.reset": "set a new password", "password.change": "changed the own password",
	"second_factor.set": "set up a second factor", "second_factor.codes": "made new recovery codes", "second_factor.remove": "removed the own second factor",
	"second_factor.reset": "removed the second factor of a user",
	"session.create":      "signed in", "session.end": "ended sessions",
	"settings.email": "changed the e-mail settings", "settings.email.clear": "went back to the e-mail settings of the environment",
	"token.create": "made an API token", "token.revoke": "revoked an API token",
	"user.change": "changed a user", "user.create": "created a user", "user.export": "exported users",
}

// showAudit shows a page of the log. Parameters: actor, part of a name; action,
// a kind; target, an id; after, the id of the last line of the page before.
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
	lines, err := s.Store.Audit(c.Request.Context(), filter)
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
	l := auditLine{AuditLine: line, Words: auditWords[line.Action], Detail: detailWords(line.Detail)}
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
	}
	return l
}

// detailWords puts the JSON of a detail into words: what was changed from what
// to what, else each name with its value.
func detailWords(raw []byte) string {
	var detail map[string]any
	if json.Unmarshal(raw, &detail) != nil {
		return ""
	}
	before, wasChanged := detail["before"].(map[string]any)
	after, isChanged := detail["after"].(map[string]any)
	if wasChanged && isChanged {
		words := changeWords(before, after)
		if by, ok := detail["import"].(string); ok {
			words += ", by import " + by
		}
		return words
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(detail)) {
		words = append(words, fmt.Sprintf("%s %s", strings.ReplaceAll(name, "_", " "), valueWords(detail[name])))
	}
	return strings.Join(words, ", ")
}

func changeWords(before, after map[string]any) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if was, is := valueWords(before[name]), valueWords(after[name]); was != is {
			words = append(words, fmt.Sprintf("%s from %s to %s", name, was, is))
		}
	}
	if len(words) == 0 {
		return "name or department"
	}
	return strings.Join(words, ", ")
}

func valueWords(value any) string {
	if value == "" {
		return "nothing"
	}
	list, ok := value.([]any)
	if !ok {
		return fmt.Sprint(value)
	}
	var words []string
	for _, v := range list {
		words = append(words, fmt.Sprint(v))
	}
	return strings.Join(words, " ")
}
