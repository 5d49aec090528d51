package userfile

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"rollcall/roster"
	"rollcall/tabular"
)

// The advice where a file shows more than the catalog's advice for its code.
const (
	fixNoHeader    = "Add a header row with email and name"
	fixHeaderBelow = "Send header_row=%d (or choose it under File settings), or delete the rows above the header"
)

// diagnosed adds to the error about a file what else it shows: no header at all,
// a title above it, another delimiter, something that is not CSV.
func diagnosed(err error, sample []byte, o roster.Options) error {
	var e *FileError
	if !errors.As(err, &e) {
		return err
	}
	if e.Code != roster.MissingColumn && e.Code != roster.DuplicateColumn && e.Code != roster.MalformedFile || o.HeaderRow > 1 {
		return e // a row was said to be the header: what is above it is none
	}
	if what := notRows(sample); what != "" {
		return fileError(roster.MalformedFile, what)
	}
	if e.Code == roster.MissingColumn && !namesColumns(sample, o) {
		if row := firstPerson(sample, o); row > 0 {
			if row == 1 {
				// Without the row's values: the message outlives them.
				e.Message = `The file has no header: the first row is a person. The columns "email" and "name" are missing: add a first row that names the columns, such as email,name.`
				e.Mapping, e.Fix = nil, fixNoHeader
				return e
			}
			if _, ok := FindHeaderRow(sample, o); !ok && e.Mapping == nil && isTitle(sample, o) {
				e.Message = fmt.Sprintf("The file has no header: row %d is a person, and no row above it names the columns. "+
					"Make the first row one that does, such as email,name. ", row) + e.Message
				e.Fix = fixNoHeader
				return e
			}
		}
	}
	if e.Mapping != nil {
		return e
	}
	if what, fix := ownFile(sample, o); what != "" {
		e.Message, e.Fix = e.Message+" "+what, fix
		return e
	}
	if fix := wrappedWithRest(sample, o); fix != "" {
		e.Message += " Each line of the file is in quotes as a whole, with empty cells behind it."
		e.Fix = fix
		return e
	}
	if e.Code == roster.MissingColumn && endsInHeader(sample, o) {
		e.Message += " The file ends within the header row: perhaps it was cut off."
		e.Fix = "Export or upload the file again"
		return e
	}
	if d, ok := BetterDelimiter(sample, o); ok {
		e.Delimiter = d
		e.Fix = fmt.Sprintf("Send delimiter=%s (or choose it under File settings)", delimiterWord(d))
		e.Message += fmt.Sprintf(" The columns seem to be separated by %s: send delimiter=%s.", delimiterName(d), delimiterWord(d))
		return e
	}
	if row, ok := FindHeaderRow(sample, o); ok {
		e.proposeHeader(row)
	}
	return e
}

// proposeHeader says in which row the header seems to be.
func (e *FileError) proposeHeader(row int64) {
	e.HeaderRow, e.Fix = row, fmt.Sprintf(fixHeaderBelow, row)
	e.Message += fmt.Sprintf(" The column names seem to be in row %d: send header_row=%d.", row, row)
}

// endsInHeader reports whether a file ends with the beginning of a needed column's
// name.
func endsInHeader(sample []byte, o roster.Options) bool {
	if len(sample) >= sampleBytes || bytes.ContainsAny(sample, "\r\n") {
		return false
	}
	for header := range headers(sample, o, 1) {
		last := canonicalHeader(header[len(header)-1])
		for _, column := range roster.Columns {
			if column.Required() && len(header) > 1 && last != "" && last != string(column) && strings.HasPrefix(string(column), last) {
				return true
			}
		}
	}
	return false
}

// ownFile says of a file that has no names which of our own files it is, and what
// to upload instead; "" if it is none.
func ownFile(sample []byte, o roster.Options) (what, fix string) {
	for header := range headers(sample, o, 1) {
		forms := make([]string, len(header))
		for i, h := range header {
			forms[i] = canonicalHeader(h)
		}
		has := func(columns ...string) bool {
			for _, column := range columns {
				if !slices.Contains(forms, canonicalHeader(column)) {
					return false
				}
			}
			return true
		}
		switch {
		case has("row", "line", "email", "status", "user_id", "error_code"):
			return "This is the results file (results.csv) of an import by Rollcall: it says what became of each row and has no names.",
				"Upload the error report (errors.csv) or your own file"
		case has(reportColumns[:]...) && !has("email"):
			return "This is the error report of an import by Rollcall that failed as a whole: it has no rows of people.",
				"Fix your own file as the report says, and upload that"
		}
	}
	return "", ""
}

// wrappedWithRest is what to do with a file whose lines are in quotes as a whole
// with empty cells behind them, as a program writes it that takes each line for one
// cell of a table; "" if it is not one.
func wrappedWithRest(sample []byte, o roster.Options) string {
	for header := range headers(sample, roster.Options{Encoding: o.Encoding, Delimiter: o.Delimiter}, 1) {
		if len(header) < 2 || strings.TrimSpace(strings.Join(header[1:], "")) != "" {
			continue
		}
		for inner := range headers([]byte(header[0]), roster.Options{}, 1) {
			if len(inner) > 1 && headerScore(inner, o) > mismatch {
				return "Remove the quotes around each line and what is behind them, or export the file again as CSV"
			}
		}
	}
	return ""
}

// isTitle reports whether the first row of a file has fewer values than the one
// behind it, so that it is no header.
func isTitle(sample []byte, o roster.Options) bool {
	var counts []int
	for cells := range headers(sample, roster.Options{Encoding: o.Encoding, Delimiter: o.Delimiter}, 2) {
		n := 0
		for _, c := range cells {
			if strings.TrimSpace(c) != "" {
				n++
			}
		}
		counts = append(counts, n)
	}
	return len(counts) == 2 && counts[0] < counts[1]
}

// namesColumns reports whether the first row of a file has the name of a column
// of ours, or one that is likely to be meant for it.
func namesColumns(sample []byte, o roster.Options) bool {
	for cells := range headers(sample, roster.Options{Encoding: o.Encoding, Delimiter: o.Delimiter}, 1) {
		for _, column := range roster.Columns {
			for _, c := range cells {
				if _, ok := Suggest(column, []string{c}); ok || canonicalHeader(c) == string(column) {
					return true
				}
			}
		}
	}
	return false
}

func delimiterWord(d string) string {
	switch d {
	case ",":
		return "comma"
	case ";":
		return "semicolon"
	case "\t":
		return "tab"
	}
	return "pipe"
}

// firstPerson is the first of the rows at the beginning of a file, up to the
// fifth, that has an address in a cell of its own; 0 if none.
func firstPerson(sample []byte, o roster.Options) int64 {
	const rows = 5
	for cells, at := range headers(sample, roster.Options{Encoding: o.Encoding, Delimiter: o.Delimiter}, rows) {
		for _, c := range cells {
			c = strings.Trim(strings.TrimSpace(c), `"'<>`)
			if before := strings.LastIndexByte(c, '<'); before > 0 { // as in an address book
				c = c[before+1:]
			}
			if _, err := roster.EmailKey(c); err == nil {
				return at
			}
		}
	}
	return 0
}

// The first lines of texts that are lists of people and not CSV.
var (
	yamlList  = regexp.MustCompile(`(?i)\A\s*(---\s*\n\s*)?(\w+:\s*\n\s*)?(- +)?"?(e-?mail|name)"?: +\S`)
	jsonText  = regexp.MustCompile(`\A\s*(\[\s*)?\{\s*"[^"\n]*"\s*:`)
	colonRows = regexp.MustCompile(`\A\s*([^\s,;|:"]+@[^\s,;|:"]+:[^\n]*|e-?mail ?: ?name[^,;|\n]*)(\r?\n|\z)`)
)

// notRows says what a list of people is that is not CSV, or returns "".
func notRows(sample []byte) string {
	text := bytes.TrimPrefix(sample, []byte("\ufeff"))
	switch {
	case jsonText.Match(text):
		return "This is a JSON document, not a CSV. Save or export the list as a CSV file and upload that."
	case yamlList.Match(text):
		return "This is a YAML document, not a CSV. Save or export the list as a CSV file and upload that."
	case colonRows.Match(text):
		return "The columns are separated by colons, which a CSV cannot be. Separate them with commas, and let the first row name them: email,name."
	}
	return ""
}

// guessedEncoding is the warning that the encoding of a file was guessed; nil if
// it was told or is certain.
func guessedEncoding(sample []byte, o roster.Options, format tabular.Format) *roster.Warning {
	if !strings.EqualFold(strings.TrimSpace(o.Encoding), "auto") || format.Encoding == "utf-8" || hasMark(sample) {
		return nil
	}
	_, near := tabular.GuessAndNear(sample)
	text, other := foreignSample(sample, format, near)
	w := &roster.Warning{Code: roster.WarnReadAs, Encoding: format.Encoding, Sample: text}
	w.Message = "The file was read as " + format.Encoding + ", which was guessed."
	if near != "" {
		w.Message = "The file was read as " + format.Encoding + ", which was guessed; " + near + " is nearly as likely."
	}
	if other != "" {
		w.Sample = format.Encoding + ": " + text + " · " + near + ": " + other
		w.Message += " Compare the samples: if the second one looks right, say encoding=" + near + "."
	} else if w.Sample != "" {
		w.Message += " If the sample looks wrong, say which encoding it has."
	}
	return w
}

func hasMark(sample []byte) bool {
	return bytes.HasPrefix(sample, []byte("\xff\xfe")) || bytes.HasPrefix(sample, []byte("\xfe\xff"))
}

// foreignSample is the first value with a letter beyond ASCII, decoded. With another
// encoding that is near, it is the first one that differs in it, and that.
func foreignSample(sample []byte, format tabular.Format, near string) (text, other string) {
	decoded := foreignValues(sample, format.Encoding, format.Delimiter)
	if len(decoded) == 0 {
		return "", ""
	}
	if near != "" {
		// Cell by cell: letters differ, the shape does not.
		for i, value := range foreignValues(sample, near, format.Delimiter) {
			if i < len(decoded) && value != decoded[i] {
				return decoded[i], value
			}
		}
	}
	return decoded[0], ""
}

// foreignValues are the first values with a letter beyond ASCII, as samples.
func foreignValues(sample []byte, encoding, delimiter string) (values []string) {
	reader, err := tabular.Open(bytes.NewReader(sample), tabular.Options{Encoding: encoding, Delimiter: delimiter})
	if err != nil {
		return nil
	}
	const most = 1000
	for len(values) < most {
		record, err := reader.Next()
		if err != nil {
			break
		}
		for _, c := range record.Cells {
			if bytes.ContainsFunc(c, func(r rune) bool { return r >= utf8.RuneSelf }) {
				values = append(values, sampleOf(string(c)))
			}
		}
	}
	return values
}

// sampleOf is a value as it is shown in a sample, which is kept no longer than the
// file. Of an address it is the domain if that has the letters in question, else
// all of it, so that erasing the person finds it.
func sampleOf(value string) string {
	value = strings.TrimSpace(value)
	if !looksLikeAddress(value) {
		return shownHeader(value)
	}
	if at := strings.LastIndexByte(value, '@'); isASCII(value[:at+1]) {
		value = value[at:]
	}
	return roster.TruncateValue(value)
}
