package roster

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Column is one of the columns that an import uses.
type Column string

// The columns; the first two are required.
const (
	ColumnEmail      Column = "email"
	ColumnName       Column = "name"
	ColumnRole       Column = "role"
	ColumnDepartment Column = "department"
	ColumnExternalID Column = "external_id"
	ColumnStatus     Column = "status"
	ColumnLocale     Column = "locale"
)

// Columns lists the columns. The template has the first four.
var Columns = [...]Column{ColumnEmail, ColumnName, ColumnRole, ColumnDepartment, ColumnExternalID, ColumnStatus, ColumnLocale}

// TemplateColumns are the columns that most files have.
func TemplateColumns() []Column { return append([]Column{}, Columns[:4]...) }

// InstructionsSheet is the sheet of the template that explains the columns.
const InstructionsSheet = "Instructions"

// ColumnsWith are the columns and, behind them, those of declared attributes.
func ColumnsWith(attributes []string) []Column {
	columns := append(make([]Column, 0, len(Columns)+len(attributes)), Columns[:]...)
	for _, name := range attributes {
		columns = append(columns, Column(name))
	}
	return columns
}

// Required reports whether a file must have the column.
func (c Column) Required() bool { return c == ColumnEmail || c == ColumnName }

// Limits in characters (Unicode code points).
const (
	maxName       = 200
	maxDepartment = 200
	maxExternalID = 128
)

// Role is a user's role.
type Role string

// The roles.
const (
	RoleUser  Role = "user"
	RoleAdmin Role = "admin"
)

// UserFields are the values of a row, for the user to create or update.
type UserFields struct {
	Email      string // trimmed, otherwise as typed: see [ParseEmail]
	EmailKey   string // for comparison
	Name       string
	Role       Role // "" in the file is RoleUser here
	RoleGiven  bool // false: the role is blank, or the file has no such column
	Department string
	ExternalID string     // the key in the import's source, as typed, trimmed; "" for none
	Status     UserStatus // Active or Disabled; "" if the file does not say
	Locale     string     // BCP 47, see [ParseLocale]; "" if the file does not say
	Attributes Attributes // those that the row gives a value
}

// Cells are the values of one row, as read, by our own columns; a column the
// file does not have is "".
type Cells struct {
	Email, Name, Role, Department, ExternalID, Status, Locale string
	// Attributes are the values of the attributes named in AttributeNames, which
	// is sorted; nil if the file has none.
	AttributeNames, Attributes []string
	// Printable is true if all values are known to be printable ASCII, which
	// saves searching them for other characters. False means unknown.
	Printable bool
}

// RowEdit is what was changed of a row after the file was uploaded.
type RowEdit struct {
	// Cells are the changed values by column; the file has the columns.
	Cells map[Column]string
	// Whole: the row can't be read in the file, so that its other cells are blank.
	Whole bool
}

// CheckRow applies the rules for a single row. Problems are in the order of the
// columns. The UserFields are complete if there are none; EmailKey is set
// whenever the address is valid, so that duplicates are recognized even if the
// row fails for another reason.
func CheckRow(c Cells) (UserFields, []Problem) {
	var problems []Problem
	p := UserFields{
		Email:      strings.TrimSpace(c.Email),
		Name:       strings.TrimSpace(c.Name),
		Department: strings.TrimSpace(c.Department),
		ExternalID: strings.TrimSpace(c.ExternalID),
	}
	if p.Email == "" {
		problems = append(problems, problem(ColumnEmail, MissingRequiredField, c.Email, "The email address is empty."))
	} else if email, key, err := ParseEmail(p.Email); err != nil {
		problems = append(problems, emailProblem(p.Email, err))
	} else {
		p.Email, p.EmailKey = email, key
	}
	if p.Name == "" {
		problems = append(problems, problem(ColumnName, MissingRequiredField, c.Name, "The name is empty."))
	} else {
		problems = appendTextProblem(problems, ColumnName, p.Name, maxName, c.Printable)
	}
	var ok bool
	if p.Role, p.RoleGiven, ok = parseRole(strings.TrimSpace(c.Role)); !ok {
		problems = append(problems, roleProblem(strings.TrimSpace(c.Role)))
	}
	problems = appendTextProblem(problems, ColumnDepartment, p.Department, maxDepartment, c.Printable)
	problems = appendKeyProblem(problems, p.ExternalID)
	if p.Status, ok = parseRowStatus(strings.TrimSpace(c.Status)); !ok {
		problems = append(problems, problem(ColumnStatus, InvalidStatus, strings.TrimSpace(c.Status), "The status must be active or disabled."))
	}
	if locale := strings.TrimSpace(c.Locale); locale != "" {
		if p.Locale, ok = ParseLocale(locale); !ok {
			problems = append(problems, localeProblem(locale))
		}
	}
	if len(c.Attributes) > 0 {
		p.Attributes, problems = checkAttributes(c, problems)
	}
	return p, problems
}

func checkAttributes(c Cells, problems []Problem) (Attributes, []Problem) {
	k := -1
	given := appendAttributes(c.AttributeNames, func(name string) string {
		k++
		value := strings.TrimSpace(c.Attributes[k])
		problems = appendTextProblem(problems, Column(name), value, maxAttribute, c.Printable)
		return value
	})
	return given, problems
}

func parseRole(s string) (role Role, given, ok bool) {
	switch {
	case s == "":
		return RoleUser, false, true
	case s == string(RoleUser), strings.EqualFold(s, string(RoleUser)):
		return RoleUser, true, true
	case strings.EqualFold(s, string(RoleAdmin)):
		return RoleAdmin, true, true
	}
	return "", true, false
}

func parseRowStatus(s string) (status UserStatus, ok bool) {
	switch {
	case s == "":
		return "", true
	case strings.EqualFold(s, string(Active)):
		return Active, true
	case strings.EqualFold(s, string(Disabled)):
		return Disabled, true
	}
	return "", false
}

// ExternalIDProblem is what is wrong with a key, nil for a good one; "" is good.
func ExternalIDProblem(key string) *Problem {
	if problems := appendKeyProblem(nil, key); len(problems) > 0 {
		return &problems[0]
	}
	return nil
}

// appendKeyProblem checks a key: two keys that look the same must be the same.
func appendKeyProblem(problems []Problem, key string) []Problem {
	if n := utf8.RuneCountInString(key); n > maxExternalID {
		return append(problems, problem(ColumnExternalID, ValueTooLong, key, "The external_id has %d characters; the maximum is %d.", n, maxExternalID))
	}
	for _, r := range key {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return append(problems, problem(ColumnExternalID, MalformedRow, key, "The external_id contains a character that cannot be seen."))
		}
	}
	return problems
}

// appendTextProblem checks a free text: its length in characters, that it can be
// seen, and that it has no character that would let it pose as another one, or
// as several lines in a mail or a log.
func appendTextProblem(problems []Problem, field Column, s string, limit int, printable bool) []Problem {
	if len(s) > limit { // bytes first: most values need no counting
		if n := utf8.RuneCountInString(s); n > limit {
			return append(problems, problem(field, ValueTooLong, s, "The %s has %d characters; the maximum is %d.", field, n, limit))
		}
	}
	if printable {
		return problems
	}
	if strings.HasPrefix(s, `"`) && strings.Count(s, `"`) == 1 {
		p := problem(field, MalformedRow, s, "The %s begins with a quote that is never closed.", field)
		p.Fix = "Remove the quote, or close it"
		return append(problems, p)
	}
	for i := range len(s) {
		if c := s[i]; c >= 0x20 && c < 0x7f {
			continue
		}
		return appendCharacterProblem(problems, field, s)
	}
	return problems
}

func appendCharacterProblem(problems []Problem, field Column, s string) []Problem {
	if !HasVisible(s) {
		if field == ColumnName {
			return append(problems, problem(field, MissingRequiredField, s, "The name has no character that can be seen."))
		}
		return append(problems, problem(field, MalformedRow, s, "The %s has no character that can be seen.", field))
	}
	_, r, found := forbiddenCharacter(s)
	if !found {
		return problems
	}
	what := "a control character"
	switch {
	case r == '\n' || r == '\r':
		what = "a line break"
	case r == '\t':
		what = "a tab"
	case r == utf8.RuneError:
		what = "a replacement character (U+FFFD): part of it was lost when the file was saved"
	case !unicode.IsControl(r):
		what = describeCharacter(r)
	}
	p := problem(field, MalformedRow, s, "The %s contains %s.", field, what)
	if r == '\n' || r == '\r' || r == '\t' {
		p.Fix = "Put a space in place of the " + strings.TrimPrefix(what, "a ")
		if joined := strings.Join(strings.Fields(s), " "); !strings.Contains(joined, "@") && !strings.ContainsFunc(joined, unicode.IsControl) && WithoutHidden(joined) == joined {
			p.Suggestion = joined
		}
	}
	if (!unicode.IsControl(r) || isLineSeparator(r)) && r != utf8.RuneError && !unicode.Is(unicode.Co, r) {
		if cleaned := WithoutHidden(s); utf8.RuneCountInString(cleaned) > 0 && HasVisible(cleaned) {
			p.Suggestion, p.Fix = cleaned, "Remove the character, or take the suggested value"
			if isLineSeparator(r) {
				p.Fix = "Put a space in its place, or take the suggested value"
			}
		}
	}
	return append(problems, p)
}
