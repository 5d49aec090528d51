package roster

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxShownValue bounds, in bytes, how much of an offending cell is kept.
const maxShownValue = 500

// Problem is one thing wrong with one row.
type Problem struct {
	Field   Column // "" when the row as a whole is meant
	Code    Code
	Value   string // the offending cell as read, cut to 500 bytes
	Message string // a sentence; repeats no value, so it may outlive them
}

// Refusal is a row that does not go in, and why. Problems is never empty and
// stands in the order found.
type Refusal struct {
	Row      int64 // as a spreadsheet shows it: the header is row 1
	Line     int64 // physical line of the file, from 1
	Email    string
	Problems []Problem
}

// Reason is the code of the first problem.
func (r Refusal) Reason() Code { return r.Problems[0].Code }

func problem(field Column, code Code, value, format string, args ...any) Problem {
	return Problem{Field: field, Code: code, Value: Shown(value), Message: fmt.Sprintf(format, args...)}
}

// Malformed is the problem of a row whose cells cannot be told apart; message
// is a sentence that repeats no value.
func Malformed(message string) Problem {
	return Problem{Code: MalformedRow, Message: message}
}

// BadEncoding is the problem of a row with bytes that its file's encoding does
// not have.
func BadEncoding(message string) Problem {
	return Problem{Code: EncodingError, Message: message}
}

// RecordTooLong is the problem of a row that is longer than any row may be.
func RecordTooLong(message string) Problem {
	return Problem{Code: ValueTooLong, Message: message}
}

// RepeatedInFile is the problem of an address that stands in an earlier row.
func RepeatedInFile(email string, first int64) Problem {
	return problem(ColumnEmail, DuplicateEmail, email, "This address already stands in row %d of this file.", first)
}

// AlreadyExists is the problem of an address that already has a user.
func AlreadyExists(email string) Problem {
	return problem(ColumnEmail, DuplicateEmail, email, "A user with this address already exists.")
}

// MayNotPromote is the problem of a row with the role admin in an import whose
// starter may not make administrators, or may not any more.
func MayNotPromote() Problem {
	return problem(ColumnRole, InvalidRole, string(RoleAdmin), "Whoever started this import may not make anybody administrator. Leave the role blank, or have an administrator import the row.")
}

// Unprocessable is the problem of a row that Rollcall itself stumbled over.
func Unprocessable(email string) Problem {
	return problem("", InternalError, email, "Rollcall could not process this row; the other rows are not affected.")
}

// Shown cuts s to what is kept of an offending value, on a rune boundary and
// without the bytes PostgreSQL cannot store in text.
func Shown(s string) string {
	if len(s) > maxShownValue {
		cut := maxShownValue
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.ReplaceAll(s, "\x00", "\uFFFD")
}
