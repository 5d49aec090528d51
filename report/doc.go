// Package report tells what became of the rows of an import: the error report
// that can be mended and uploaded again, the results of every row, and pages of
// rows to look at before a dry run is confirmed.
//
// Nothing is stored for it. Each report reads the upload again, by the reader
// that the import itself used, and joins it by row number with the refusals in
// the database. All of them stream: memory does not grow with the file.
package report
