package userfile

import (
	"slices"
	"strings"

	"rollcall/roster"
)

// attribute is the column of a declared attribute.
type attribute struct {
	name string
	k    int // of columns.list
}

// mapValues notes the attributes that the file has, and which values of its
// columns mean others.
func (c *columns) mapValues(m roster.ValueMap) {
	for k, column := range c.list {
		if c.at[k] >= 0 && k >= len(roster.Columns) {
			c.attributes = append(c.attributes, attribute{string(column), k})
		}
		if len(m[column]) > 0 && c.at[k] >= 0 {
			if c.valueMap == nil {
				c.valueMap = make([]map[string]string, len(c.list))
			}
			c.valueMap[k] = m[column]
		}
	}
	slices.SortFunc(c.attributes, func(a, b attribute) int { return strings.Compare(a.name, b.name) })
}

// roleValues collects the different values of the role column.
type roleValues struct {
	list []string
	last string // the row before mostly has the same
}

// longestRole is the longest text, in bytes, that is taken for the name of a role.
const longestRole = 200

func (v *roleValues) note(value string) {
	if value == v.last {
		return
	}
	v.last = value
	if value = strings.TrimSpace(value); value == "" || len(value) > longestRole || len(v.list) > roster.MaxRoleValues || slices.Contains(v.list, value) {
		return
	}
	v.list = append(v.list, strings.Clone(value))
}

// RoleValues returns the different values of the role column in the rows read so
// far, as the file has them, at most roster.MaxRoleValues and one more.
func (s *Reader) RoleValues() []string { return s.roles.list }

// mapped replaces values that mean others.
func (s *Reader) mapped(c roster.Cells) roster.Cells {
	s.roles.note(c.Role)
	if s.columns.valueMap == nil {
		return c
	}
	for k, value := range [...]*string{2: &c.Role, 3: &c.Department, 5: &c.Status, 6: &c.Locale} {
		if value != nil {
			s.mapValue(k, value)
		}
	}
	for i, a := range s.columns.attributes {
		s.mapValue(a.k, &c.Attributes[i])
	}
	return c
}

func (s *Reader) mapValue(k int, value *string) {
	m := s.columns.valueMap[k]
	if m == nil {
		return
	}
	if to, ok := m[strings.TrimSpace(*value)]; ok {
		*value = to
	}
}

// attributeValues are the values of the declared attributes that the file has.
func (s *Reader) attributeValues(cells [][]byte) (names, values []string) {
	if len(s.columns.attributes) == 0 {
		return nil, nil
	}
	names, values = s.attributeNames(), make([]string, len(s.columns.attributes))
	for i, a := range s.columns.attributes {
		values[i] = s.cell(cells, a.k)
	}
	return names, values
}

func (s *Reader) attributeNames() []string {
	if s.names == nil {
		for _, a := range s.columns.attributes {
			s.names = append(s.names, a.name)
		}
	}
	return s.names
}
