package tabular

import (
	"strings"
	"unicode"
)

// cellBreaks are the characters at which some program, somewhere, begins another
// cell: every delimiter, and the ends of lines. A spreadsheet set to another
// country splits at another delimiter than the file's, and does not see the
// quotes in the middle of what it takes for a cell.
const cellBreaks = delimiters + "\r\n"

// EscapeFormula makes a cell safe to open in a spreadsheet, whatever delimiter
// the spreadsheet splits lines at. Text that might be taken for a formula gets a
// leading apostrophe, which shows it as text; any other cell is returned as it
// is. [UnescapeFormula] undoes it, whatever the cell.
//
// A formula begins, perhaps behind characters that do not show, with =, +, -
// or @, or one of their full-width forms, at the start of the cell or behind a
// delimiter or line end within it. A tab or line end at the start is guarded too,
// as OWASP's advice on CSV injection has it. So that nothing is lost, text that
// has apostrophes in front of any of these gets one more.
func EscapeFormula(cell string) string {
	return mapFormulas(cell, func(text string) string { return "'" + text })
}

// UnescapeFormula undoes [EscapeFormula]: UnescapeFormula(EscapeFormula(s)) == s
// for every s. It must only see cells that have been through EscapeFormula, for
// it also takes an apostrophe away that a person put in front of a formula.
func UnescapeFormula(cell string) string {
	return mapFormulas(cell, func(text string) string { return strings.TrimPrefix(text, "'") })
}

// EscapeText is [EscapeFormula] for cells that no program takes for a formula, as those
// of a workbook that are texts: it changes only what [UnescapeFormula] would change
// otherwise, so that UnescapeFormula(EscapeText(s)) == s for every s.
func EscapeText(cell string) string {
	if UnescapeFormula(cell) == cell {
		return cell
	}
	return EscapeFormula(cell)
}

// mapFormulas applies change to each part of a cell that may be taken for a
// formula. Which parts those are does not depend on apostrophes in front of them;
// this is what makes EscapeFormula reversible.
func mapFormulas(cell string, change func(string) string) string {
	end := strings.IndexAny(cell, cellBreaks)
	if end < 0 {
		if startsFormula(cell) {
			return change(cell)
		}
		return cell
	}
	var b strings.Builder
	part, formula := cell[:end], startsFormula(cell)
	for {
		if formula {
			part = change(part)
		}
		b.WriteString(part)
		if end == len(cell) {
			return b.String()
		}
		b.WriteByte(cell[end])
		start := end + 1
		if end = strings.IndexAny(cell[start:], cellBreaks); end < 0 {
			end = len(cell)
		} else {
			end += start
		}
		part = cell[start:end]
		formula = startsFormula(strings.ReplaceAll(part, `"`, "")) // a quote here begins a quoted cell
	}
}

// startsFormula reports whether text begins like a formula, apostrophes in front
// of it aside.
func startsFormula(text string) bool {
	for _, r := range strings.TrimLeft(text, "'") {
		switch r {
		case '=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠':
			return true
		}
		if !unicode.IsSpace(r) && !unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Cc, r) {
			return false
		}
	}
	return false
}
