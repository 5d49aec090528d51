package roster

import "slices"

// Warning is something the person who uploaded the file should know although no
// row failed because of it.
type Warning struct {
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Columns []string `json:"columns,omitempty"`
	Rows    int64    `json:"rows,omitempty"` // how many rows it concerns
	// Parameters, for an upload, are names of form parts and query parameters.
	Parameters []string `json:"parameters,omitempty"`
	// FirstRows are the numbers of the first few of these rows.
	FirstRows []int64 `json:"first_rows,omitempty"`
	// Sample is a value of the file, or what it was changed to, that shows the
	// problem. It is deleted together with the file's values.
	Sample string `json:"sample,omitempty"`
	// Encoding, for rows in another encoding, is what to read the file as.
	Encoding string `json:"encoding,omitempty"`
	// Delimiter, for rows with another delimiter, is that delimiter.
	Delimiter string `json:"delimiter,omitempty"`
	// Mapping, for unknown columns, proposes those that may hold one of our
	// columns that the file does not have by name; nil if none is likely.
	Mapping map[Column]Headers `json:"mapping,omitempty"`
}

// Warning codes.
const (
	WarnUnknownParameters      = "unknown_parameters" // form parts and query parameters that are not options
	WarnHeaderAdded            = "header_added"       // pasted rows without a header
	WarnUnknownColumns         = "unknown_columns"
	WarnPasswordColumn         = "password_column"         // a column that seems to hold passwords
	WarnReadAs                 = "read_as"                 // the encoding was guessed
	WarnLikelyEncoding         = "likely_encoding"         // rows are not UTF-8, another encoding probably reads all
	WarnMixedEncodings         = "mixed_encodings"         // rows are not UTF-8, the rest is
	WarnDoubleEncoded          = "double_encoded"          // names that were turned into UTF-8 twice
	WarnRepeatedHeader         = "repeated_header"         // the header appears again and was skipped
	WarnOtherHeader            = "other_header"            // a second header with other columns; the rows below it fail
	WarnOtherDelimiter         = "other_delimiter"         // rows with another delimiter than the header
	WarnWrappedLines           = "wrapped_lines"           // whole lines in quotes; the text inside was read
	WarnOtherQuotes            = "other_quotes"            // cells in quotes that CSV does not know; the text inside was read
	WarnShortRows              = "short_rows"              // rows with too few cells
	WarnBrokenRows             = "broken_rows"             // lines of one cell between rows
	WarnExtraDelimiters        = "extra_delimiters"        // rows with extra empty cells
	WarnSwallowedLines         = "swallowed_lines"         // a quoted cell that is ignored has lines with addresses
	WarnFooterRows             = "footer_rows"             // totals and footers
	WarnPlaceholderNames       = "placeholder_names"       // names that programs write for missing values
	WarnPlaceholderDepartments = "placeholder_departments" // the same for departments
	WarnRoundedKeys            = "rounded_external_ids"    // keys that a spreadsheet has rounded
	WarnHiddenRows             = "hidden_rows"             // hidden rows of a sheet, which were read
	WarnOtherSheets            = "other_sheets"            // a workbook with several visible sheets, of which none was chosen
	WarnUnnamedColumns         = "unnamed_columns"         // values in columns of a sheet that the header does not name
	WarnRolesKept              = "roles_kept"              // roles that the import leaves as they are
	WarnMissingKept            = "missing_kept"            // nobody is disabled, since a row cannot be read
)

// WithoutSamples returns the warnings without values of the file.
func WithoutSamples(warnings []Warning) []Warning {
	bare := slices.Clone(warnings)
	for i := range bare {
		bare[i].Sample = ""
	}
	return bare
}

// RolesKept is how many roles the warnings say are kept.
func RolesKept(warnings []Warning) int64 {
	for _, w := range warnings {
		if w.Code == WarnRolesKept {
			return w.Rows
		}
	}
	return 0
}

// WithRolesKept returns the warnings with the one that says how many roles are
// kept; without it for 0.
func WithRolesKept(warnings []Warning, rows int64) []Warning {
	if RolesKept(warnings) == rows {
		return warnings
	}
	warnings = slices.DeleteFunc(slices.Clone(warnings), func(w Warning) bool { return w.Code == WarnRolesKept })
	if rows == 0 {
		return warnings
	}
	return append(warnings, Warning{
		Code: WarnRolesKept,
		Message: "Some roles or statuses are not changed: an import never changes the role of the user who started it or of the last active administrator, " +
			"and changing the role of an existing administrator requires an administrator, or a token with the scope admin.",
		Rows: rows,
	})
}
