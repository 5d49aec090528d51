package web

import (
	"fmt"
	"maps"
	"net/url"
	"strings"

	"rollcall/roster"
)

// Fields of the form that maps roles, each with a number behind it: a value of the
// file, and the role it means.
const (
	fieldRoleFrom = "role_from_"
	fieldRoleTo   = "role_to_"
)

// rolesView is the form that maps the values of the file's role column.
type rolesView struct {
	Import *roster.Import
	Roles  []roleChoice // none: there is nothing to map
	More   bool         // the file has more values than are listed
}

// roleChoice selects the role that a value of the file means.
type roleChoice struct {
	From, To string // names of the fields
	Value    string
	Choices  []choice
	Unknown  bool // it is no role, and not mapped: its rows fail
}

// Unknown reports whether rows fail for a value that could be mapped.
func (v rolesView) Unknown() bool {
	for _, r := range v.Roles {
		if r.Unknown {
			return true
		}
	}
	return false
}

// newRoles builds the form; it has no roles if all values of the file are roles
// already and none is mapped.
func newRoles(i *roster.Import) rolesView {
	v := rolesView{Import: i, More: len(i.RoleValues) > roster.MaxRoleValues}
	mapped := i.Options.ValueMap[roster.ColumnRole]
	needed := len(mapped) > 0
	for n, value := range i.RoleValues[:min(len(i.RoleValues), roster.MaxRoleValues)] {
		to, is := mapped[value]
		known := isRole(value)
		own := "Not matched: these rows fail"
		if known {
			own = "As in the file"
		}
		blank := choice{Value: "blank", Label: "Blank: no change, or user", Selected: is && to == ""}
		c := roleChoice{
			From: fmt.Sprintf("%s%d", fieldRoleFrom, n), To: fmt.Sprintf("%s%d", fieldRoleTo, n), Value: value, Unknown: !known && !is,
			Choices: []choice{{Label: own, Selected: !is}},
		}
		for _, role := range []roster.Role{roster.RoleUser, roster.RoleAdmin} {
			c.Choices = append(c.Choices, choice{Value: string(role), Label: string(role), Selected: is && strings.EqualFold(to, string(role))})
		}
		c.Choices = append(c.Choices, blank)
		v.Roles = append(v.Roles, c)
		needed = needed || c.Unknown
	}
	if !needed {
		v.Roles = nil
	}
	return v
}

func isRole(value string) bool {
	return strings.EqualFold(value, string(roster.RoleUser)) || strings.EqualFold(value, string(roster.RoleAdmin))
}

// readRoles changes what values of the role column mean. Values that are not in the
// form mean what they meant before.
func readRoles(before roster.ValueMap, form url.Values) (roster.ValueMap, error) {
	m := roster.ValueMap{}
	for column, values := range before {
		m[column] = maps.Clone(values)
	}
	roles := m[roster.ColumnRole]
	if roles == nil {
		roles = map[string]string{}
	}
	for n := range roster.MaxRoleValues {
		from := strings.TrimSpace(form.Get(fmt.Sprintf("%s%d", fieldRoleFrom, n)))
		if from == "" {
			continue
		}
		switch to := form.Get(fmt.Sprintf("%s%d", fieldRoleTo, n)); to {
		case "":
			delete(roles, from)
		case "blank":
			roles[from] = ""
		case string(roster.RoleUser), string(roster.RoleAdmin):
			roles[from] = to
		default:
			return nil, errBadOptions
		}
	}
	if m[roster.ColumnRole] = roles; len(roles) == 0 {
		delete(m, roster.ColumnRole)
	}
	if len(m) == 0 {
		return nil, nil
	}
	return m, nil
}
