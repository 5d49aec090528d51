package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"rollcall/auth"
	"rollcall/roster"
)

// auditMembers are the members of details that have words of their own.
type auditMembers struct {
	DryRun       bool   `json:"dry_run"`
	Size         int64  `json:"size_bytes"`
	Disable      *int64 `json:"disable"`
	After        any    `json:"after"`
	Row, Rows    int64
	Reminders    int64
	Columns      []string
	Person       string
	Sessions     int64
	Name         string
	Scopes       []string
	Source       string
	From         string
	Role         roster.Role
	SecondFactor string `json:"second_factor"`
	URL          string
	Accepted     bool
	Host         string
	Port         int
	Domain       string `json:"recipient_domain"`
}

// auditDetail describes the detail of an action in words, "" for none.
func auditDetail(action string, raw []byte) string {
	var d auditMembers
	if json.Unmarshal(raw, &d) != nil {
		return ""
	}
	switch action {
	case "import.create":
		if d.DryRun {
			return size(d.Size) + ", to preview it first"
		}
		return size(d.Size)
	case "import.confirm":
		if d.Disable == nil {
			return ""
		}
		return "approved disabling " + counted(*d.Disable, "user", "users")
	case "import.edit":
		if d.Row == 0 {
			return counted(d.Rows, "row", "rows")
		}
		return "row " + strconv.FormatInt(d.Row, 10) + ": " + strings.Join(d.Columns, ", ")
	case "import.invitations":
		if d.After == true {
			return "invitations are sent"
		}
		return "invitations are not sent yet"
	case "invitations.remind":
		return counted(d.Reminders, "reminder", "reminders")
	case "user.erase":
		return "now called " + d.Person
	case "user.create":
		return "with the role " + string(d.Role)
	case "session.end":
		return counted(d.Sessions, "session", "sessions")
	case "session.create", "session.confirm":
		if d.SecondFactor == "" {
			return ""
		}
		return "with a password and a " + d.SecondFactor
	case "token.create":
		return tokenWords(d)
	case "token.transfer":
		return "from user " + d.From
	case "settings.email.test":
		return testEmailWords(d)
	}
	if strings.HasPrefix(action, "webhook.") && d.URL != "" {
		return d.URL
	}
	return detailWords(raw)
}

// tokenWords describes a new token.
func tokenWords(d auditMembers) string {
	var scopes []string
	for _, scope := range d.Scopes {
		for _, choice := range (tokensView{}).Scopes() {
			if choice.Scope == auth.Scope(scope) {
				scope = choice.Label
			}
		}
		scopes = append(scopes, scope)
	}
	text := fmt.Sprintf("“%s”, permissions: %s", d.Name, strings.Join(scopes, ", "))
	if d.Source != "" && d.Source != roster.DefaultSource {
		text += ", source: " + d.Source
	}
	return text
}

// testEmailWords says which server a test email went through, and to which
// domain.
func testEmailWords(d auditMembers) string {
	outcome := "accepted by"
	if !d.Accepted {
		outcome = "not accepted by"
	}
	return fmt.Sprintf("%s %s, to %s", outcome, net.JoinHostPort(d.Host, strconv.Itoa(d.Port)), d.Domain)
}

// downloaded describes a download. What this version has no words for is the
// detail.
func downloaded(raw []byte) (words, detail string) {
	var d struct{ What string }
	if json.Unmarshal(raw, &d) == nil && downloadWords[d.What] != "" {
		return downloadWords[d.What], ""
	}
	return "downloaded data of an import", detailWords(raw)
}

// detailWords describes the JSON of a detail in words: the old and the new
// value of a change, otherwise each name with its value.
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
		words = append(words, fmt.Sprintf("%s: %s", memberWords(name), valueWords(detail[name])))
	}
	return strings.Join(words, ", ")
}

func changeWords(before, after map[string]any) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if was, is := valueWords(before[name]), valueWords(after[name]); was != is {
			words = append(words, fmt.Sprintf("%s from %s to %s", memberWords(name), was, is))
		}
	}
	if _, user := after["role"]; len(words) == 0 && user {
		return "name or department"
	}
	return strings.Join(words, ", ")
}

// memberWords is the name of a member of a detail in words.
func memberWords(name string) string {
	if name == "external_id" {
		return "external ID"
	}
	return strings.ReplaceAll(name, "_", " ")
}

func valueWords(value any) string {
	switch v := value.(type) {
	case nil:
		return "nothing"
	case string:
		if v == "" {
			return "nothing"
		}
	case map[string]any: // attributes by name
		var words []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			words = append(words, memberWords(name)+" "+valueWords(v[name]))
		}
		return cmp.Or(strings.Join(words, ", "), "nothing")
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
