package tabular

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// Decisions a caller can make on an error from [Options.Validate], [Open] and
// [Resume].
var (
	// ErrUnknownEncoding means that no encoding goes by the name given.
	ErrUnknownEncoding = errors.New("unknown encoding")
	// ErrUnknownDelimiter means that the delimiter given is not one of
	// comma, semicolon, tab and pipe.
	ErrUnknownDelimiter = errors.New("unknown delimiter")
	// ErrInvalidLimit means that a limit is negative.
	ErrInvalidLimit = errors.New("limit is negative")
	// ErrInvalidPosition means that a Position is not one a Reader gave.
	ErrInvalidPosition = errors.New("invalid position")
)

// Limits that hold where an Options or a Format says 0.
const (
	DefaultMaxRecordBytes = 1 << 20
	DefaultMaxCells       = 1000
)

// Encodings an Options may name beyond the labels of the WHATWG Encoding
// Standard.
const (
	encodingAuto  = "auto"
	encodingUTF8  = "utf-8"
	encodingUTF16 = "utf-16"
)

// Options says how to read a file. The zero value reads UTF-8 with or without
// a byte order mark and finds the delimiter by itself.
type Options struct {
	// Encoding is empty for UTF-8, "auto" to find it, "utf-16" to let the byte
	// order mark decide between utf-16le and utf-16be, or a label of the
	// WHATWG Encoding Standard, section 4.2, in any case.
	Encoding string
	// Delimiter is empty to find it, else one of `,`, `;`, a tab and `|`, or
	// its name: comma, semicolon, tab, pipe.
	Delimiter string
	// HeaderRow is the row with the names of the columns, from 1; 0: the first that
	// isn't blank. The delimiter is found from there on.
	HeaderRow int64
	// Sheet says that the file is a sheet converted by package workbook: UTF-8 with
	// commas, in which a record is a row of the sheet, whatever its cells look like.
	// Encoding and Delimiter don't matter then.
	Sheet bool
	// MaxRecordBytes caps the text of one record, counted in UTF-8 without
	// its line end. 0 means DefaultMaxRecordBytes.
	MaxRecordBytes int
	// MaxCells caps the cells of one record. 0 means DefaultMaxCells.
	MaxCells int
}

// Validate reports the first option that cannot be obeyed. The error wraps
// ErrUnknownEncoding, ErrUnknownDelimiter or ErrInvalidLimit.
func (o Options) Validate() error {
	if _, err := o.encoding(); err != nil {
		return err
	}
	if o.Delimiter != "" {
		if _, err := parseDelimiter(o.Delimiter); err != nil {
			return err
		}
	}
	_, _, err := limits(o.MaxRecordBytes, o.MaxCells)
	return err
}

// encoding returns the canonical name of the encoding asked for, which may
// also be "auto" or "utf-16".
func (o Options) encoding() (string, error) {
	switch name := strings.ToLower(strings.TrimSpace(o.Encoding)); name {
	case "":
		return encodingUTF8, nil
	case encodingAuto, encodingUTF16, "utf16", "utf_16":
		return strings.Replace(strings.ReplaceAll(name, "_", "-"), "utf16", encodingUTF16, 1), nil
	default:
		return canonicalEncoding(name)
	}
}

// Format is how a file is to be read, settled once by [Open]. Stored beside
// the file, it lets [Resume] go on in another process without looking at the
// beginning of the file again.
type Format struct {
	// Encoding is the lower-case name of the WHATWG Encoding Standard, such
	// as "utf-8", "utf-16le" or "windows-1252".
	Encoding string `json:"encoding"`
	// Delimiter is one of `,`, `;`, a tab and `|`.
	Delimiter string `json:"delimiter"`
	// Sheet: see [Options].
	Sheet bool `json:"sheet,omitempty"`
	// MaxRecordBytes and MaxCells are the limits in force.
	MaxRecordBytes int `json:"max_record_bytes"`
	MaxCells       int `json:"max_cells"`
}

// limits fills in the defaults.
func limits(maxRecordBytes, maxCells int) (recordBytes, cells int, err error) {
	switch {
	case maxRecordBytes < 0:
		return 0, 0, fmt.Errorf("record bytes: %w", ErrInvalidLimit)
	case maxCells < 0:
		return 0, 0, fmt.Errorf("cells: %w", ErrInvalidLimit)
	}
	return cmp.Or(maxRecordBytes, DefaultMaxRecordBytes), cmp.Or(maxCells, DefaultMaxCells), nil
}

// parseDelimiter takes a delimiter or its name.
func parseDelimiter(s string) (byte, error) {
	switch strings.ToLower(s) {
	case ",", "comma":
		return ',', nil
	case ";", "semicolon":
		return ';', nil
	case "\t", "tab":
		return '\t', nil
	case "|", "pipe":
		return '|', nil
	}
	return 0, fmt.Errorf("%w %q: use comma, semicolon, tab or pipe", ErrUnknownDelimiter, s)
}
