package tabular

import "fmt"

// FileErrorKind says why a file cannot be read at all.
type FileErrorKind string

// The kinds of file error.
const (
	// FileEmpty: no bytes, or nothing but a byte order mark and white space.
	FileEmpty FileErrorKind = "empty"
	// FileEncoding: the file is plainly not in the encoding declared.
	FileEncoding FileErrorKind = "encoding"
	// FileMalformed: the file is something other than a CSV.
	FileMalformed FileErrorKind = "malformed"
)

// FileError is why a file cannot be read at all. It never holds any content of
// the file.
type FileError struct {
	Kind FileErrorKind
	// Declared is the encoding the file was read in, and Likely the one it
	// seems to be in, for FileEncoding. Likely may be an encoding this
	// package does not read ("utf-32le", "utf-32be"), or empty if no other
	// is likelier.
	Declared, Likely string
	// Reason says what the file is and what to do, for FileMalformed.
	Reason string
}

// Error is a sentence or two for the person who has to mend the file.
func (e *FileError) Error() string {
	switch e.Kind {
	case FileEmpty:
		return "The file is empty."
	case FileEncoding:
		return e.encodingAdvice()
	default:
		return e.Reason
	}
}

func (e *FileError) encodingAdvice() string {
	const save = "Save it as CSV UTF-8"
	if e.Likely == "" {
		return fmt.Sprintf("The file is not valid %s text. %s.", e.Declared, save)
	}
	if _, err := canonicalEncoding(e.Likely); err != nil {
		return fmt.Sprintf("The file looks like %s, which cannot be read. %s.", e.Likely, save)
	}
	return fmt.Sprintf("The file is not valid %s text; it looks like %s. %s or declare its encoding as %s.",
		e.Declared, e.Likely, save, e.Likely)
}
