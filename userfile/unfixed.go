package userfile

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rollcall/roster"
	"rollcall/tabular"
)

// IsReport reports whether the file is an error report of ours.
func (s *Reader) IsReport() bool { return s.columns.isReport }

// OwnColumns are the indices of the cells that an error report repeats: all but
// those that a report has added, wherever they now are, and those that seem to
// hold passwords.
func (s *Reader) OwnColumns() []int {
	var own []int
	for i := range s.header {
		if !s.columns.isErrorColumn(s.header, i) && !slices.Contains(s.columns.passwords, i) {
			own = append(own, i)
		}
	}
	return own
}

// What an error report writes behind the value of a cell so that a row that was
// refused for its shape is refused again, whatever becomes of the report's own
// columns: a report writes any cells in good form, so its rows are well-formed. It
// is plain ASCII to survive any encoding, and can be seen so that people delete
// it. The first means that cell alone, and only while it shows what was wrong.
const (
	fixCell = "[fix this cell]"
	fixRow  = "[fix this row]"
)

// Mark marks a row's values of the file's own columns, own, for an error report if
// the row was refused for its shape and would be taken with these values. It returns
// advice for the person who fixes it, "" if there is no mark.
func (s *Reader) Mark(r *Row, problem roster.Problem, own []string) (advice string) {
	if problem.Field != "" || !isShape(problem.Code) || slices.ContainsFunc(own, Marked) || !s.wouldBeTaken(own) {
		return ""
	}
	columns := s.OwnColumns()
	i := slices.Index(columns, r.faultCell)
	if len(r.Cells) > len(s.header) {
		i = len(own) - 1 // what was too much is there, behind a line break
	}
	if i >= 0 && hasEvidence(own[i]) {
		own[i] += " " + fixCell
		return `Then delete "` + fixCell + `"`
	}
	at := slices.Index(columns, s.columns.at[0])
	for i, value := range own { // the last that is used: not even its column can be deleted unseen
		if slices.Contains(s.columns.at[:], columns[i]) && strings.TrimSpace(value) != "" {
			at = i
		}
	}
	own[at] += " " + fixRow
	return `Then delete "` + fixRow + `"`
}

// wouldBeTaken reports whether a row with these values of the file's own columns
// would be imported.
func (s *Reader) wouldBeTaken(own []string) bool {
	cells := make([][]byte, len(s.header))
	for k, i := range s.OwnColumns() {
		value := own[k]
		if s.columns.isOurs {
			value = tabular.EscapeFormula(value)
		}
		cells[i] = []byte(value)
	}
	_, problems := roster.CheckRow(s.values(&Row{Cells: cells}))
	return len(problems) == 0
}

// Marked reports whether a value has a mark: see [Reader.Mark].
func Marked(value string) bool {
	value = strings.TrimSpace(value)
	return strings.HasSuffix(value, fixCell) || strings.HasSuffix(value, fixRow)
}

// isShape reports whether a code says that a row could not be read as it was
// meant, rather than that one of its values is wrong.
func isShape(code roster.Code) bool {
	return code == roster.MalformedRow || code == roster.EncodingError || code == roster.ValueTooLong
}

// hasEvidence reports whether a value still shows why its row was refused: a
// quote, a line break, or what is written for bytes that cannot be read.
func hasEvidence(value string) bool { return strings.ContainsAny(value, "\"\r\n\uFFFD\x00") }

// unfixed finds out whether a row of an error report was uploaded as it is, after
// it was refused for its shape or as the second one with an address. A mark says
// so in any file; the report's own columns, or what is left of them, say more. A
// row with an emptied error_code counts as fixed. Marks that no longer count are
// taken off.
func (s *Reader) unfixed(r *Row) *roster.Problem {
	code, known := roster.Code(""), false
	if s.columns.isReport {
		if code, known = s.reportedCode(r.Cells); known && code == "" && s.columns.code >= 0 {
			s.unmark(r, fixCell, fixRow)
			return nil
		}
	}
	if p := s.markProblem(r); p != nil || !s.columns.isReport {
		return p
	}
	if p := s.unfixedError(r.Cells); p != nil {
		return p
	}
	if p := s.stillDuplicate(r.Cells); p != nil {
		return p
	}
	if i := s.columns.fix; known && !isShape(code) || i >= 0 && i < len(r.Cells) && bytes.Contains(r.Cells[i], []byte(`"[fix this `)) {
		return nil // the mark that the advice names was deleted
	}
	return s.evidence(r.Cells)
}

// markProblem looks for marks. A mark of a cell that is fixed is taken off.
func (s *Reader) markProblem(r *Row) *roster.Problem {
	for i, c := range r.Cells {
		if n := len(c); n < len(fixRow) || c[n-1] != ']' {
			continue
		}
		mark := fixRow
		if rest, ok := bytes.CutSuffix(c, []byte(fixCell)); ok {
			if !hasEvidence(string(rest)) && bytes.IndexByte(rest, '?') < 0 { // a question mark for what an encoding does not have
				r.Cells[i] = bytes.TrimRight(rest, " ")
				continue
			}
			mark = fixCell
		} else if !bytes.HasSuffix(c, []byte(fixRow)) {
			continue
		}
		p := roster.MalformedWith(`This row failed before and still has the mark "`+mark+`" in the column "`+s.columnName(i)+`".`,
			`Correct the row, then delete "`+mark+`"`)
		return &p
	}
	return nil
}

func (s *Reader) columnName(i int) string {
	if i < len(s.columns.names) {
		return s.columns.names[i]
	}
	return strconv.Itoa(i + 1)
}

// unmark takes marks off.
func (s *Reader) unmark(r *Row, marks ...string) {
	for i, c := range r.Cells {
		for _, mark := range marks {
			if rest, ok := bytes.CutSuffix(c, []byte(mark)); ok {
				r.Cells[i] = bytes.TrimRight(rest, " ")
			}
		}
	}
}

// evidence is the problem of a row of a report that still shows why it was refused
// for its shape; nil if it doesn't.
func (s *Reader) evidence(cells [][]byte) *roster.Problem {
	shows := false
	for i, c := range cells {
		if i < len(s.header) && s.columns.isErrorColumn(s.header, i) {
			continue
		}
		value := tabular.UnescapeFormula(string(c))
		if strings.Contains(value, "\uFFFD") {
			p := roster.BadEncoding("This row still contains unreadable characters (\uFFFD).")
			return &p
		}
		shows = shows || hasEvidence(value)
	}
	if !shows {
		return nil
	}
	p := roster.MalformedWith("This row was malformed and still contains a quote or line break.",
		"Fix the value. If the quote or line break is intentional, clear the row's error_code cell")
	return &p
}

// alsoInRow and sameInRow are how an error report says, in its message and in its
// fix, that a value appears in an earlier row, and which value that was. It is said
// twice so that either column can be deleted.
var (
	alsoInRow = regexp.MustCompile(`This (?P<what>address|external_id) also appears in row (?P<row>\d+) \(ref\. (?P<ref>[0-9a-f]{8})\)\.`)
	sameInRow = regexp.MustCompile(`\. Row (?P<row>\d+) has the same (?P<what>address|external_id) \(ref\. (?P<ref>[0-9a-f]{8})\)`)
)

// MessageInReport is the message of a problem as an error report writes it: with a
// reference to the value that an earlier row has, so that the row is known again as
// long as it keeps that value. The value itself would be changed with the cell when
// all of a file is searched and replaced.
func MessageInReport(p roster.Problem) string {
	rest, ok := strings.CutSuffix(p.Message, ".")
	if !ok || !alsoInRow.MatchString(rest+" (ref. 00000000).") {
		return p.Message
	}
	return fmt.Sprintf("%s (ref. %08x).", rest, reference(p.Value))
}

// ReferencesInReport is what an error report adds to the fix of a row: the references
// of [MessageInReport] once more; "" for none.
func ReferencesInReport(problems []roster.Problem) string {
	var all strings.Builder
	for _, p := range problems {
		if m := alsoInRow.FindStringSubmatch(MessageInReport(p)); m != nil {
			fmt.Fprintf(&all, ". Row %s has the same %s (ref. %s)", m[2], m[1], m[3])
		}
	}
	return all.String()
}

// reference is a number for an address or key: the same for all that are the same
// when rows are compared.
func reference(value string) uint32 {
	value = strings.TrimSpace(value)
	if key, err := roster.EmailKey(value); err == nil {
		value = key
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(value)) // never fails
	return h.Sum32()
}

// stillDuplicate is the problem of a row of a report that was refused because an
// earlier row has its address or key, and that has the same one still: which of the
// two rows is right is no better known than before, although the earlier one is not
// in this file.
func (s *Reader) stillDuplicate(cells [][]byte) *roster.Problem {
	for _, c := range []struct {
		at   int
		says *regexp.Regexp
	}{{s.columns.message, alsoInRow}, {s.columns.fix, sameInRow}} {
		i, says := c.at, c.says
		if i < 0 || i >= len(cells) || !bytes.Contains(cells[i], []byte("(ref. ")) {
			continue
		}
		for _, m := range says.FindAllStringSubmatch(string(cells[i]), -1) {
			part := func(name string) string { return m[says.SubexpIndex(name)] }
			column, k := roster.ColumnEmail, 0
			if part("what") == "external_id" {
				column, k = roster.ColumnExternalID, 4
			}
			value := strings.TrimSpace(s.cell(cells, k))
			if row, err := strconv.ParseInt(part("row"), 10, 64); err == nil && fmt.Sprintf("%08x", reference(value)) == part("ref") {
				p := roster.StillInFile(column, value, row)
				return &p
			}
		}
	}
	return nil
}

// reportedCode is the code with which a row of an error report was refused. known
// is false if the columns that tell are gone, or cut off.
func (s *Reader) reportedCode(cells [][]byte) (code roster.Code, known bool) {
	at := func(i int) (string, bool) {
		if i < 0 || i >= len(cells) {
			return "", false
		}
		return string(bytes.TrimSpace(cells[i])), true
	}
	if value, ok := at(s.columns.code); ok {
		field, told := at(s.columns.field)
		if code = roster.Code(value); told && field != "" && code != "" {
			return roster.InvalidEmail, true // one of its values was wrong, and is judged again
		}
		return code, true
	}
	if field, ok := at(s.columns.field); ok && field != "" {
		return roster.InvalidEmail, true
	}
	if fix, ok := at(s.columns.fix); ok {
		fix = sameInRow.ReplaceAllLiteralString(fix, "")
		for _, c := range []roster.Code{roster.MissingRequiredField, roster.InvalidEmail, roster.InvalidRole, roster.DuplicateEmail, roster.InternalError} {
			if fix == c.RowFix() {
				return c, true
			}
		}
	}
	return "", false
}
