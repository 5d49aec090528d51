package roster

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Limits of declared attributes.
const (
	maxAttributes    = 20  // that an installation may declare
	maxAttributeName = 40  // bytes of a name
	maxAttribute     = 500 // characters of a value
)

// reservedNames are headers that mean something else in files of users, in our
// own reports and lists, or in the JSON of users. Separators do not count.
var reservedNames = []string{
	"email", "name", "role", "department", "external_id", "status", "locale", "source", "password", "attributes",
	"row", "line", "id", "user_id", "import_id", "invitation", "invitation_sent_at", "invitation_expires_at", "added_at", "created_at", "updated_at", "second_factor",
	"error_row", "error_code", "error_field", "error_message", "error_fix",
}

// ParseAttributeNames reads a comma-separated list of attributes to declare.
// The error is a sentence without its end.
func ParseAttributeNames(list string) ([]string, error) {
	var names []string
	seen := map[string]bool{}
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		form := strings.ReplaceAll(name, "_", "")
		switch {
		case name == "" && strings.TrimSpace(list) == "":
			return nil, nil
		case !validAttributeName(name):
			return nil, fmt.Errorf("%q: a name has 1 to %d lower-case letters, digits and underscores, and begins with a letter", TruncateValue(name), maxAttributeName)
		case slices.ContainsFunc(reservedNames, func(r string) bool { return strings.ReplaceAll(r, "_", "") == form }):
			return nil, fmt.Errorf("%q is the name of another column", name)
		case seen[form]:
			return nil, fmt.Errorf("%q appears twice", name)
		case len(names) == maxAttributes:
			return nil, fmt.Errorf("there are more than %d names", maxAttributes)
		}
		seen[form] = true
		names = append(names, name)
	}
	return names, nil
}

func validAttributeName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != "" && len(name) <= maxAttributeName && !strings.HasSuffix(name, "_")
}

// Attributes are a user's values of declared attributes: a JSON object with
// sorted names and without blank values, so that equal attributes are equal
// strings; "" for none.
type Attributes string

// NewAttributes makes attributes of values by name. Blank values are left out.
func NewAttributes(values map[string]string) Attributes {
	return appendAttributes(slices.Sorted(maps.Keys(values)), func(name string) string { return values[name] })
}

// appendAttributes makes attributes of sorted names.
func appendAttributes(names []string, value func(string) string) Attributes {
	var b []byte
	for _, name := range names {
		v := value(name)
		if v == "" {
			continue
		}
		if b == nil {
			b = append(b, '{')
		} else {
			b = append(b, ',')
		}
		b = append(appendJSON(b, name), ':')
		b = appendJSON(b, v)
	}
	if b == nil {
		return ""
	}
	return Attributes(append(b, '}'))
}

func appendJSON(b []byte, s string) []byte {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always has a JSON form
	}
	return append(b, raw...)
}

// ParseAttributes reads a JSON object of strings; nothing is no attributes.
func ParseAttributes(raw []byte) (Attributes, error) {
	if len(raw) == 0 {
		return "", nil
	}
	var values map[string]string
	if err := json.Unmarshal(raw, &values); err != nil {
		return "", fmt.Errorf("read attributes: %w", err)
	}
	return NewAttributes(values), nil
}

// Map returns the values by name; never nil.
func (a Attributes) Map() map[string]string {
	values := map[string]string{}
	if a != "" {
		if err := json.Unmarshal([]byte(a), &values); err != nil {
			panic("roster: Attributes that were not made by NewAttributes")
		}
	}
	return values
}

// Attribute is one value of a user.
type Attribute struct {
	Name  Column
	Value string
}

// List returns the values sorted by name.
func (a Attributes) List() []Attribute {
	values := a.Map()
	var list []Attribute
	for _, name := range slices.Sorted(maps.Keys(values)) {
		list = append(list, Attribute{Column(name), values[name]})
	}
	return list
}

// With returns the attributes with other values of some names. A blank value
// removes the attribute.
func (a Attributes) With(changes map[string]string) Attributes {
	values := a.Map()
	maps.Copy(values, changes)
	return NewAttributes(values)
}

// AttributeProblem is what is wrong with the value of an attribute, trimmed; nil
// for a good one. "" is good.
func AttributeProblem(name, value string) *Problem {
	if problems := appendTextProblem(nil, Column(name), value, maxAttribute, false); len(problems) > 0 {
		return &problems[0]
	}
	return nil
}
