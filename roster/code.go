package roster

// Code names what is wrong with a row or a file. Codes are stable: programs
// decide by them.
type Code string

// Codes of rows: the row is skipped, the others go in.
const (
	MissingRequiredField Code = "missing_required_field"
	InvalidEmail         Code = "invalid_email"
	InvalidRole          Code = "invalid_role"
	DuplicateEmail       Code = "duplicate_email"
	EncodingError        Code = "encoding_error" // also of a whole file
	MalformedRow         Code = "malformed_row"
	ValueTooLong         Code = "value_too_long"
	InternalError        Code = "internal_error" // our fault; the row can be sent again
)

// Codes of files: the import fails and nothing is written.
const (
	EmptyFile       Code = "empty_file"
	MissingColumn   Code = "missing_column"
	DuplicateColumn Code = "duplicate_column"
	TooManyRows     Code = "too_many_rows"
	MalformedFile   Code = "malformed_file"
)

// Entry is one line of the catalogue of codes.
type Entry struct {
	Code  Code   `json:"code"`
	Scope string `json:"scope"` // "row" or "file"
	Cause string `json:"cause"`
	Fix   string `json:"fix"`
}

// Catalogue lists every code with its cause and fix, rows first. encoding_error
// stands in both scopes.
func Catalogue() []Entry {
	return []Entry{
		{MissingRequiredField, "row", "email or name is empty", "Fill in the required value"},
		{InvalidEmail, "row", "e-mail format is invalid", "Check for typos, missing @, or extra spaces"},
		{InvalidRole, "row", "role is not user or admin", "Correct the role or leave it blank"},
		{DuplicateEmail, "row", "the address already exists, or stands earlier in this file (the message names that row)", "Remove the row or update the existing user instead"},
		{EncodingError, "row", "the row is not valid in the file's encoding", "Re-save the CSV as UTF-8"},
		{MalformedRow, "row", "wrong number of cells, a stray quote, a NUL", "Correct the row's quoting or cells"},
		{ValueTooLong, "row", "a value is over its limit", "Shorten it"},
		{InternalError, "row", "Rollcall could not process the row", "Upload the error report again; if it repeats, tell the operator the import's id"},
		{EmptyFile, "file", "the file has no header row", "Choose the file again; it needs a header row with email and name"},
		{MissingColumn, "file", "a required column is not in the header row (the message names it)", "Add the column, or say with mapping which header holds it"},
		{DuplicateColumn, "file", "two headers name the same column (the message names it)", "Remove or rename one of the two columns"},
		{EncodingError, "file", "the file is not text in the declared encoding (the message names the likely one)", "Re-save the CSV as UTF-8, or say which encoding it has"},
		{TooManyRows, "file", "the file has more rows than one import may have (the message names the limit)", "Split the file"},
		{MalformedFile, "file", "the file is not a CSV", "Save it as CSV (UTF-8) and upload that"},
	}
}

// RowFix is the catalogue's advice for a row with this code.
func (c Code) RowFix() string { return c.fix("row") }

// FileFix is the catalogue's advice for a file with this code.
func (c Code) FileFix() string { return c.fix("file") }

func (c Code) fix(scope string) string {
	for _, e := range Catalogue() {
		if e.Code == c && e.Scope == scope {
			return e.Fix
		}
	}
	return ""
}
