package userfile

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"rollcall/roster"
	"rollcall/tabular"
)

// columns says which cell of a record holds which of our columns.
type columns struct {
	list      []roster.Column // that the file may have: those of package roster, then declared attributes
	at        []int           // of each, index of the cell, -1: not in the file
	nameParts []int           // cells behind at's whose values follow in the name
	names     []string        // of the header, as shown in messages; "" without a name
	forms     map[string]int  // of the header, in matching form

	attributes []attribute         // that the file has, sorted by name
	valueMap   []map[string]string // of each of list, nil: values mean themselves; empty without a map

	need int // cells a row has: up to the last named header that is the file's own
	full int // up to the last named header

	unknown   []string // headers that mean nothing to us, as written
	passwords []int    // cells that seem to hold passwords
	added     []int    // cells that one of our own files has beside the columns of an import

	isOurs   bool // the file is one of ours, or made of one: formula guards are undone
	isReport bool // it is an error report
	code     int  // index of error_code, error_fix, error_field and error_message, -1: not there
	fix      int
	field    int
	message  int
}

// reportColumns are what an error report adds behind the file's own columns.
var reportColumns = [...]string{"error_row", "error_code", "error_field", "error_message", "error_fix"}

// ReportColumns lists the columns that an error report adds to the file's own.
func ReportColumns() []string { return reportColumns[:] }

// exportColumns are what the results of an import and the list of users have
// beside the columns of an import and that no other program calls so.
var exportColumns = [...]string{"user_id", "invitation_sent_at", "invitation_expires_at", "added_at"}

// companions are their other columns. They are ours only beside one of those.
var companions = [...]string{"row", "line", "status", "invitation"}

// userListColumns are the columns of the exported list of users, in its order.
var userListColumns = [...]string{
	"email", "name", "role", "department", "status", "invitation", "invitation_sent_at", "invitation_expires_at", "added_at", "locale",
}

// UserListColumns lists the columns of the exported list of users, in its order.
func UserListColumns() []string { return slices.Clone(userListColumns[:]) }

// isUserList reports whether a header row is what is left of the exported list of
// users after columns were deleted: only its columns, in its order, with one that
// says more than the columns that files for an import have. Declared attributes may
// follow.
func isUserList(forms, attributes []string) bool {
	next, more := 0, false
	for _, form := range forms {
		if form == "" {
			continue
		}
		for next < len(userListColumns) && !named(form, userListColumns[next:next+1]) {
			next++
		}
		if next == len(userListColumns) {
			if named(form, attributes) {
				continue
			}
			return false
		}
		more = more || next >= 4 && userListColumns[next] != string(roster.ColumnLocale)
		next++
	}
	return more
}

// canonicalHeader is the form in which headers are compared: separators are alike to
// the point of being none, so "E-Mail" is "email", and what people put around a
// name does not count, so "Email *" and "[email] (required)" are, too.
func canonicalHeader(header string) string {
	return strings.ReplaceAll(undecorated(tabular.NormalizeHeader(tabular.UnescapeFormula(strings.TrimSpace(header)))), "_", "")
}

// marks are the words in brackets behind a header that say how it is to be
// filled in.
var marks = []string{"required", "optional", "mandatory", "pflichtfeld", "pflicht", "erforderlich", "obligatoire", "facultatif", "obligatorio", "opcional"}

// undecorated drops quotes, stars, colons and marks around a normalized header.
func undecorated(name string) string {
	const around = "_*:\"'`´‘’‚‛“”„‟«»‹›＊："
	for {
		before := name
		name = strings.Trim(name, around)
		for _, pair := range [...]string{"()", "[]", "{}", "<>"} {
			open, end := pair[:1], pair[1:]
			if inside, ok := strings.CutPrefix(name, open); ok {
				if inside, ok = strings.CutSuffix(inside, end); ok && !strings.ContainsAny(inside, pair) {
					name = inside
				}
			}
			if !strings.HasSuffix(name, end) {
				continue
			}
			if i := strings.LastIndex(name, open); i > 0 && slices.Contains(marks, strings.Trim(name[i+1:len(name)-1], around)) {
				name = name[:i]
			}
		}
		if name == before {
			return name
		}
	}
}

// mapColumns finds our columns in a header row, by name or by the mapping given
// with the upload. The error is a *FileError.
func mapColumns(header []string, o roster.Options) (columns, error) {
	c := columns{code: -1, fix: -1, field: -1, message: -1, names: make([]string, len(header)), list: o.Columns()}
	mapping := o.Mapping
	c.at = make([]int, len(c.list))
	forms := make([]string, len(header))
	c.forms = make(map[string]int, len(header))
	for i, h := range header {
		forms[i] = canonicalHeader(h)
		c.forms[forms[i]] = i
		c.names[i] = shownHeader(h)
	}
	taken := map[int]bool{}
	var missing []roster.Column
	for k, column := range c.list {
		c.at[k] = -1
		for n, wanted := range roster.Headers(mapping[string(column)]).List() {
			i, err := findMapped(column, wanted, header, forms)
			switch {
			case err != nil:
				return c, err
			case i < 0:
				if !slices.Contains(missing, column) {
					missing = append(missing, column)
				}
			case n == 0:
				c.at[k] = i
			default:
				c.nameParts = append(c.nameParts, i)
			}
			if i >= 0 {
				taken[i] = true
			}
		}
	}
	outcome := statusIsOutcome(forms, o.Attributes)
	for k, column := range c.list {
		if mapping[string(column)] != "" || outcome && column == roster.ColumnStatus {
			continue
		}
		for i, form := range forms {
			switch {
			case form != canonicalHeader(string(column)) || taken[i]:
			case c.at[k] >= 0:
				return c, duplicateColumn(column, header[c.at[k]], header[i], c.at[k], i)
			default:
				c.at[k] = i
			}
		}
		if c.at[k] < 0 && column.Required() {
			missing = append(missing, column)
		}
		taken[c.at[k]] = true
	}
	if len(missing) > 0 {
		return c, missingColumns(missing, header, forms, taken, o)
	}
	c.sort(header, forms, taken, o.Attributes)
	c.mapValues(o.ValueMap)
	return c, nil
}

// findMapped finds the header that a mapping names: the very one, or else the
// one that differs only as headers may. It returns -1 if there is none.
func findMapped(column roster.Column, wanted string, header, forms []string) (int, error) {
	wanted = strings.TrimSpace(wanted)
	for _, is := range [...]func(i int) bool{
		func(i int) bool {
			return strings.TrimSpace(tabular.UnescapeFormula(strings.TrimSpace(header[i]))) == wanted
		},
		func(i int) bool { return strings.TrimSpace(header[i]) == wanted },
		func(i int) bool { return forms[i] != "" && forms[i] == canonicalHeader(wanted) },
	} {
		found := -1
		for i := range header {
			switch {
			case !is(i):
			case found >= 0:
				return -1, duplicateColumn(column, header[found], header[i], found, i)
			default:
				found = i
			}
		}
		if found >= 0 {
			return found, nil
		}
	}
	return -1, nil
}

// statusIsOutcome reports whether the column status is that of our results or list
// of users, which is something else than the column of an import. An error report
// has the file's own. A user list without any column behind the status is like
// a file for an import, so its status counts: it changes no one.
func statusIsOutcome(forms, attributes []string) bool {
	if isUserList(forms, attributes) && slices.Contains(forms, "invitation") {
		return true
	}
	reports := 0
	for _, form := range forms {
		if named(form, exportColumns[:]) {
			return true
		}
		if named(form, reportColumns[:]) {
			reports++
		}
	}
	return reports == 1 && slices.Contains(forms, canonicalHeader("error_code"))
}

// sort tells the file's other columns from those that we have added to it, and
// sets the widths.
func (c *columns) sort(header, forms []string, taken map[int]bool, attributes []string) {
	c.isOurs = isUserList(forms, attributes)
	for i, form := range forms {
		if taken[i] {
			continue
		}
		switch {
		case named(form, reportColumns[:]):
			c.isReport, c.isOurs = true, true
		case named(form, exportColumns[:]):
			c.isOurs = true
		}
	}
	for i, form := range forms {
		if form == "" {
			continue
		}
		c.full = i + 1
		if !taken[i] && (named(form, reportColumns[:]) || named(form, exportColumns[:]) || c.isOurs && named(form, companions[:])) {
			c.added = append(c.added, i)
			switch form {
			case canonicalHeader("error_code"):
				c.code = i
			case canonicalHeader("error_fix"):
				c.fix = i
			case canonicalHeader("error_field"):
				c.field = i
			case canonicalHeader("error_message"):
				c.message = i
			}
			continue
		}
		c.need = i + 1
		if taken[i] {
			continue
		}
		if isPassword(header[i]) {
			c.passwords = append(c.passwords, i)
		}
		c.unknown = append(c.unknown, headerName(header[i]))
	}
}

// named reports whether a header, in matching form, is one of these.
func named(form string, columns []string) bool {
	for _, column := range columns {
		if form == strings.ReplaceAll(column, "_", "") {
			return true
		}
	}
	return false
}

// isErrorColumn reports whether a cell belongs to a column of an error report.
func (c *columns) isErrorColumn(header []string, i int) bool {
	return c.isReport && slices.Contains(c.added, i) && named(canonicalHeader(header[i]), reportColumns[:])
}

// holdsData reports whether what should be a header row is a row of data: one of
// its cells has an address in it. Then none of its cells is repeated in a message,
// for beside an address there is a name.
func holdsData(header []string) bool { return slices.ContainsFunc(header, looksLikeAddress) }

// looksLikeAddress reports whether a cell has something on both sides of an @.
func looksLikeAddress(cell string) bool {
	before, after, ok := strings.Cut(norm.NFKC.String(strings.TrimSpace(cell)), "@")
	return ok && before != "" && after != ""
}

// headerName is a header for a message: an address is not repeated.
func headerName(h string) string {
	if looksLikeAddress(h) {
		return "(an address)"
	}
	return strings.TrimSpace(h)
}

// shownHeader is a header cut to what fits in a sentence.
func shownHeader(h string) string {
	const most = 60
	h = headerName(h)
	if runes := []rune(h); len(runes) > most {
		h = string(runes[:most]) + "…"
	}
	return roster.TruncateValue(h)
}

func missingColumns(missing []roster.Column, header, forms []string, taken map[int]bool, o roster.Options) *FileError {
	mapping, says := o.Mapping, "The mapping says"
	if o.Profile != "" {
		says = fmt.Sprintf("The import profile %q says", o.Profile)
	}
	var sentences []string
	suggested, complete := map[roster.Column]roster.Headers{}, true
	for _, column := range missing {
		if wanted := mapping[string(column)]; wanted != "" {
			sentences = append(sentences, fmt.Sprintf("%s that %q is in the column %q, which the file does not have.",
				says, column, shownHeader(roster.Headers(wanted).String())))
		} else {
			sentences = append(sentences, fmt.Sprintf("The column %q is missing.", column))
		}
		var headers roster.Headers
		ok := false
		if !holdsData(header) {
			headers, ok = suggestHeaders(column, header, forms, taken)
		}
		if !ok {
			complete = complete && !column.Required()
			continue
		}
		suggested[column] = headers
		for i, h := range header {
			if slices.Contains(headers.List(), strings.TrimSpace(h)) {
				taken[i] = true
			}
		}
	}
	told := " The header row has: " + quoteList(header) + "."
	if holdsData(header) {
		told = " The header row looks like a person's data, so it is not repeated here."
	}
	e := fileError(roster.MissingColumn, strings.Join(sentences, " ")+told)
	for _, column := range missing {
		if headers, ok := suggested[column]; ok {
			e.Message += fmt.Sprintf(" Is %q meant for %q?", headers.String(), column)
		}
	}
	if !complete || len(suggested) == 0 {
		return e
	}
	e.Mapping = map[roster.Column]roster.Headers{}
	for _, column := range o.Columns() {
		if headers, ok := suggested[column]; ok {
			e.Mapping[column] = headers
		} else if kept := mapping[string(column)]; kept != "" && !slices.Contains(missing, column) {
			e.Mapping[column] = roster.Headers(kept)
		}
	}
	e.Message += " Then rename the columns, or send mapping " + mappingText(e.Mapping) + "."
	return e
}

func duplicateColumn(column roster.Column, first, second string, i, j int) *FileError {
	return fileError(roster.DuplicateColumn, fmt.Sprintf(
		"Column %q appears twice: %q (column %d) and %q (column %d).", column, shownHeader(first), i+1, shownHeader(second), j+1))
}

// quoteList writes headers for a sentence, at most a dozen.
func quoteList(header []string) string {
	const most = 12
	var named []string
	for _, h := range header {
		if h = shownHeader(h); h != "" {
			named = append(named, fmt.Sprintf("%q", h))
		}
	}
	if len(named) > most {
		return strings.Join(named[:most], ", ") + fmt.Sprintf(" and %d more", len(named)-most)
	}
	return strings.Join(named, ", ")
}
