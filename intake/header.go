package intake

import (
	"fmt"
	"strings"

	"rollcall/roster"
	"rollcall/tabular"
)

// columns says which cell of a record holds which of our columns.
type columns struct {
	at       [len(roster.Columns)]int // index of the cell, -1: not in the file
	width    int                      // cells a row must have at least: up to the last named header
	unknown  []string                 // headers that mean nothing to us, as written
	isReport bool                     // the file is an error report of ours
}

// reportColumns are what an error report adds behind the file's own columns.
var reportColumns = [...]string{"error_row", "error_code", "error_field", "error_message", "error_fix"}

// ReportColumns lists the columns that an error report adds to the file's own.
func ReportColumns() []string { return reportColumns[:] }

// matching is the form in which headers are compared: separators are alike to
// the point of being none, so "E-Mail" is "email".
func matching(header string) string {
	return strings.ReplaceAll(tabular.NormalizeHeader(header), "_", "")
}

// mapColumns finds our columns in a header row, by name or by the mapping given
// with the upload. The error is a *FileError.
func mapColumns(header []string, mapping map[string]string) (columns, error) {
	c := columns{}
	for i := range c.at {
		c.at[i] = -1
	}
	wanted := wantedHeaders(mapping)
	told := map[string]bool{} // which of a report's columns there are
	for i, h := range header {
		name := matching(h)
		if name == "" {
			continue
		}
		c.width = i + 1
		switch k := wanted[name]; {
		case isReportColumn(name):
			told[name] = true
		case k == 0:
			c.unknown = append(c.unknown, strings.TrimSpace(h))
		case c.at[k-1] >= 0:
			return c, duplicateColumn(roster.Columns[k-1], header[c.at[k-1]], h, c.at[k-1], i)
		default:
			c.at[k-1] = i
		}
	}
	c.isReport = len(told) == len(reportColumns)
	for k, column := range roster.Columns {
		if c.at[k] >= 0 {
			continue
		}
		if h, mapped := mapping[string(column)]; mapped && h != "" {
			return c, missingMapped(column, h, header)
		}
		if column.Required() {
			return c, missingColumn(column, header)
		}
	}
	return c, nil
}

// wantedHeaders gives for each header, in matching form, the number of our
// column, from 1. A mapped column is found under the header named and no other.
func wantedHeaders(mapping map[string]string) map[string]int {
	wanted := map[string]int{}
	for k, column := range roster.Columns {
		if mapping[string(column)] == "" {
			wanted[string(column)] = k + 1
		}
	}
	for k, column := range roster.Columns {
		if h := mapping[string(column)]; h != "" {
			wanted[matching(h)] = k + 1
		}
	}
	return wanted
}

func isReportColumn(name string) bool {
	for _, r := range reportColumns {
		if name == matching(r) {
			return true
		}
	}
	return false
}

func missingColumn(column roster.Column, header []string) *FileError {
	e := fileError(roster.MissingColumn,
		fmt.Sprintf("The column %q is missing. The header row has: %s.", column, quoteList(header)))
	if h, ok := Suggest(column, header); ok {
		e.Mapping = map[roster.Column]string{column: h}
		e.Message += fmt.Sprintf(" Is %q meant? Rename it to %q, or send mapping {%q: %q}.", h, column, column, h)
	}
	return e
}

func missingMapped(column roster.Column, wanted string, header []string) *FileError {
	return fileError(roster.MissingColumn, fmt.Sprintf(
		"The mapping says that %q is in the column %q, which the file does not have. The header row has: %s.",
		column, roster.Shown(wanted), quoteList(header)))
}

func duplicateColumn(column roster.Column, first, second string, i, j int) *FileError {
	return fileError(roster.DuplicateColumn, fmt.Sprintf(
		"The column %q stands twice: as %q in column %d and as %q in column %d.",
		column, strings.TrimSpace(first), i+1, strings.TrimSpace(second), j+1))
}

// quoteList writes headers for a sentence, at most a dozen.
func quoteList(header []string) string {
	const most = 12
	var named []string
	for _, h := range header {
		if h = strings.TrimSpace(h); h != "" {
			named = append(named, fmt.Sprintf("%q", roster.Shown(h)))
		}
	}
	if len(named) > most {
		return strings.Join(named[:most], ", ") + fmt.Sprintf(" and %d more", len(named)-most)
	}
	return strings.Join(named, ", ")
}

// synonyms are headers that other systems write for our columns, in matching
// form. They are only suggested: what a column means is for people to say.
var synonyms = [len(roster.Columns)][]string{
	{"emailaddress", "mail", "mailaddress", "workemail", "businessemail", "emailwork", "primaryemail", "useremail", "login", "username",
		"userprincipalname", "upn", "emailadresse", "courriel", "correo", "correoelectronico", "adresseemail"},
	{"fullname", "displayname", "employeename", "employee", "person", "username", "contactname", "legalname", "nom", "nombre", "vollstandigername"},
	{"userrole", "accessrole", "permission", "permissions", "accesslevel", "usertype", "type", "rolle"},
	{"dept", "division", "team", "unit", "orgunit", "organisation", "organization", "businessunit", "costcenter", "abteilung", "departement", "departamento"},
}

// Suggest finds the header that probably holds a column which is not there by
// name.
func Suggest(column roster.Column, header []string) (string, bool) {
	for k, c := range roster.Columns {
		if c != column {
			continue
		}
		for _, synonym := range synonyms[k] {
			for _, h := range header {
				if matching(h) == synonym {
					return strings.TrimSpace(h), true
				}
			}
		}
		for _, h := range header { // "Employee e-mail (work)"
			if strings.Contains(matching(h), string(column)) {
				return strings.TrimSpace(h), true
			}
		}
	}
	return "", false
}
