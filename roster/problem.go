package roster

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxValueRunes bounds, in bytes, how much of an offending cell is kept.
const maxValueRunes = 500

// Problem is one problem of one row.
type Problem struct {
	Field   Column // "" for the row as a whole
	Code    Code
	Value   string // the offending cell as read, cut to 500 bytes
	Message string // a sentence that repeats no value, so it can be kept longer than the values
	// Suggestion is the value probably meant, if only one can be, else "". Like
	// Value it is data of the file and is deleted with it.
	Suggestion string
	// Fix is specific advice; "" if the catalog's advice is enough: see
	// [Problem.Advice]. It repeats no value.
	Fix string
}

// Advice returns what to do about the problem.
func (p Problem) Advice() string {
	if p.Fix != "" {
		return p.Fix
	}
	return p.Code.RowFix()
}

// RowError is a row that cannot be imported, and why. Problems is never empty;
// its order is the one in which they were found.
type RowError struct {
	Row      int64 // as a spreadsheet shows it: the header is row 1
	Line     int64 // physical line of the file, from 1
	Email    string
	Problems []Problem
}

// Reason returns the code of the first problem.
func (r RowError) Reason() Code { return r.Problems[0].Code }

func problem(field Column, code Code, value, format string, args ...any) Problem {
	return Problem{Field: field, Code: code, Value: TruncateValue(value), Message: fmt.Sprintf(format, args...)}
}

// Malformed is the problem of a row that cannot be split into cells; message is
// a sentence that repeats no value.
func Malformed(message string) Problem {
	return Problem{Code: MalformedRow, Message: message}
}

// MalformedWith is [Malformed] with its own advice.
func MalformedWith(message, fix string) Problem {
	return Problem{Code: MalformedRow, Message: message, Fix: fix}
}

// CellError is the problem of a cell of a sheet whose formula failed, such as #N/A.
// The name of the error is no value of the file.
func CellError(column Column, name string) Problem {
	p := problem(column, MalformedRow, name, "The cell contains the error %s.", name)
	p.Fix = "Correct the formula, or type the value instead"
	return p
}

// NoFormulaResult is the problem of a cell of a sheet whose formula was never
// computed.
func NoFormulaResult(column Column) Problem {
	p := problem(column, MalformedRow, "", "The cell contains a formula whose result isn't stored in the file.")
	p.Fix = "Open the workbook in a spreadsheet program and save it, or type the value instead"
	return p
}

// BadEncoding is the problem of a row with bytes that are invalid in the file's
// encoding.
func BadEncoding(message string) Problem {
	return Problem{Code: EncodingError, Message: message}
}

// RecordTooLong is the problem of a row over the maximum length.
func RecordTooLong(message string) Problem {
	return Problem{Code: ValueTooLong, Message: message}
}

// DuplicateInFile is the problem of an address that appears in an earlier row.
func DuplicateInFile(email string, first int64) Problem {
	return problem(ColumnEmail, DuplicateEmail, email, "This address also appears in row %d.", first)
}

// StillInFile is the problem of a row of an error report that was refused because
// an earlier row of the file has its address or key, and that was not changed.
func StillInFile(field Column, value string, first int64) Problem {
	p := DuplicateInFile(value, first)
	if field == ColumnExternalID {
		p = ExternalIDInFile(value, first)
	}
	p.Fix = "Remove the row, correct the value, or clear the row's error_code cell to import it all the same"
	return p
}

// AlreadyExists is the problem of an address that already has a user.
func AlreadyExists(email string) Problem {
	return problem(ColumnEmail, DuplicateEmail, email, "A user with this address already exists.")
}

// ExternalIDInFile is the problem of a key that stands in an earlier row.
func ExternalIDInFile(key string, first int64) Problem {
	return problem(ColumnExternalID, DuplicateExternalID, key, "This external_id also appears in row %d.", first)
}

// UserInFile is the problem of a row about a user whom an earlier row is about, too:
// one of them names the key, and the other only the address that the user has.
func UserInFile(field Column, value string, first int64) Problem {
	return problem(field, DuplicateExternalID, value, "This row and row %d are about the same user: one has the user's external_id, and the other the address from before.", first)
}

// OtherExternalID is the problem of an address whose user has another key in the
// import's source.
func OtherExternalID(email string) Problem {
	return problem(ColumnEmail, DuplicateExternalID, email, "This address belongs to a user with a different external_id.")
}

// ExternalIDExists is the problem of a key that already has a user.
func ExternalIDExists(key string) Problem {
	return problem(ColumnExternalID, DuplicateEmail, key, "A user with this external_id already exists.")
}

// AddressOfAnother is the problem of a new address that another user has.
func AddressOfAnother(email string) Problem {
	return problem(ColumnEmail, DuplicateEmail, email, "Another user already has this address.")
}

// AdminAddressKept is the problem of a new address of an administrator in an
// import whose starter may not manage administrators.
func AdminAddressKept(email string) Problem {
	return problem(ColumnEmail, InvalidRole, email, "This import isn't allowed to change the address of an administrator. Ask an administrator to import the row.")
}

// AdminKeyKept is the problem of a new key of an administrator in an import whose
// starter may not manage administrators: by that key a later import could give the
// account another address.
func AdminKeyKept(key string) Problem {
	return problem(ColumnExternalID, InvalidRole, key, "This import isn't allowed to change the external_id of an administrator. Ask an administrator to import the row.")
}

// AdminNotAllowed is the problem of a row with the role admin in an import whose
// starter may not make administrators, or may not any more.
func AdminNotAllowed() Problem {
	return problem(ColumnRole, InvalidRole, string(RoleAdmin), "This import isn't allowed to create administrators. Leave the role blank, or ask an administrator to import the row.")
}

// Unprocessable is the problem of a row that makes Rollcall itself fail.
func Unprocessable(email string) Problem {
	return problem("", InternalError, email, "Rollcall couldn't process this row. Other rows are not affected.")
}

// TruncateValue cuts s to the length that is kept of an offending value, on a
// rune boundary, and removes bytes that PostgreSQL cannot store in text.
func TruncateValue(s string) string {
	if len(s) > maxValueRunes {
		cut := maxValueRunes
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.ReplaceAll(s, "\x00", "\uFFFD")
}
