package roster

import "slices"

// Code names a problem of a row or a file. Codes are stable: clients make
// decisions based on them.
type Code string

// Codes of rows: the row is skipped, the others are imported.
const (
	MissingRequiredField Code = "missing_required_field"
	InvalidEmail         Code = "invalid_email"
	InvalidRole          Code = "invalid_role"
	DuplicateEmail       Code = "duplicate_email"
	EncodingError        Code = "encoding_error" // also of a whole file
	MalformedRow         Code = "malformed_row"
	ValueTooLong         Code = "value_too_long"
	InvalidStatus        Code = "invalid_status"
	InvalidLocale        Code = "invalid_locale"
	DuplicateExternalID  Code = "duplicate_external_id"
	InternalError        Code = "internal_error" // our fault; the row can be sent again
)

// Codes of files: the import fails and writes nothing.
const (
	EmptyFile       Code = "empty_file"
	MissingColumn   Code = "missing_column"
	DuplicateColumn Code = "duplicate_column"
	TooManyRows     Code = "too_many_rows"
	MalformedFile   Code = "malformed_file"
	EmptyRoster     Code = "empty_roster"

	MissingSheet      Code = "missing_sheet"
	ProtectedWorkbook Code = "protected_workbook"
)

// ErrorInfo is one entry of the catalog of codes.
type ErrorInfo struct {
	Code  Code   `json:"code"`
	Scope string `json:"scope"` // "row" or "file"
	Cause string `json:"cause"`
	Fix   string `json:"fix"`
}

// ErrorCatalog lists every code with its cause and fix, rows first.
// encoding_error is in both scopes.
func ErrorCatalog() []ErrorInfo {
	return []ErrorInfo{
		{MissingRequiredField, "row", "email or name is empty", "Fill in the required value"},
		{InvalidEmail, "row", "e-mail format is invalid", "Check for typos, missing @, or extra spaces"},
		{InvalidRole, "row", "role is not user or admin", "Correct the role or leave it blank"},
		{DuplicateEmail, "row", "the address already exists, or appears earlier in this file (the message names that row)", "Remove the row or update the existing user instead"},
		{EncodingError, "row", "the row is not valid in the file's encoding", "Re-save the CSV as UTF-8"},
		{MalformedRow, "row", "wrong number of cells, a stray quote, a NUL, characters a value may not have", "Correct the row's quoting or cells"},
		{ValueTooLong, "row", "a value is over its limit", "Shorten it"},
		{InvalidStatus, "row", "status is not active or disabled", "Correct it or leave it blank"},
		{InvalidLocale, "row", "locale is not a language tag", "Correct it or leave it blank"},
		{DuplicateExternalID, "row", "the key appears earlier in this file, or the row's address belongs to a user with a different key in this source", "Correct the key or the address"},
		{InternalError, "row", "Rollcall could not process the row", "Upload the error report again; if it happens again, give your administrator the import ID"},
		{EmptyFile, "file", "the file has no header row", "Upload a file with a header row that contains email and name"},
		{MissingColumn, "file", "required columns are missing (the message names them, and one mapping for all)", "Add the column, or use mapping to name the header that contains it"},
		{DuplicateColumn, "file", "two headers name the same column (the message names it)", "Remove or rename one of the two columns"},
		{EncodingError, "file", "the file is not text in the declared encoding (the message names the likely one)", "Re-save the CSV as UTF-8, or set the encoding"},
		{TooManyRows, "file", "the file has more rows than allowed (the message names the limit)", "Split the file"},
		{MalformedFile, "file", "the file is not a CSV or a workbook (.xlsx, .ods)", "Save it as CSV (UTF-8) or as an Excel workbook (.xlsx) and upload it again"},
		{MissingSheet, "file", "the workbook has no sheet of that name (the message names those it has)", "Choose one of the sheets of the workbook"},
		{ProtectedWorkbook, "file", "the workbook is protected with a password", "Remove the password, save the workbook and upload it again"},
		{EmptyRoster, "file", "a full roster (missing=disable) has no valid row", "Upload the complete file, or import it with missing=keep"},
	}
}

// IsRowCode reports whether a row can fail for a code.
func IsRowCode(c Code) bool {
	return slices.ContainsFunc(ErrorCatalog(), func(e ErrorInfo) bool { return e.Scope == "row" && e.Code == c })
}

// RowFix returns the catalog's advice for a row with this code.
func (c Code) RowFix() string { return c.fix("row") }

// FileFix returns the catalog's advice for a file with this code.
func (c Code) FileFix() string { return c.fix("file") }

func (c Code) fix(scope string) string {
	for _, e := range ErrorCatalog() {
		if e.Code == c && e.Scope == scope {
			return e.Fix
		}
	}
	return ""
}
