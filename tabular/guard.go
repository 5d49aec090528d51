package tabular

import (
	"strings"
	"unicode"
)

// Guard makes a cell safe to open in a spreadsheet. A cell that a spreadsheet
// might take for a formula gets a leading apostrophe, which shows it as text;
// any other cell is returned as it is. [Unguard] undoes it, whatever the cell.
//
// A formula begins, perhaps behind characters that do not show, with =, +, -
// or @, or one of their full-width forms. A tab or line end at the beginning is
// guarded too, as OWASP's advice on CSV injection has it. So that nothing is
// lost, a cell that has apostrophes in front of any of these gets one more.
func Guard(cell string) string {
	if risky(cell) {
		return "'" + cell
	}
	return cell
}

// Unguard undoes [Guard]: Unguard(Guard(s)) == s for every s. It must only see
// cells that have been through Guard, for it also takes an apostrophe away that
// a person put in front of a formula.
func Unguard(cell string) string {
	if rest, ok := strings.CutPrefix(cell, "'"); ok && risky(rest) {
		return rest
	}
	return cell
}

// risky reports whether Guard marks a cell. It ignores apostrophes in front,
// so that it answers the same for a cell and for that cell guarded: this is
// what makes Guard reversible.
func risky(cell string) bool {
	for _, r := range strings.TrimLeft(cell, "'") {
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
