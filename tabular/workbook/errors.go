package workbook

import "fmt"

// ErrorKind says why a workbook, or one of its sheets, can't be read.
type ErrorKind string

// The kinds of error.
const (
	// Foreign: the file is something else than a workbook that can be read.
	Foreign ErrorKind = "foreign"
	// Protected: the file is encrypted with a password.
	Protected ErrorKind = "protected"
	// NoSheet: there is no sheet of that name, or no sheet at all.
	NoSheet ErrorKind = "no_sheet"
	// Empty: no visible sheet has a cell with a value.
	Empty ErrorKind = "empty"
	// Damaged: the file isn't what its format says.
	Damaged ErrorKind = "damaged"
	// TooLarge: a limit is exceeded.
	TooLarge ErrorKind = "too_large"
	// TooManyRows: the sheet has more rows than [Options.MaxRows].
	TooManyRows ErrorKind = "too_many_rows"
)

// Error is why a workbook can't be read. It never contains a cell; the names of
// sheets are the only content of the file that it may contain.
type Error struct {
	Kind ErrorKind
	// Message says what is wrong, and Fix what to do about it, as sentences without
	// a full stop at the end of Fix.
	Message, Fix string
}

func (e *Error) Error() string { return e.Message }

const (
	fixDamaged = "Open the file in a spreadsheet program, save it as a new Excel Workbook (.xlsx), and upload that"
	fixSize    = "Split the sheet into several files, or save it as CSV UTF-8 and upload that"
	fixSave    = "In Excel choose File > Save As > Excel Workbook (.xlsx), or save the sheet as CSV UTF-8, and upload that"
	fixExport  = "Export the list as an Excel workbook (.xlsx) or a CSV file, and upload that"
)

func damaged(what string) *Error {
	return &Error{Damaged, "The workbook is damaged: " + what + ".", fixDamaged}
}

func tooLarge(format string, args ...any) *Error {
	return &Error{TooLarge, fmt.Sprintf(format, args...), fixSize}
}

func foreign(message, fix string) *Error { return &Error{Foreign, message, fix} }
