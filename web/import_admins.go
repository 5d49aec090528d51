package web

import (
	"strings"
	"unicode"

	"rollcall/report"
	"rollcall/roster"
)

// adminRows are rows that change who is an administrator: the first of them, and
// how many there are.
type adminRows struct {
	Rows []adminRow
	N    int64
}

// More is how many are not listed.
func (a adminRows) More() int64 { return a.N - int64(len(a.Rows)) }

// adminRow is a row of the file whose user becomes an administrator, or ceases to
// be one.
type adminRow struct {
	Row         int64
	Email, Name string
	Domain      string // punycode form, if the address is written differently; else ""
}

func newAdminRows(rows []report.Row, n int64) adminRows {
	list := adminRows{N: n}
	for _, r := range rows {
		a := adminRow{Row: r.Row, Email: r.Values[roster.ColumnEmail], Name: roster.TruncateValue(r.Values[roster.ColumnName])}
		// Letters of another alphabet can imitate a familiar domain.
		if key, err := roster.EmailKey(a.Email); err == nil && strings.ContainsFunc(a.Email, func(r rune) bool { return r > unicode.MaxASCII }) {
			a.Domain = key[strings.LastIndexByte(key, '@')+1:]
		}
		list.Rows = append(list.Rows, a)
	}
	return list
}
