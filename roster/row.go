package roster

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Column is one of the columns that mean something to an import.
type Column string

// The columns; the first two are required.
const (
	ColumnEmail      Column = "email"
	ColumnName       Column = "name"
	ColumnRole       Column = "role"
	ColumnDepartment Column = "department"
)

// Columns lists the columns in the order of the template.
var Columns = [...]Column{ColumnEmail, ColumnName, ColumnRole, ColumnDepartment}

// Required reports whether a file must have the column.
func (c Column) Required() bool { return c == ColumnEmail || c == ColumnName }

// maxName and maxDepartment are in characters (Unicode code points).
const (
	maxName       = 200
	maxDepartment = 200
)

// Role is what a user may do.
type Role string

// The roles.
const (
	RoleUser  Role = "user"
	RoleAdmin Role = "admin"
)

// Person is a row that may become a user.
type Person struct {
	Email      string // as typed, trimmed
	EmailKey   string // as compared
	Name       string
	Role       Role // "" in the file is RoleUser here
	RoleGiven  bool // the file said a role; false: blank or no such column
	Department string
}

// Cells are the values of one row, as read, in our own columns; a column the
// file does not have is "".
type Cells struct {
	Email, Name, Role, Department string
}

// CheckRow applies the rules of the file to one row. Problems come in the order
// of the columns. The person is complete when there are none; its EmailKey is
// set whenever the address is good, so that duplicates can be told even for a
// row refused for something else.
func CheckRow(c Cells) (Person, []Problem) {
	var problems []Problem
	p := Person{
		Email:      strings.TrimSpace(c.Email),
		Name:       strings.TrimSpace(c.Name),
		Department: strings.TrimSpace(c.Department),
	}
	if p.Email == "" {
		problems = append(problems, problem(ColumnEmail, MissingRequiredField, c.Email, "The e-mail address is empty."))
	} else if key, err := EmailKey(p.Email); err != nil {
		problems = append(problems, emailProblem(p.Email, err))
	} else {
		p.EmailKey = key
	}
	if p.Name == "" {
		problems = append(problems, problem(ColumnName, MissingRequiredField, c.Name, "The name is empty."))
	} else {
		problems = appendTextProblem(problems, ColumnName, p.Name, maxName)
	}
	var ok bool
	if p.Role, p.RoleGiven, ok = parseRole(strings.TrimSpace(c.Role)); !ok {
		problems = append(problems, problem(ColumnRole, InvalidRole, strings.TrimSpace(c.Role), "The role is neither user nor admin."))
	}
	problems = appendTextProblem(problems, ColumnDepartment, p.Department, maxDepartment)
	return p, problems
}

func emailProblem(email string, err error) Problem {
	if errors.Is(err, ErrEmailTooLong) {
		return problem(ColumnEmail, ValueTooLong, email, "The e-mail address is longer than %d bytes.", maxEmail)
	}
	return problem(ColumnEmail, InvalidEmail, email, "%s", err)
}

func parseRole(s string) (role Role, given, ok bool) {
	switch {
	case s == "":
		return RoleUser, false, true
	case strings.EqualFold(s, string(RoleUser)):
		return RoleUser, true, true
	case strings.EqualFold(s, string(RoleAdmin)):
		return RoleAdmin, true, true
	}
	return "", true, false
}

// appendTextProblem checks a free text: its length in characters, and that it
// has no control characters, which no spreadsheet shows and which would let one
// value pose as several lines in a mail or a log.
func appendTextProblem(problems []Problem, field Column, s string, limit int) []Problem {
	if len(s) > limit { // bytes first: most values need no counting
		if n := utf8.RuneCountInString(s); n > limit {
			return append(problems, problem(field, ValueTooLong, s, "The %s has %d characters; at most %d fit.", field, n, limit))
		}
	}
	for i := range len(s) {
		if c := s[i]; c >= 0x20 && c < 0x7f {
			continue
		}
		return appendControlProblem(problems, field, s, s[i:])
	}
	return problems
}

func appendControlProblem(problems []Problem, field Column, s, from string) []Problem {
	for _, r := range from {
		if !unicode.IsControl(r) {
			continue
		}
		what := "a control character"
		switch r {
		case '\n', '\r':
			what = "a line break"
		case '\t':
			what = "a tab"
		}
		return append(problems, problem(field, MalformedRow, s, "The %s contains %s.", field, what))
	}
	return problems
}
