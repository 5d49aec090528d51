// Package workbook reads the sheets of .xlsx and .ods workbooks as streams of rows,
// and writes .xlsx workbooks of texts as streams: see [Writer].
//
// [Open] tells by the content what a file is, and says by name what it is if it
// can't be read. [Book.Sheets] lists the sheets, and [Book.Convert] writes one as
// CSV in which every record is the row of the same number, so that package tabular
// can read it like any other file: in slices, and from any position.
//
// Cells have the values that people see: see [Cell]. Formulas are never computed,
// macros never run, and nothing outside the file is ever read.
//
// A workbook is a ZIP archive of XML, and both can be made to need any amount of
// time and memory. So every size is limited: see [Limits]. Memory is bounded by
// the distinct texts of a workbook, never by its rows.
package workbook
