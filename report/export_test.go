package report

import (
	"bytes"
	"errors"
	"io"

	"rollcall/roster"
	"rollcall/userfile"
)

// Unstored reads a file as the check does, without a database. It returns the
// users of its valid rows and the error report on the others.
func Unstored(file []byte, o roster.Options) (people []roster.UserFields, report []byte, warnings []roster.Warning, err error) {
	var out bytes.Buffer
	people, warnings, err = unstored(file, o, false, func(delimiter string) errorWriter { return newCSVErrors(&out, delimiter) })
	return people, out.Bytes(), warnings, err
}

// UnstoredWorkbook is Unstored with the error report as a workbook. The file may be the
// rows of a sheet.
func UnstoredWorkbook(file []byte, o roster.Options, sheet bool) (people []roster.UserFields, report []byte, err error) {
	var out bytes.Buffer
	people, _, err = unstored(file, o, sheet, func(string) errorWriter { return newWorkbookErrors(&out) })
	return people, out.Bytes(), err
}

func unstored(file []byte, o roster.Options, isSheet bool, begin func(delimiter string) errorWriter) (people []roster.UserFields, warnings []roster.Warning, err error) {
	i := &roster.Import{}
	if isSheet {
		i.Workbook = &roster.Workbook{Converted: true}
	}
	sheet, err := userfile.OpenImport(bytes.NewReader(file), i, o)
	if err != nil {
		return nil, nil, err
	}
	e := newErrorReport(sheet, begin(sheet.Format().Delimiter))
	if err := e.header(); err != nil {
		return nil, nil, err
	}
	for {
		row, err := sheet.Next()
		if errors.Is(err, io.EOF) {
			return people, sheet.Warnings(), e.out.end()
		}
		if err != nil {
			return nil, nil, err
		}
		if len(row.Problems) == 0 {
			people = append(people, row.Person)
			continue
		}
		rowError := row.RowError()
		if err := e.row(row, &rowError); err != nil {
			return nil, nil, err
		}
	}
}
