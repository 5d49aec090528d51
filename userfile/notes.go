package userfile

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"rollcall/roster"
	"rollcall/tabular"
)

// notes collects what the owner of a file should know about its rows, whether or
// not the rows are valid.
type notes struct {
	readAs *roster.Warning // nil if the encoding was not guessed

	wrapped, oddQuotes, short, extra, repeated, otherHeader, broken, otherDelim, swallowed, footer, placeholder, noDepartment, rounded, twice, unnamed tally

	delimiter     string // in the first row whose delimiter differs from the header's
	twiceSample   string
	placeholders  []string
	departments   []string
	roundedKeys   []string
	swallowedRows int64
}

// tally counts rows and keeps the row numbers of the first few.
type tally struct {
	rows  int64
	first []int64
}

const firstRows = 10

func (n *notes) count(t *tally, row int64) {
	if t.rows++; len(t.first) < firstRows {
		t.first = append(t.first, row)
	}
}

func (n *notes) otherDelimiter(d string, row int64) {
	if n.delimiter == "" {
		n.delimiter = d
	}
	n.count(&n.otherDelim, row)
}

// look records what is unusual about a valid row.
func (n *notes) look(s *Reader, r *Row) {
	if r.End.Line-r.Line > 1 {
		if lines := s.swallowed(r.Cells); lines > 0 {
			n.swallowedRows += lines
			n.count(&n.swallowed, r.Row)
		}
	}
	if roster.IsPlaceholder(r.Person.Name) {
		n.count(&n.placeholder, r.Row)
		n.placeholders = addSample(n.placeholders, r.Person.Name)
	}
	if roster.IsPlaceholder(r.Person.Department) {
		n.count(&n.noDepartment, r.Row)
		n.departments = addSample(n.departments, r.Person.Department)
	}
	if roster.IsRoundedKey(r.Person.ExternalID) {
		n.count(&n.rounded, r.Row)
		n.roundedKeys = addSample(n.roundedKeys, r.Person.ExternalID)
	}
	if r.plain {
		return
	}
	for _, value := range [...]string{r.Person.Name, r.Person.Department} {
		if isASCII(value) {
			continue
		}
		if repaired, ok := tabular.RepairDoubled(value); ok {
			if n.twiceSample == "" {
				n.twiceSample = shownHeader(value) + " → " + shownHeader(repaired)
			}
			n.count(&n.twice, r.Row)
			break
		}
	}
}

// addSample adds one of the first few different values.
func addSample(values []string, value string) []string {
	if len(values) < firstRows && !slices.Contains(values, value) {
		values = append(values, value)
	}
	return values
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// swallowed counts lines with addresses inside cells that are not used. They are
// rows that became part of a cell because a quote was not closed.
func (s *Reader) swallowed(cells [][]byte) (lines int64) {
	for i, c := range cells {
		if slices.Contains(s.columns.at, i) || slices.Contains(s.columns.nameParts, i) {
			continue
		}
		_, rest, _ := bytes.Cut(c, []byte("\n"))
		for line := range bytes.SplitSeq(rest, []byte("\n")) {
			if bytes.IndexByte(line, '@') >= 0 && bytes.IndexByte(line, s.reader.Format().Delimiter[0]) >= 0 {
				lines++
			}
		}
	}
	return lines
}

// Warnings returns the warnings about the header and the rows read so far.
func (s *Reader) Warnings() []roster.Warning {
	var list []roster.Warning
	if w, ok := s.unknownColumns(); ok {
		list = append(list, w)
	}
	if w, ok := s.passwordColumns(); ok {
		list = append(list, w)
	}
	if s.notes.readAs != nil {
		list = append(list, *s.notes.readAs)
	}
	return append(list, s.notes.warnings()...)
}

// unknownColumns warns about columns that are not used.
func (s *Reader) unknownColumns() (w roster.Warning, ok bool) {
	const most = 100
	unknown := s.columns.unknown
	if len(unknown) == 0 {
		return w, false
	}
	w = roster.Warning{Code: roster.WarnUnknownColumns, Message: "These columns are not used: " + quoteList(unknown) + "."}
	for _, h := range unknown[:min(len(unknown), most)] {
		w.Columns = append(w.Columns, shownHeader(h))
	}
	forms, taken := make([]string, len(unknown)), map[int]bool{}
	for i, h := range unknown {
		forms[i] = canonicalHeader(h)
	}
	for _, column := range roster.Columns {
		if s.Has(column) {
			continue
		}
		h, ok := suggestHeaders(column, unknown, forms, taken)
		if !ok {
			continue
		}
		if w.Mapping == nil {
			w.Mapping = map[roster.Column]roster.Headers{}
		}
		w.Mapping[column] = h
		taken[slices.IndexFunc(unknown, func(u string) bool { return u == string(h) })] = true
		w.Message += fmt.Sprintf(" Does %q hold the %s? Then send mapping %s.", shownHeader(h.String()), column,
			mappingText(map[roster.Column]roster.Headers{column: h}))
	}
	return w, true
}

func (s *Reader) passwordColumns() (w roster.Warning, ok bool) {
	if len(s.columns.passwords) == 0 {
		return w, false
	}
	w.Code = roster.WarnPasswordColumn
	for _, i := range s.columns.passwords {
		w.Columns = append(w.Columns, shownHeader(s.header[i]))
	}
	w.Message = "The file seems to hold passwords, in " + quoteList(w.Columns) +
		". They are not used: people set their own. Delete the column, and treat these passwords as known to others."
	return w, true
}

// warnings returns the warnings about rows.
func (n *notes) warnings() []roster.Warning {
	var list []roster.Warning
	add := func(t tally, code, one, many string, more func(*roster.Warning)) {
		if t.rows == 0 {
			return
		}
		w := roster.Warning{Code: code, Rows: t.rows, FirstRows: slices.Clone(t.first), Message: "1 row " + one}
		if t.rows > 1 {
			w.Message = fmt.Sprintf("%d rows %s", t.rows, many)
		}
		w.Message += " (" + rowNumbers(t) + ")."
		if more != nil {
			more(&w)
		}
		list = append(list, w)
	}
	add(n.repeated, roster.WarnRepeatedHeader, "repeats the header and was skipped", "repeat the header and were skipped", nil)
	add(n.otherHeader, roster.WarnOtherHeader, "is a second header with other columns; it and all rows below it were refused",
		"are a second header with other columns and what is below it; they were refused", nil)
	add(n.otherDelim, roster.WarnOtherDelimiter, "has another delimiter than the header", "have another delimiter than the header", func(w *roster.Warning) {
		w.Delimiter = n.delimiter
		w.Message += " It seems to be " + delimiterName(n.delimiter) + "."
	})
	add(n.wrapped, roster.WarnWrappedLines, "is in quotes as a whole; its inside was read", "are in quotes as a whole; their inside was read", nil)
	add(n.oddQuotes, roster.WarnOtherQuotes, "has its values in quotes of another kind than CSV has; their inside was read",
		"have their values in quotes of another kind than CSV has; their inside was read", nil)
	add(n.short, roster.WarnShortRows, "ends early; what is missing was left as it is", "end early; what is missing was left as it is", nil)
	add(n.broken, roster.WarnBrokenRows, "has only one cell, perhaps of the row before or behind it, broken in two by a line break",
		"have only one cell, perhaps of the rows before or behind them, broken in two by line breaks", nil)
	add(n.extra, roster.WarnExtraDelimiters, "has an empty cell too many; check that its values are in the right columns",
		"have empty cells too many; check that their values are in the right columns", nil)
	add(n.swallowed, roster.WarnSwallowedLines, "has lines with addresses within a quoted cell that is not used",
		"have lines with addresses within quoted cells that are not used", func(w *roster.Warning) {
			w.Message += fmt.Sprintf(" %d such lines were not imported: is a quote missing?", n.swallowedRows)
		})
	add(n.unnamed, roster.WarnUnnamedColumns, "has a value in a column that the header doesn't name; it is not used",
		"have values in columns that the header doesn't name; they are not used", nil)
	add(n.footer, roster.WarnFooterRows, "looks like a total or a footer", "look like totals or footers", nil)
	add(n.placeholder, roster.WarnPlaceholderNames, "has a name that programs write for nothing", "have names that programs write for nothing", func(w *roster.Warning) {
		w.Sample = strings.Join(n.placeholders, ", ")
	})
	add(n.noDepartment, roster.WarnPlaceholderDepartments, "has a department that programs write for nothing; leave it blank if there is none",
		"have departments that programs write for nothing; leave them blank if there is none", func(w *roster.Warning) {
			w.Sample = strings.Join(n.departments, ", ")
		})
	add(n.rounded, roster.WarnRoundedKeys, "has an external_id that a spreadsheet seems to have rounded, so different people may share it",
		"have external_ids that a spreadsheet seems to have rounded, so different people may share them", func(w *roster.Warning) {
			w.Sample = strings.Join(n.roundedKeys, ", ")
			w.Message += " Format the column as text before the ids are entered or opened, and upload the file again."
		})
	add(n.twice, roster.WarnDoubleEncoded, "has text that was turned into UTF-8 twice", "have text that was turned into UTF-8 twice", func(w *roster.Warning) {
		w.Sample, w.Encoding = n.twiceSample, "utf-8-twice"
		w.Message += " Upload the file again with encoding=utf-8-twice to repair it."
	})
	return list
}

// rowNumbers lists the first few rows: "rows 2, 5 and more".
func rowNumbers(t tally) string {
	if t.rows == 1 {
		return fmt.Sprintf("row %d", t.first[0])
	}
	numbers := make([]string, len(t.first))
	for i, row := range t.first {
		numbers[i] = fmt.Sprint(row)
	}
	text := "rows " + strings.Join(numbers, ", ")
	if t.rows > int64(len(t.first)) {
		text += " and more"
	}
	return text
}
