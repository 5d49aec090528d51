package report

import (
	"io"
	"slices"

	"rollcall/roster"
	"rollcall/tabular"
	"rollcall/tabular/workbook"
)

// WriteTemplate writes an empty CSV file with the columns that most files have, and
// the declared attributes. It has no example row that could be imported by mistake.
func WriteTemplate(w io.Writer, attributes []string) error {
	out := tabular.NewWriter(w, tabular.WriterOptions{Mark: true})
	if err := out.Write(templateHeader(roster.TemplateColumns(), attributes)...); err != nil {
		return err
	}
	return out.Flush()
}

func templateHeader(columns []roster.Column, attributes []string) (header []string) {
	for _, column := range columns {
		header = append(header, string(column))
	}
	return append(header, attributes...)
}

// templateHelp says what to enter in a column.
var templateHelp = map[roster.Column]string{
	roster.ColumnEmail:      "Required. One address per row, such as ada@example.com. Each address can be used once.",
	roster.ColumnName:       "Required. The person's full name, up to 200 characters.",
	roster.ColumnRole:       "Optional. user or admin; choose from the list. Blank means user.",
	roster.ColumnDepartment: "Optional. Up to 200 characters.",
	roster.ColumnExternalID: "Optional. The person's key in your HR system, such as an employee number. It finds a user whose email changed. Leading zeros are kept.",
	roster.ColumnStatus:     "Optional. active or disabled; choose from the list. Blank changes nothing.",
}

// templateLists are the values of columns that have only a few.
var templateLists = map[roster.Column][]string{
	roster.ColumnRole:   {string(roster.RoleUser), string(roster.RoleAdmin)},
	roster.ColumnStatus: {string(roster.Active), string(roster.Disabled)},
}

// WriteTemplateWorkbook writes an empty .xlsx workbook for a list of users: a sheet
// with all columns and the declared attributes, in the number format Text so that
// numbers keep their zeros, and a sheet with instructions. Columns with few values have
// a drop-down list.
func WriteTemplateWorkbook(w io.Writer, attributes []string) error {
	const wide, narrow, widest = 28, 16, 100
	columns := roster.Columns[:]
	var layout []workbook.ColumnLayout
	var header []workbook.Cell
	for i, name := range templateHeader(columns, attributes) {
		c := workbook.ColumnLayout{Width: narrow}
		if i < len(columns) {
			if c.Values = templateLists[columns[i]]; c.Values == nil {
				c.Width = wide
			} else {
				c.Prompt = templateHelp[columns[i]]
			}
		}
		layout = append(layout, c)
		header = append(header, workbook.Cell{Text: name, Style: workbook.Heading})
	}
	out := workbook.NewWriter(w)
	if err := out.BeginSheet("Users", true, layout...); err != nil {
		return err
	}
	if err := out.Row(header...); err != nil {
		return err
	}
	if err := out.BeginSheet(roster.InstructionsSheet, false, workbook.ColumnLayout{Width: wide}, workbook.ColumnLayout{Width: widest}); err != nil {
		return err
	}
	for _, row := range instructions(columns, attributes) {
		if err := out.Row(row...); err != nil {
			return err
		}
	}
	return out.Close()
}

// instructions are the rows of the second sheet.
func instructions(columns []roster.Column, attributes []string) (rows [][]workbook.Cell) {
	line := func(style workbook.Style, texts ...string) {
		var cells []workbook.Cell
		for _, text := range texts {
			cells = append(cells, workbook.Cell{Text: text, Style: style})
		}
		rows = append(rows, cells)
	}
	line(workbook.Heading, "Column", "What to enter")
	for _, column := range columns {
		line(workbook.Wrapped, string(column), templateHelp[column])
	}
	for _, name := range slices.Sorted(slices.Values(attributes)) {
		line(workbook.Wrapped, name, "Optional. Up to 500 characters.")
	}
	line(workbook.Plain)
	line(workbook.Heading, "How to import", "")
	for _, text := range []string{
		"1. On the sheet Users, enter one person per row. Keep the first row. Columns can be in any order, and optional columns can be deleted.",
		"2. Save the workbook and upload it under Import users. Only the sheet Users is read.",
		"3. Check the preview. Nothing is imported until you confirm it.",
	} {
		line(workbook.Wrapped, "", text)
	}
	return rows
}
